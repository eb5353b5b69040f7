//! The abstract socket of the endpoint: packets are put in by whoever owns the real one, and leave by it.
//!
//! A server may have several real sockets. QUIC is told a made-up local address that names one of them, so that answers
//! leave by the socket that was asked.

use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use noq::udp::{RecvMeta, Transmit};

use super::unmapped;

/// Bytes of packets that wait for QUIC: 16 ms at 2 Gb/s. When it is full, packets are dropped, as a socket does.
const INLET_BYTES_MAX: usize = 4 << 20;
/// Longest packet that QUIC reads here: Ethernet's, and noq's default.
const PACKET_BYTES_MAX: usize = 1472;
/// Packets that QUIC is given as one buffer: as many as the system joins.
const SEGMENTS_MAX: usize = 64;

/// How packets leave.
pub trait Doorway: Send + Sync + 'static {
    /// Sends packets of `segment` bytes, the last one may be shorter, by the socket of this number. Fails with
    /// `WouldBlock` where the caller is to wait.
    ///
    /// # Errors
    /// Of the system; all others mean that the packets are lost.
    fn try_send(&self, socket: u8, to: SocketAddr, packets: &[u8], segment: usize) -> io::Result<()>;

    /// Waits until [`Doorway::try_send`] is worth a try.
    fn writable(&self, socket: u8) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

    /// Packets that one call of [`Doorway::try_send`] sends well.
    fn segments_max(&self) -> NonZeroUsize;

    /// Whether routers may cut packets: then QUIC does not look for longer ones.
    fn may_fragment(&self) -> bool;
}

/// Where packets come in. Clones lead to the same endpoint.
#[derive(Clone, Debug)]
pub struct Inlet(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// Packets one behind the other.
    bytes: Vec<u8>,
    /// What is in `bytes`; all before `next` is taken.
    runs: Vec<Run>,
    next: usize,
    next_byte: usize,
    waker: Option<Waker>,
}

/// Packets of `stride` bytes, the last one of what is left.
#[derive(Clone, Copy, Debug)]
struct Run {
    len: usize,
    stride: usize,
    from: SocketAddr,
    socket: u8,
}

impl Inlet {
    /// Takes packets of `stride` bytes, the last one of what is left, that came to the socket of this number; `false`
    /// if they had to be dropped.
    pub fn put(&self, socket: u8, from: SocketAddr, packets: &[u8], stride: usize) -> bool {
        let mut queue = self.lock();
        if stride > PACKET_BYTES_MAX || queue.bytes.len() + packets.len() > INLET_BYTES_MAX {
            return false;
        }
        for run in packets.chunks(stride.max(1) * SEGMENTS_MAX) {
            queue.bytes.extend_from_slice(run);
            queue.runs.push(Run { len: run.len(), stride, from, socket });
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Moves packets into `buffers`, as many as there are.
    fn take(&mut self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> usize {
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(run) = self.runs.get(self.next).copied() else { break };
            let bytes = &self.bytes[self.next_byte..][..run.len];
            // Always all: `put` looks at the length, and buffers are as long as the longest run.
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (mapped(run.from), len, run.stride);
            meta.dst_ip = Some(local_ip(run.socket));
            self.next += 1;
            self.next_byte += run.len;
            count += 1;
        }
        // Not at each turn: what is left has to be moved.
        if self.next_byte * 2 >= self.bytes.len() {
            self.bytes.drain(..self.next_byte);
            self.runs.drain(..self.next);
            (self.next, self.next_byte) = (0, 0);
        }
        count
    }
}

pub(super) struct Socket {
    inlet: Inlet,
    doorway: Arc<dyn Doorway>,
}

impl Socket {
    pub(super) fn new(doorway: impl Doorway) -> (Self, Inlet) {
        let inlet = Inlet(Arc::default());
        (Self { inlet: inlet.clone(), doorway: Arc::new(doorway) }, inlet)
    }
}

impl noq::AsyncUdpSocket for Socket {
    fn create_sender(&self) -> Pin<Box<dyn noq::UdpSender>> {
        Box::pin(Sender { doorway: Arc::clone(&self.doorway), waiting: None })
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.inlet.lock();
        match queue.take(buffers, metas) {
            0 => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            count => Poll::Ready(Ok(count)),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        // Tells QUIC that addresses are IPv6 here; the port is nobody's business.
        Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))
    }

    fn max_receive_segments(&self) -> NonZeroUsize {
        NonZeroUsize::new(SEGMENTS_MAX).expect("it is not 0")
    }

    fn may_fragment(&self) -> bool {
        self.doorway.may_fragment()
    }
}

/// Sends for one connection.
struct Sender {
    doorway: Arc<dyn Doorway>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl noq::UdpSender for Sender {
    fn poll_send(
        mut self: Pin<&mut Self>,
        transmit: &Transmit<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = socket_of(transmit.src_ip);
        let to = unmapped(transmit.destination);
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        loop {
            if let Some(waiting) = &mut self.waiting {
                std::task::ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            match self.doorway.try_send(socket, to, transmit.contents, segment) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting = Some(self.doorway.writable(socket));
                }
                // Lost: an error would end the connection, and QUIC sends it again.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn max_transmit_segments(&self) -> NonZeroUsize {
        self.doorway.segments_max()
    }
}

/// Made up, of the block for documents (RFC 3849).
fn local_ip(socket: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, socket.into()).into()
}

fn socket_of(local: Option<IpAddr>) -> u8 {
    match local {
        Some(IpAddr::V6(ip)) => ip.octets()[15],
        Some(IpAddr::V4(_)) | None => 0,
    }
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
