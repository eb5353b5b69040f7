//! Opens the sockets, and takes TCP connections from them.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use tagio_relay_core::Denial;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::shared::Shared;

/// Connections that wait to be accepted: a burst of clients that come back at once.
const BACKLOG: i32 = 4096;
/// Asked of the system for UDP; 8 MB hold 60 ms of 1 Gb/s. It may give less.
const UDP_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Below this the system's limit is worth a warning.
const UDP_BUFFER_BYTES_MIN: usize = 1024 * 1024;
/// Tries for a port that is free for both TCP and UDP, when any will do.
const FREE_PORT_TRIES: usize = 32;
/// Pause when the system has no file descriptor left: others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One port number, both protocols.
pub(crate) struct Pair {
    pub(crate) tcp: TcpListener,
    pub(crate) udp: UdpSocket,
    pub(crate) addr: SocketAddr,
}

/// Opens all addresses, in their order. Must be called within a runtime.
pub(crate) fn open_all(binds: &[SocketAddr]) -> Result<Vec<Pair>> {
    binds.iter().map(|addr| open(*addr, binds).with_context(|| advice(*addr))).collect()
}

fn advice(addr: SocketAddr) -> String {
    format!(
        "cannot listen on {addr} (a port above 1023 needs no rights, another program may hold this one: \
             choose with --bind 0.0.0.0:PORT)"
    )
}

fn open(addr: SocketAddr, all: &[SocketAddr]) -> io::Result<Pair> {
    // `[::]` serves IPv4 too, unless somebody else on the list does.
    let only_v6 = all.iter().any(|other| other.is_ipv4() && other.port() == addr.port());
    let port_use = if addr.ip().is_unspecified() { PortUse::Shared } else { PortUse::Alone };
    let tries = if addr.port() == 0 { FREE_PORT_TRIES } else { 1 };
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..tries {
        let tcp = open_tcp(addr, only_v6)?;
        let addr = tcp.local_addr()?;
        match open_udp(addr, only_v6, port_use) {
            Ok(udp) => {
                return Ok(Pair { tcp: TcpListener::from_std(tcp)?, udp: UdpSocket::from_std(udp)?, addr });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

pub(crate) fn open_tcp(addr: SocketAddr, only_v6: bool) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Unix: the port of a relay that was just stopped is free. Windows gives the option another meaning.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether sockets on other addresses may have the same UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortUse {
    Alone,
    /// One on all addresses beside those on single ones: see `vantage`. The TCP socket, which never shares, keeps
    /// another relay out.
    Shared,
}

/// Opens a socket for datagrams. `only_v6` matters to `[::]` alone.
pub(crate) fn open_udp(addr: SocketAddr, only_v6: bool, port: PortUse) -> io::Result<StdUdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Windows lets them stand side by side as they are.
    #[cfg(unix)]
    socket.set_reuse_port(port == PortUse::Shared)?;
    #[cfg(not(unix))]
    let _ = port;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Best effort: systems differ in what they allow, and a small buffer only drops sooner.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
    if socket.recv_buffer_size().is_ok_and(|bytes| bytes < UDP_BUFFER_BYTES_MIN) {
        warn!("the system allows small UDP buffers only; raise net.core.rmem_max and wmem_max");
    }
    Ok(socket.into())
}

/// Takes connections until `stop`, each served by a task of its own; then returns when all have ended.
pub(crate) async fn accept<F>(
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: CancellationToken,
    serve: impl Fn(Arc<Shared>, TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(canonical(peer.ip()), peer.port());
                    connections.spawn(serve(Arc::clone(&shared), stream, peer));
                }
                Err(error) => {
                    debug!(%error, "accept");
                    shared.denials.count(Denial::Accept);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// A panic ends its own connection only, and is a bug worth a line.
pub(crate) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection's task panicked");
    }
}
