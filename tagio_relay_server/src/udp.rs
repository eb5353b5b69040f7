//! The UDP side: one task per socket, from its receive buffer straight to where a packet goes.
//!
//! Nothing here waits for anybody: what the system does not take at once is dropped and counted, as a
//! router does, and the sessions' QUIC repairs it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tagio_relay_core::{Denial, SocketIndex, UdpPeer};
use tagio_wire::{
    leg::{DATA_HEADER_LEN, PACKET_BYTES_MAX},
    nat::is_stun,
};
use tokio::{net::UdpSocket, time::sleep};
use tracing::debug;

use crate::{
    hub::{Action, Delivery},
    lock::lock,
    shared::Shared,
    stun,
};

/// The longest datagram of ours and one byte, so that a longer one shows.
const BUFFER_LEN: usize = DATA_HEADER_LEN + PACKET_BYTES_MAX + 1;
/// Datagrams that one turn takes before other tasks have theirs.
const BATCH: usize = 64;
/// Pause after an error that may last, so that it does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// All UDP sockets of a server, by [`SocketIndex`].
pub(crate) struct UdpSockets {
    links: Vec<Link>,
    /// Where they listen, in the same order.
    addrs: Vec<SocketAddr>,
}

struct Link {
    socket: UdpSocket,
    /// An IPv6 socket reaches IPv4 clients by mapped addresses.
    is_v6: bool,
}

impl UdpSockets {
    pub(crate) fn new(sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let addrs = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let link = |(socket, addr): (UdpSocket, &SocketAddr)| Link { socket, is_v6: addr.is_ipv6() };
        let links = sockets.into_iter().zip(&addrs).map(link).collect();
        Ok(Self { links, addrs })
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = SocketIndex> {
        (0..=u8::MAX).map(SocketIndex).take(self.links.len())
    }

    /// Where one of them listens.
    pub(crate) fn addr(&self, index: SocketIndex) -> SocketAddr {
        self.addrs[usize::from(index.0)]
    }

    /// Where all of them listen.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    fn link(&self, index: SocketIndex) -> &Link {
        &self.links[usize::from(index.0)]
    }
}

impl Link {
    fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = match to.ip() {
            IpAddr::V4(v4) if self.is_v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => to,
        };
        self.socket.try_send_to(bytes, to)
    }
}

/// Serves one socket; never returns.
pub(crate) async fn serve(shared: Arc<Shared>, index: SocketIndex) {
    let link = shared.sockets.link(index);
    let mut buffer = [0; BUFFER_LEN];
    loop {
        if let Err(error) = link.socket.readable().await {
            debug!(%error, "UDP socket");
            sleep(ERROR_PAUSE).await;
            continue;
        }
        for _ in 0..BATCH {
            match link.socket.try_recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let addr = SocketAddr::new(from.ip().to_canonical(), from.port());
                    handle(&shared, UdpPeer { socket: index, addr }, &buffer[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Windows tells here that an earlier datagram found nobody, or that this one was too long.
                Err(error) => {
                    debug!(%error, "UDP receive");
                    tokio::task::yield_now().await;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

fn handle(shared: &Shared, from: UdpPeer, bytes: &[u8]) {
    if bytes.first().is_some_and(|first| is_stun(*first)) {
        return stun::handle(shared, from, bytes);
    }
    let action = lock(&shared.hub).handle_datagram(from, bytes);
    match action {
        Action::Deliver(delivery) => deliver(shared, &delivery, bytes),
        Action::Reply { answer, held } => {
            let sender = Delivery::Udp(from);
            deliver(shared, &sender, &answer.bytes());
            held.iter().for_each(|datagram| deliver(shared, &sender, datagram));
        }
        Action::Nothing => {}
    }
}

/// Sends a datagram to where it goes; to TCP, which gets `DATA` only, the packet in it.
pub(crate) fn deliver(shared: &Shared, to: &Delivery, datagram: &[u8]) {
    match to {
        Delivery::Udp(peer) => {
            if shared.sockets.link(peer.socket).send(datagram, peer.addr).is_err() {
                shared.denials.count(Denial::UdpSend);
            }
        }
        Delivery::Tcp(outbox) => {
            if outbox.push(&datagram[DATA_HEADER_LEN..]).is_err() {
                shared.denials.count(Denial::LegQueueFull);
            }
        }
    }
}
