//! Visitors: by what they say first it is found out which tunnel they want.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tagio_relay_core::{
    Denial,
    tunnel::{
        Route,
        sni::{CLIENT_HELLO_BYTES_MAX, ServerName, is_tls, server_name},
    },
};
use tagio_tunnel::{
    pipe::{self, End},
    trunk::Lane,
    tuning,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout_at},
};
use tracing::debug;

use super::{Tunnels, Visiting, http, session::Way};

/// A visitor that says nothing for this long waits for the service to begin, as with SSH or SMTP.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Time for the rest of a name.
const NAME: Duration = Duration::from_secs(10);
/// Longest HTTP method with the blank behind it that is taken for one.
const METHOD_BYTES_MAX: usize = 16;

/// Serves a visitor of the ingress port.
pub(super) async fn serve(tunnels: Arc<Tunnels>, stream: TcpStream, peer: SocketAddr) {
    report(&tunnels, peer, try_serve(&tunnels, stream, peer).await);
}

/// Serves a visitor of a tunnel's own port.
pub(super) async fn serve_port(tunnels: Arc<Tunnels>, stream: TcpStream, peer: SocketAddr, port: u16) {
    let served = async {
        let _visitor = tunnels.enter(peer.ip())?;
        tuning::tune(&stream);
        carry(&tunnels, &Route::TcpPort(port), stream, peer, &[]).await
    };
    report(&tunnels, peer, served.await);
}

fn report(tunnels: &Tunnels, peer: SocketAddr, served: Result<(), Denial>) {
    if let Err(denial) = served {
        tunnels.deny(denial);
        debug!(%peer, reason = denial.label(), "visitor turned away");
    }
}

async fn try_serve(tunnels: &Arc<Tunnels>, mut stream: TcpStream, peer: SocketAddr) -> Result<(), Denial> {
    let _visitor = tunnels.enter(peer.ip())?;
    tuning::tune(&stream);
    if !tunnels.desk().book.has_names() {
        return carry(tunnels, &Route::Ingress, stream, peer, &[]).await;
    }
    let mut head = Vec::with_capacity(1024);
    match recognise(&mut stream, &mut head).await? {
        Speech::Http => Box::pin(http::serve(tunnels, stream, peer, head)).await,
        Speech::Tls(Some(name)) => carry(tunnels, &Route::Name(name), stream, peer, &head).await,
        Speech::Tls(None) | Speech::Other => carry(tunnels, &Route::Ingress, stream, peer, &head).await,
    }
}

/// What a visitor speaks.
enum Speech {
    Http,
    Tls(Option<tagio_relay_core::tunnel::HostName>),
    Other,
}

/// Reads no more than it needs to know.
async fn recognise(stream: &mut TcpStream, head: &mut Vec<u8>) -> Result<Speech, Denial> {
    let started = Instant::now();
    loop {
        let deadline = started + if head.is_empty() { FIRST_WORD } else { NAME };
        match timeout_at(deadline, stream.read_buf(head)).await {
            Err(_) if head.is_empty() => return Ok(Speech::Other),
            Err(_) => return Err(Denial::OpeningDeadline),
            Ok(Err(_)) => return Err(Denial::OpeningAborted),
            Ok(Ok(0)) => return Ok(Speech::Other),
            Ok(Ok(_)) => {}
        }
        if is_tls(head[0]) {
            match server_name(head) {
                ServerName::Named(name) => return Ok(Speech::Tls(Some(name))),
                ServerName::Unnamed => return Ok(Speech::Tls(None)),
                ServerName::NotTls => return Ok(Speech::Other),
                ServerName::Undecided if head.len() > CLIENT_HELLO_BYTES_MAX => return Ok(Speech::Other),
                ServerName::Undecided => {}
            }
        } else if let Some(is_http) = is_http(head) {
            return Ok(if is_http { Speech::Http } else { Speech::Other });
        }
    }
}

/// Whether it begins with a method, as far as that can be told.
fn is_http(head: &[u8]) -> Option<bool> {
    let letters = head.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match head.get(letters) {
        Some(b' ') => Some(letters > 0),
        Some(_) => Some(false),
        None if letters >= METHOD_BYTES_MAX => Some(false),
        None => None,
    }
}

/// Carries a connection as it is.
async fn carry(
    tunnels: &Arc<Tunnels>,
    route: &Route,
    mut stream: TcpStream,
    peer: SocketAddr,
    head: &[u8],
) -> Result<(), Denial> {
    let visiting = tunnels.admit(route, peer.ip())?;
    if visiting.session.access.wants_password() {
        // Only requests can show one.
        return Err(Denial::TunnelAccess);
    }
    let request = visiting.request;
    debug!(request, %peer, ?route, "visitor");
    let carried = if let Some(lane) = visiting.lane(peer) {
        carry_by_lane(&visiting, &mut stream, peer, head, lane).await
    } else {
        match visiting.open(peer, head).await? {
            Way::Stream(mut data) => {
                pipe::join_stream(&mut stream, &mut data, End::Relay, &tunnels.meter).await
            }
            Way::Yamux(mut data) => {
                pipe::join_copied(&mut stream, &mut data, End::Relay, &tunnels.meter).await
            }
        }
    };
    match carried {
        Ok(()) => debug!(request, "visitor left"),
        Err(error) => debug!(request, %error, "visitor cut off"),
    }
    Ok(())
}

/// Carries it in the trunk, and by a connection of its own once it needs one.
async fn carry_by_lane(
    visiting: &Visiting,
    stream: &mut TcpStream,
    peer: SocketAddr,
    head: &[u8],
    lane: Lane,
) -> io::Result<()> {
    lane.send(head).await?;
    let flowing = Notify::new();
    let rest = async {
        loop {
            flowing.notified().await;
            // Where there is none it stays in its lane, and asks again when as much has flowed.
            if let Some(stream) = visiting.rest(peer).await {
                break stream;
            }
        }
    };
    pipe::join_lane(stream, lane, End::Relay, &flowing, rest, &visiting.tunnels.meter).await
}
