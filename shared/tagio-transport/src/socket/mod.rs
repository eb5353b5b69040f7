//! The abstract socket that QUIC sends and receives through.
//!
//! INVARIANT: `poll_send` never fails, and waits only for the system's own UDP queue; a relay leg by TCP
//! drops instead. `poll_recv` never fails but for the whole socket's end. Either would end or stall every
//! session of the process.

mod budget;
mod extra;
mod first_flight;
mod switch;
mod udp;

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use noq::udp::{RecvMeta, Transmit};
use tagio_wire::{
    leg::{Channel, DATA_HEADER_LEN, is_leg_datagram, tag},
    nat::is_stun,
};
use tokio::sync::mpsc;

pub(crate) use first_flight::FirstFlight;
pub(crate) use switch::{LegEvent, PunchEvent, StunMail, Switch, is_leg};
pub(crate) use udp::{Udp, any_v6, mapped, unmapped};

/// Packets that came over TCP legs and wait for QUIC. When full, the TCP reader waits: back-pressure to
/// the relay, which drops.
pub(crate) const TCP_INBOUND_PACKETS: usize = 512;

/// A packet with the address that QUIC knows its sender by.
pub(crate) type Inbound = (SocketAddr, Vec<u8>);

pub(crate) struct Socket {
    switch: Arc<Switch>,
    /// Packets from TCP legs.
    tcp: mpsc::Receiver<Inbound>,
    /// Packets that came in one system buffer with those of another channel.
    set_aside: VecDeque<Inbound>,
    /// Which real socket is asked first, so that a busy one starves no other.
    turn: usize,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?})", self.switch.sockets())
    }
}

impl Socket {
    pub(crate) fn new(switch: Arc<Switch>, tcp: mpsc::Receiver<Inbound>) -> Self {
        Self { switch, tcp, set_aside: VecDeque::new(), turn: 0 }
    }

    fn poll_tcp(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> usize {
        let mut count = 0;
        while count < bufs.len().min(metas.len()) {
            let next = match self.set_aside.pop_front() {
                Some(inbound) => inbound,
                None => match self.tcp.poll_recv(cx) {
                    Poll::Ready(Some(inbound)) => inbound,
                    Poll::Ready(None) | Poll::Pending => break,
                },
            };
            let (from, packet) = next;
            if packet.len() > bufs[count].len() {
                continue;
            }
            bufs[count][..packet.len()].copy_from_slice(&packet);
            let mut meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, packet.len(), packet.len());
            metas[count] = meta;
            count += 1;
        }
        count
    }

    /// Leaves in `buf` only what QUIC should see, and says in `meta` who sent it. `len` 0: nothing.
    fn sort(&mut self, udp: &Udp, buf: &mut [u8], meta: &mut RecvMeta) {
        let Some(&first) = buf[..meta.len].first() else { return };
        if first == tag::DATA {
            self.unwrap_data(buf, meta);
        } else if is_leg_datagram(first) {
            let stride = meta.stride.max(1);
            buf[..meta.len].chunks(stride).for_each(|datagram| self.switch.handle(udp, meta.addr, datagram));
            meta.len = 0;
        } else if is_stun(first) {
            let stride = meta.stride.max(1);
            buf[..meta.len].chunks(stride).for_each(|message| self.switch.handle_stun(meta.addr, message));
            meta.len = 0;
        }
    }

    /// Strips the relay's header from each packet of a buffer. The packets keep their equal length, so a
    /// coalesced buffer stays one.
    fn unwrap_data(&mut self, buf: &mut [u8], meta: &mut RecvMeta) {
        let (relay, len, stride) = (meta.addr, meta.len, meta.stride.max(1));
        meta.len = 0;
        let mut seen: Option<(Channel, SocketAddr)> = None;
        let mut write = 0;
        for start in (0..len).step_by(stride) {
            let end = (start + stride).min(len);
            if end - start <= DATA_HEADER_LEN || buf[start] != tag::DATA {
                continue;
            }
            let channel =
                Channel(u32::from_be_bytes([buf[start + 1], buf[start + 2], buf[start + 3], buf[start + 4]]));
            let packet = start + DATA_HEADER_LEN..end;
            match seen {
                Some((same, _)) if same == channel => {}
                None => match self.switch.leg_addr(relay, channel) {
                    Some(addr) => seen = Some((channel, addr)),
                    None => continue,
                },
                Some(_) => {
                    if let Some(addr) = self.switch.leg_addr(relay, channel) {
                        self.set_aside.push_back((addr, buf[packet].to_vec()));
                    }
                    continue;
                }
            }
            let packet_len = packet.len();
            buf.copy_within(packet, write);
            write += packet_len;
        }
        if let Some((_, addr)) = seen {
            meta.addr = addr;
            meta.len = write;
            meta.stride = stride - DATA_HEADER_LEN;
            (meta.dst_ip, meta.ecn) = (None, None);
        }
    }
}

impl noq::AsyncUdpSocket for Socket {
    fn create_sender(&self) -> Pin<Box<dyn noq::UdpSender>> {
        Box::pin(Sender { switch: Arc::clone(&self.switch), scratch: Vec::new(), waiting: None })
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = self.poll_tcp(cx, bufs, metas);
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        self.switch.set_receiver(cx.waker());
        let own = self.switch.sockets().len();
        let mut sockets = self.switch.sockets().to_vec();
        sockets.extend(self.switch.extras().all());
        for i in 0..sockets.len() {
            let index = (self.turn + i) % sockets.len();
            let udp = &sockets[index];
            match udp.poll_recv(cx, bufs, metas) {
                Poll::Pending => {}
                Poll::Ready(Ok(count)) => {
                    self.turn = (self.turn + 1) % sockets.len();
                    for (buf, meta) in bufs.iter_mut().zip(metas.iter_mut()).take(count) {
                        if index >= own {
                            self.switch.extras().heard(meta.addr, udp);
                        }
                        self.sort(udp, buf, meta);
                    }
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Err(error)) => {
                    // Such as an ICMP answer on Windows. It names no session, so it ends none.
                    tracing::debug!(%error, "UDP receive failed");
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        let port = self.switch.sockets().first().map_or(Ok(0), |udp| udp.local_addr().map(|a| a.port()))?;
        Ok(any_v6(port))
    }

    fn max_receive_segments(&self) -> NonZeroUsize {
        self.switch.segments_in_max()
    }

    fn may_fragment(&self) -> bool {
        self.switch.sockets().iter().any(|udp| udp.may_fragment())
    }
}

/// Sends for one connection. Waits with a future of its own, so that connections do not overwrite each
/// other's wakers.
struct Sender {
    switch: Arc<Switch>,
    /// Packets with the relay's header, reused.
    scratch: Vec<u8>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl noq::UdpSender for Sender {
    fn poll_send(
        mut self: Pin<&mut Self>,
        transmit: &Transmit<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                match waiting.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(_) => self.waiting = None,
                }
            }
            let this = &mut *self;
            match this.switch.try_send(transmit, &mut this.scratch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some(udp) = self.switch.udp_behind(transmit.destination) else {
                        return Poll::Ready(Ok(()));
                    };
                    self.waiting = Some(Box::pin(async move { udp.writable().await }));
                }
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => {
                    tracing::trace!(%error, "packet lost");
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn max_transmit_segments(&self) -> NonZeroUsize {
        self.switch.segments_out_max()
    }
}
