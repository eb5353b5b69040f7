//! The UDP side: one task per socket, from its receive buffers straight to where a packet goes.
//!
//! Many datagrams cost one system call each way where the system can do that: they are received by `recvmmsg` and
//! joined by GRO, and those that go to one client leave by GSO. Nothing here waits for anybody: what the system does
//! not take at once is dropped and counted, as a router does, and the sessions' QUIC repairs it.

mod burst;

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use noq_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tagio_relay_core::{Denial, SocketIndex, UdpPeer};
use tagio_wire::{
    leg::{DATA_HEADER_LEN, PACKET_BYTES_MAX},
    nat::{is_quic, is_stun},
};
use tokio::{io::Interest, net::UdpSocket, time::sleep};
use tracing::debug;

use crate::{
    hub::{Action, Delivery},
    lock::lock,
    shared::Shared,
    stun,
};
use burst::Burst;

/// The longest datagram of ours and one byte, so that a longer one shows.
const DATAGRAM_BYTES: usize = DATA_HEADER_LEN + PACKET_BYTES_MAX + 1;
/// The most that the system joins.
const JOINED_BYTES: usize = 64 * 1024;
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
    /// What the system can do for it.
    state: UdpSocketState,
    /// An IPv6 socket reaches IPv4 clients by mapped addresses.
    is_v6: bool,
}

impl UdpSockets {
    pub(crate) fn new(sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let addrs = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let link = |(socket, addr): (UdpSocket, &SocketAddr)| {
            let state = UdpSocketState::new((&socket).into())?;
            Ok(Link { socket, state, is_v6: addr.is_ipv6() })
        };
        let links = sockets.into_iter().zip(&addrs).map(link).collect::<io::Result<_>>()?;
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

    /// Sends datagrams of `segment` bytes, the last one of what is left.
    pub(crate) fn try_send(
        &self,
        from: SocketIndex,
        datagrams: &[u8],
        segment: usize,
        to: SocketAddr,
    ) -> io::Result<()> {
        self.link(from).try_send(datagrams, segment, to)
    }

    /// Waits until the system takes more.
    pub(crate) async fn writable(&self, index: SocketIndex) -> io::Result<()> {
        self.link(index).socket.writable().await
    }

    /// Datagrams that every socket sends at once.
    pub(crate) fn segments_max(&self) -> NonZeroUsize {
        let each = self.links.iter().map(|link| link.state.max_gso_segments());
        each.min().unwrap_or(NonZeroUsize::MIN)
    }

    /// Whether routers may cut what a socket sends.
    pub(crate) fn may_fragment(&self) -> bool {
        self.links.iter().any(|link| link.state.may_fragment())
    }

    fn link(&self, index: SocketIndex) -> &Link {
        &self.links[usize::from(index.0)]
    }
}

impl Link {
    /// Sends datagrams of `segment` bytes, the last one of what is left; how many were lost.
    fn send(&self, bytes: &[u8], segment: usize, to: SocketAddr) -> u64 {
        match self.try_send(bytes, segment, to) {
            Ok(()) => 0,
            // One that is too long for the way, or a system that cannot, must not cost the others.
            Err(error) if bytes.len() > segment && error.kind() != io::ErrorKind::WouldBlock => {
                bytes.chunks(segment).map(|datagram| self.send(datagram, segment, to)).sum()
            }
            Err(_) => bytes.len().div_ceil(segment) as u64,
        }
    }

    fn try_send(&self, contents: &[u8], segment: usize, to: SocketAddr) -> io::Result<()> {
        let destination = match to.ip() {
            IpAddr::V4(v4) if self.is_v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => to,
        };
        let transmit =
            Transmit { destination, ecn: None, contents, segment_size: Some(segment), src_ip: None };
        let socket = &self.socket;
        socket.try_io(Interest::WRITABLE, || self.state.try_send(socket.into(), &transmit))
    }
}

/// What one turn receives: at most [`BATCH_SIZE`] times what the system joins, then other tasks have theirs.
struct Inbox {
    buffers: Vec<Box<[u8]>>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Inbox {
    fn new(link: &Link) -> Self {
        let joins = link.state.gro_segments().get() > 1;
        let buffer = || vec![0; if joins { JOINED_BYTES } else { DATAGRAM_BYTES }].into_boxed_slice();
        Self {
            buffers: (0..BATCH_SIZE).map(|_| buffer()).collect(),
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }

    /// Takes what there is: senders, and datagrams of so many bytes, the last one of what is left.
    fn receive(&mut self, link: &Link) -> io::Result<impl Iterator<Item = (SocketAddr, &[u8], usize)>> {
        let mut buffers = self.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer));
        let mut slices: [_; BATCH_SIZE] =
            std::array::from_fn(|_| buffers.next().expect("there is one for each"));
        let mut received = 0;
        let read = link.socket.try_io(Interest::READABLE, || {
            received = link.state.recv((&link.socket).into(), &mut slices, &mut self.metas)?;
            // Where there is room left, nothing else has come: a second call would only find that out.
            if received < BATCH_SIZE { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if received == 0 {
            read?;
        }
        Ok(self.metas[..received].iter().zip(&self.buffers).map(|(meta, buffer)| {
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            (from, &buffer[..meta.len], meta.stride)
        }))
    }
}

/// Serves one socket; never returns.
pub(crate) async fn serve(shared: Arc<Shared>, index: SocketIndex) {
    let link = shared.sockets.link(index);
    let mut inbox = Inbox::new(link);
    let mut turn = Turn { outgoing: Outgoing::new(&shared), actions: Vec::new() };
    loop {
        if let Err(error) = link.socket.readable().await {
            debug!(%error, "UDP socket");
            sleep(ERROR_PAUSE).await;
            continue;
        }
        match inbox.receive(link) {
            Ok(received) => {
                let now = Instant::now();
                for (addr, bytes, stride) in received {
                    turn.handle(UdpPeer { socket: index, addr }, bytes, stride, now);
                }
                turn.outgoing.flush();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Windows tells here that an earlier datagram found nobody.
            Err(error) => debug!(%error, "UDP receive"),
        }
        tokio::task::yield_now().await;
    }
}

struct Turn<'a> {
    outgoing: Outgoing<'a>,
    /// What to do with which bytes of those that were received at once. Empty between two of them.
    actions: Vec<(Action, Range<usize>)>,
}

impl Turn<'_> {
    /// Handles what came at once `from` a client: datagrams of `stride` bytes, the last one of what is left.
    fn handle(&mut self, from: UdpPeer, bytes: &[u8], stride: usize, now: Instant) {
        let shared = self.outgoing.shared;
        if bytes.first().is_some_and(|first| is_stun(*first)) {
            return bytes
                .chunks(stride)
                .for_each(|datagram| stun::handle(&mut self.outgoing, from, datagram));
        }
        if let Some(forward) = shared.forward()
            && bytes.first().is_some_and(|first| is_quic(*first))
        {
            let dropped = forward.take(from.socket, from.addr, bytes, stride);
            return shared.denials.count_many(Denial::ForwardQueueFull, dropped);
        }
        {
            let mut hub = lock(&shared.hub);
            // An empty datagram is one, too.
            for start in (0..bytes.len().max(1)).step_by(stride.max(1)) {
                let range = start..bytes.len().min(start + stride);
                self.actions.push((hub.handle_datagram(from, &bytes[range.clone()], now), range));
            }
        }
        for (action, range) in self.actions.drain(..) {
            match action {
                Action::Deliver(delivery) => {
                    let (header, packet) = bytes[range].split_at(DATA_HEADER_LEN);
                    self.outgoing.deliver(&delivery, header, packet);
                }
                Action::Reply { answer, held } => {
                    self.outgoing.send(from, &[], &answer.bytes());
                    held.iter().for_each(|datagram| self.outgoing.send(from, &[], datagram));
                }
                Action::Nothing => {}
            }
        }
    }
}

/// What leaves, gathered as far as it goes to the same client.
pub(crate) struct Outgoing<'a> {
    pub(crate) shared: &'a Shared,
    burst: Burst,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, burst: Burst::default() }
    }

    /// Sends a packet to where it goes, over UDP behind its `header`.
    pub(crate) fn deliver(&mut self, to: &Delivery, header: &[u8], packet: &[u8]) {
        match to {
            Delivery::Udp(peer) => self.send(*peer, header, packet),
            Delivery::Tcp(outbox) => {
                if outbox.push(packet).is_err() {
                    self.shared.denials.count(Denial::LegQueueFull);
                }
            }
        }
    }

    /// Sends a datagram, which is `head` and then `rest`, with the next flush at the latest.
    pub(crate) fn send(&mut self, to: UdpPeer, head: &[u8], rest: &[u8]) {
        let segments_max = self.shared.sockets.link(to.socket).state.max_gso_segments().get();
        if !self.burst.push(to, head, rest, segments_max) {
            self.flush();
            let fits = self.burst.push(to, head, rest, segments_max);
            debug_assert!(fits, "an empty burst takes anything");
        }
    }

    /// Sends what was gathered.
    pub(crate) fn flush(&mut self) {
        let Some((to, bytes, segment)) = self.burst.contents() else { return };
        let lost = self.shared.sockets.link(to.socket).send(bytes, segment, to.addr);
        self.shared.denials.count_many(Denial::UdpSend, lost);
        self.burst.clear();
    }
}
