//! One TCP connection from its first byte: who is there, within the time that openings have.

use std::{net::SocketAddr, sync::Arc};

use tagio_relay_core::{Denial, SourceNet};
use tagio_wire::control::Preface;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tracing::debug;

use crate::{
    control::{self, Pattern},
    front_door::{Opening, read_opening},
    http,
    shared::{Pass, Shared},
    tcp_leg,
};

/// A connection that is not let in yet.
pub(crate) struct Newcomer {
    pub(crate) stream: TcpStream,
    /// IPv4 never as IPv6.
    pub(crate) peer: SocketAddr,
    pub(crate) pass: Pass,
    /// Until then it must have said who it is.
    pub(crate) deadline: Instant,
}

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if let Err(denial) = try_serve(&shared, stream, peer).await {
        shared.denials.count(denial);
        debug!(%peer, reason = denial.label(), "connection closed");
    }
}

/// Serves a connection to the metrics address.
pub(crate) async fn serve_metrics(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let served = match Pass::open(&shared, SourceNet::from(peer.ip())) {
        Ok(_pass) => http::serve_metrics(&shared, stream).await,
        Err(denial) => Err(denial),
    };
    if let Err(denial) = served {
        shared.denials.count(denial);
    }
}

async fn try_serve(shared: &Arc<Shared>, mut stream: TcpStream, peer: SocketAddr) -> Result<(), Denial> {
    let pass = Pass::open(shared, SourceNet::from(peer.ip()))?;
    let deadline = Instant::now() + shared.limits().opening();
    let opening = timeout_at(deadline, read_opening(&mut stream)).await;
    let opening = opening.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::OpeningAborted)?;
    let (opening, head) = opening.ok_or(Denial::BadPreface)?;
    // Small packets with a person waiting for each: never hold one back. A socket that refuses is dying.
    let _ = stream.set_nodelay(true);
    let newcomer = Newcomer { stream, peer, pass, deadline };
    // Boxed: a silent opener shall not pay for the largest of them.
    match opening {
        Opening::Tagio(Preface::ControlIk) => Box::pin(control::serve(shared, newcomer, Pattern::Ik)).await,
        Opening::Tagio(Preface::ControlXx) => Box::pin(control::serve(shared, newcomer, Pattern::Xx)).await,
        Opening::Tagio(Preface::TcpLeg) => Box::pin(tcp_leg::serve(shared, newcomer)).await,
        Opening::Http => Box::pin(http::serve_front(shared, newcomer, head)).await,
    }
}
