//! One TCP connection from its first byte: who is there, within the time that openings have.

use std::{net::SocketAddr, sync::Arc};

use tagio_relay_core::{Denial, SourceNet};
use tagio_wire::control::Preface;
use tokio::{
    io::AsyncRead,
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tracing::{Instrument, debug, info_span};

use crate::{
    carrier::{Carrier, Rewound, Socket},
    control::{self, Pattern},
    front_door::{Head, Opening, read_opening},
    http,
    lock::lock,
    messages, proxy_protocol, registration,
    shared::{Pass, Shared},
    tcp_leg,
    tls::Inside,
};

/// Somebody who has not said what they want.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// IPv4 never as IPv6.
    pub(crate) peer: SocketAddr,
    pub(crate) pass: Arc<Pass>,
    /// Until then they must have said who they are.
    pub(crate) deadline: Instant,
}

/// A connection that is not let in yet.
pub(crate) struct Newcomer {
    pub(crate) stream: Carrier,
    /// IPv4 never as IPv6.
    pub(crate) peer: SocketAddr,
    pub(crate) pass: Arc<Pass>,
    /// Until then it must have said who it is.
    pub(crate) deadline: Instant,
}

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let span = info_span!("connection", id = shared.next_log_id());
    async move {
        let served = try_serve(&shared, stream, peer).await;
        conclude(&shared, peer, served);
    }
    .instrument(span)
    .await;
}

/// Serves a connection to the metrics address.
pub(crate) async fn serve_metrics(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let served = match Pass::open(&shared, SourceNet::from(peer.ip())) {
        Ok(_pass) => http::serve_metrics(&shared, stream).await,
        Err(denial) => Err(denial),
    };
    conclude(&shared, peer, served);
}

/// Counts what was turned away.
pub(crate) fn conclude(shared: &Shared, peer: SocketAddr, served: Result<(), Denial>) {
    if let Err(denial) = served {
        shared.denials.count(denial);
        debug!(%peer, reason = denial.label(), "connection closed");
    }
}

async fn try_serve(shared: &Arc<Shared>, mut stream: TcpStream, peer: SocketAddr) -> Result<(), Denial> {
    let pass = Arc::new(Pass::open_at(shared, peer.ip())?);
    let mut visitor = Visitor { peer, pass, deadline: Instant::now() + shared.limits().opening() };
    let (mut opening, mut head) = open(&mut stream, visitor.deadline).await?;
    if opening == Opening::Proxied {
        visitor = behind_proxy(shared, &head, &mut stream, visitor).await?;
        (opening, head) = open(&mut stream, visitor.deadline).await?;
    }
    // Small packets with a person waiting for each: never hold one back. A socket that refuses is dying.
    let _ = stream.set_nodelay(true);
    // Boxed: a silent opener shall not pay for the largest of them.
    if opening == Opening::Tls {
        return Box::pin(serve_tls(shared, Rewound::new(head, stream), visitor)).await;
    }
    serve_socket(shared, Socket::Tcp(stream), (opening, head), visitor).await
}

/// For whom a proxy comes.
async fn behind_proxy(
    shared: &Arc<Shared>,
    head: &Head,
    stream: &mut TcpStream,
    proxy: Visitor,
) -> Result<Visitor, Denial> {
    if !proxy.pass.is_proxy() {
        return Err(Denial::BadProxy);
    }
    let client = timeout_at(proxy.deadline, proxy_protocol::read(head, stream)).await;
    match client.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::BadProxy)? {
        None => Ok(proxy),
        Some(peer) => {
            let pass = Arc::new(Pass::open_at(shared, peer.ip())?);
            Ok(Visitor { peer, pass, ..proxy })
        }
    }
}

/// Serves what is inside TLS.
async fn serve_tls(shared: &Arc<Shared>, stream: Rewound<TcpStream>, visitor: Visitor) -> Result<(), Denial> {
    // Its mathematics costs about as much as Noise's.
    lock(&shared.admission).spend_handshake(visitor.pass.net(), std::time::Instant::now())?;
    let stream = Box::pin(timeout_at(visitor.deadline, shared.tls.accept(stream))).await;
    let stream = stream.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::Tls)?;
    let mut stream = match stream {
        Inside::Anything(stream) => stream,
        Inside::Http2(stream) => return Box::pin(http::serve_http2(shared, *stream, visitor)).await,
        Inside::Nothing => return Ok(()),
    };
    let opening = open(&mut stream, visitor.deadline).await?;
    serve_socket(shared, Socket::Tls(stream), opening, visitor).await
}

/// Serves whoever was recognised on a socket.
async fn serve_socket(
    shared: &Arc<Shared>,
    socket: Socket,
    (opening, head): (Opening, Head),
    visitor: Visitor,
) -> Result<(), Denial> {
    match opening {
        Opening::Tagio(preface) => serve_tagio(shared, Carrier::Socket(socket), preface, visitor).await,
        Opening::Http => Box::pin(http::serve_front(shared, Rewound::new(head, socket), visitor)).await,
        Opening::Messages => {
            Box::pin(messages::raw::serve(shared, Rewound::new(head, socket), visitor)).await
        }
        Opening::Registration => {
            registration::keep_alive(socket.tcp());
            Box::pin(registration::serve(shared, Rewound::new(head, socket), visitor)).await
        }
        // Inside TLS, or behind a header: once is enough.
        Opening::Tls | Opening::Proxied => Err(Denial::BadPreface),
    }
}

/// Serves what came in something that carries TagIO's own protocol and nothing else.
pub(crate) async fn serve_carried(
    shared: &Arc<Shared>,
    mut carrier: Carrier,
    visitor: Visitor,
) -> Result<(), Denial> {
    match open(&mut carrier, visitor.deadline).await? {
        (Opening::Tagio(preface), _) => serve_tagio(shared, carrier, preface, visitor).await,
        (Opening::Http | Opening::Tls | Opening::Proxied | Opening::Messages | Opening::Registration, _) => {
            Err(Denial::BadPreface)
        }
    }
}

async fn serve_tagio(
    shared: &Arc<Shared>,
    stream: Carrier,
    preface: Preface,
    visitor: Visitor,
) -> Result<(), Denial> {
    let Visitor { peer, pass, deadline } = visitor;
    let newcomer = Newcomer { stream, peer, pass, deadline };
    match preface {
        Preface::ControlIk => Box::pin(control::serve(shared, newcomer, Pattern::Ik)).await,
        Preface::ControlXx => Box::pin(control::serve(shared, newcomer, Pattern::Xx)).await,
        Preface::TcpLeg => Box::pin(tcp_leg::serve(shared, newcomer)).await,
    }
}

/// Reads until it is clear who is there.
async fn open(stream: &mut (impl AsyncRead + Unpin), deadline: Instant) -> Result<(Opening, Head), Denial> {
    let opening = timeout_at(deadline, read_opening(stream)).await;
    let opening = opening.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::OpeningAborted)?;
    opening.ok_or(Denial::BadPreface)
}
