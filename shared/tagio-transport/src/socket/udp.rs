//! One real UDP socket, with segmentation offload where the system has it and without where it does not.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    task::{Context, Poll, ready},
};

use noq_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::{io::Interest, io::ReadBuf, net::UdpSocket};

/// Kernel buffer in each direction: about 20 ms at 1 Gb/s. The system may grant less.
const KERNEL_BUFFER_BYTES: usize = 2 << 20;

/// Routers that a packet may pass: the usual value of every system (RFC 1700, and Linux's own).
const HOPS: u32 = 64;

/// A UDP socket of one address family. Addresses outside it are IPv6, IPv4 being mapped.
pub(crate) struct Udp {
    io: UdpSocket,
    /// `None` where the system refuses the options that offload needs (Wine does).
    offload: Option<UdpSocketState>,
    is_v4: bool,
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Udp({:?}, offload: {})", self.io.local_addr().ok(), self.offload.is_some())
    }
}

impl Udp {
    /// Binds `addr`. Needs a tokio runtime.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with_buffers(addr, Some(KERNEL_BUFFER_BYTES))
    }

    /// Binds `addr` with buffers of the system's choice: for sockets of which there are many.
    pub(crate) fn bind_small(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with_buffers(addr, None)
    }

    fn bind_with_buffers(addr: SocketAddr, buffer_bytes: Option<usize>) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(addr),
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        if let Some(bytes) = buffer_bytes {
            // Smaller buffers work too: what does not fit is lost, and QUIC sends it again.
            socket.set_recv_buffer_size(bytes).ok();
            socket.set_send_buffer_size(bytes).ok();
        }
        socket.bind(&addr.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        let offload = match UdpSocketState::new((&io).into()) {
            Ok(state) => Some(state),
            Err(error) => {
                tracing::info!(%error, "UDP without offload");
                None
            }
        };
        Ok(Self { io, offload, is_v4: addr.is_ipv4() })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub(crate) fn may_fragment(&self) -> bool {
        self.offload.as_ref().is_none_or(UdpSocketState::may_fragment)
    }

    pub(crate) fn segments_out_max(&self) -> NonZeroUsize {
        self.offload.as_ref().map_or(NonZeroUsize::MIN, UdpSocketState::max_gso_segments)
    }

    pub(crate) fn segments_in_max(&self) -> NonZeroUsize {
        self.offload.as_ref().map_or(NonZeroUsize::MIN, UdpSocketState::gro_segments)
    }

    /// Whether this socket can send to `addr`.
    pub(crate) fn reaches(&self, addr: SocketAddr) -> bool {
        self.is_v4 == is_v4(addr)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Sends one packet or, with a segment size, several. `WouldBlock` is the only error that the caller
    /// has to act on.
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let to = self.outside(transmit.destination);
        let Some(state) = &self.offload else {
            let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
            return transmit
                .contents
                .chunks(segment)
                .try_for_each(|packet| self.io.try_send_to(packet, to).map(drop));
        };
        let src_ip = transmit.src_ip.map(|ip| self.outside(SocketAddr::new(ip, 0)).ip());
        let transmit = Transmit { destination: to, src_ip, ..transmit.clone() };
        self.io.try_io(Interest::WRITABLE, || state.try_send((&self.io).into(), &transmit))
    }

    /// Sends one small datagram that may pass `hops` routers, or loses it. IPv6 packets go all the way.
    ///
    /// What is sent by this socket from another thread at this very moment dies on the way too; QUIC sends it again.
    pub(crate) fn try_send_short(&self, hops: u32, contents: &[u8], to: SocketAddr) {
        let socket = SockRef::from(&self.io);
        let limited = self.is_v4 && socket.set_ttl_v4(hops).is_ok();
        if let Err(error) = self.io.try_send_to(contents, self.outside(to)) {
            tracing::trace!(%error, "datagram lost");
        }
        if limited && let Err(error) = socket.set_ttl_v4(HOPS) {
            tracing::warn!(%error, "packets of a socket go no further than its router");
        }
    }

    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = match &self.offload {
            Some(state) => ready!(self.poll_batch(cx, state, bufs, metas))?,
            None => ready!(self.poll_single(cx, bufs, metas))?,
        };
        for meta in &mut metas[..count] {
            meta.addr = mapped(meta.addr);
            meta.dst_ip = meta.dst_ip.map(|ip| mapped(SocketAddr::new(ip, 0)).ip());
        }
        Poll::Ready(Ok(count))
    }

    fn poll_batch(
        &self,
        cx: &mut Context<'_>,
        state: &UdpSocketState,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || state.recv((&self.io).into(), bufs, metas));
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_single(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(&mut bufs[0]);
        let from = ready!(self.io.poll_recv_from(cx, &mut buf))?;
        let len = buf.filled().len();
        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (from, len, len);
        metas[0] = meta;
        Poll::Ready(Ok(1))
    }

    /// The address as this socket's family spells it.
    fn outside(&self, addr: SocketAddr) -> SocketAddr {
        match addr.ip() {
            IpAddr::V6(ip) if self.is_v4 => {
                ip.to_ipv4_mapped().map_or(addr, |v4| SocketAddr::new(v4.into(), addr.port()))
            }
            _ => addr,
        }
    }
}

/// `addr` as IPv6, an IPv4 one mapped: the only spelling inside this crate.
pub(crate) fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// `addr` as people write it: a mapped IPv4 address becomes IPv4 again.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn is_v4(addr: SocketAddr) -> bool {
    match addr.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    }
}

/// The unspecified IPv6 address with `port`, which tells QUIC that every family is at hand.
pub(crate) fn any_v6(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
}
