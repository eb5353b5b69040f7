//! A UDP socket that is connected to a target, and moves many datagrams by one system call where the system can.
//!
//! Datagrams of one length leave as one, which the system cuts apart (UDP GSO); what has come is taken many at a time
//! (recvmmsg(2)) and joined (UDP GRO). Nothing waits: what the system does not take at once is lost, as with any UDP.

#[cfg(target_os = "linux")]
mod fragments;

use std::{
    cell::RefCell,
    io::{self, IoSliceMut},
    net::SocketAddr,
};

use bytes::Bytes;
use noq_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket};

/// Most bytes that the system takes at once: what a UDP datagram over IPv4 can have.
const RUN_BYTES_MAX: usize = 65_507;
/// The most that the system joins.
const JOINED_BYTES: usize = 64 * 1024;
/// Datagrams that wait in the system while a busy processor does something else: 16 ms at 1 Gb/s. The system counts
/// about twice a datagram's length, and may give less.
const SOCKET_BYTES: usize = 4 << 20;

thread_local! {
    /// One for all sockets that a thread serves: nothing waits while it is in use. What is not used takes no memory.
    static INBOX: RefCell<Vec<u8>> = RefCell::new(vec![0; BATCH_SIZE * JOINED_BYTES]);
}

/// See the module.
#[derive(Debug)]
pub struct BatchSocket {
    socket: UdpSocket,
    /// What the system can do for it.
    state: UdpSocketState,
    target: SocketAddr,
}

/// Datagrams of one length, the last one of what is left, as the system gives them.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl BatchSocket {
    /// Of a socket that is connected.
    ///
    /// # Errors
    /// It is not, or the system refuses.
    pub async fn new(socket: UdpSocket) -> io::Result<Self> {
        let target = socket.peer_addr()?;
        let state = UdpSocketState::new((&socket).into())?;
        #[cfg(target_os = "linux")]
        fragments::allow(&socket, target.is_ipv6())?;
        // Whatever the system gives.
        let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BYTES);
        let _ = SockRef::from(&socket).set_send_buffer_size(SOCKET_BYTES);
        // The runtime takes a socket for full until it has heard of it; the first datagram would be lost.
        socket.writable().await?;
        Ok(Self { socket, state, target })
    }

    /// Sends them in their order; how many were lost.
    pub fn send(&self, mut datagrams: &[Bytes]) -> usize {
        let mut lost = 0;
        while !datagrams.is_empty() {
            let (run, rest) = datagrams.split_at(run_len(datagrams, self.state.max_gso_segments().get()));
            lost += self.send_run(run);
            datagrams = rest;
        }
        lost
    }

    fn send_run(&self, run: &[Bytes]) -> usize {
        let [first, _, ..] = run else { return self.send_singly(run) };
        let contents = run.concat();
        let transmit = Transmit {
            destination: self.target,
            ecn: None,
            contents: &contents,
            segment_size: Some(first.len()),
            src_ip: None,
        };
        let socket = &self.socket;
        match socket.try_io(Interest::WRITABLE, || self.state.try_send(socket.into(), &transmit)) {
            Ok(()) => 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => run.len(),
            // Too long for the way, a system that cannot, or the news that an earlier one found nobody.
            Err(_) => self.send_singly(run),
        }
    }

    fn send_singly(&self, run: &[Bytes]) -> usize {
        run.iter().filter(|datagram| self.socket.try_send(datagram).is_err()).count()
    }

    /// Waits until [`BatchSocket::receive`] is worth a try.
    ///
    /// # Errors
    /// The runtime ends.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Gives what has come, up to a batch, to `take`.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has come; all others are news of earlier datagrams.
    pub fn receive(&self, take: impl FnOnce(&[Joined<'_>])) -> io::Result<()> {
        INBOX.with_borrow_mut(|inbox| {
            let mut buffers = inbox.chunks_mut(JOINED_BYTES).map(IoSliceMut::new);
            let mut buffers: [_; BATCH_SIZE] =
                std::array::from_fn(|_| buffers.next().expect("there is one for each"));
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let received = self.socket.try_io(Interest::READABLE, || {
                self.state.recv((&self.socket).into(), &mut buffers, &mut metas)
            })?;
            let mut batch = [Joined { bytes: &[], stride: 0 }; BATCH_SIZE];
            for ((joined, meta), buffer) in batch.iter_mut().zip(&metas[..received]).zip(&buffers) {
                *joined = Joined { bytes: &buffer[..meta.len], stride: meta.stride };
            }
            take(&batch[..received]);
            Ok(())
        })
    }
}

impl<'a> Joined<'a> {
    /// How many there are.
    pub fn count(self) -> usize {
        // An empty one is one, too.
        self.bytes.len().div_ceil(self.stride.max(1)).max(1)
    }

    /// Bytes of all of them.
    pub fn bytes(self) -> usize {
        self.bytes.len()
    }

    /// One after the other.
    pub fn datagrams(self) -> impl Iterator<Item = &'a [u8]> {
        let end = move |number: usize| self.bytes.len().min(number * self.stride);
        (0..self.count()).map(move |number| &self.bytes[end(number)..end(number + 1)])
    }
}

/// How many of the first datagrams can leave by one call: those of one length, of which the last one may be shorter, but
/// not empty. At least one.
fn run_len(datagrams: &[Bytes], segments_max: usize) -> usize {
    let segment = datagrams.first().map_or(0, Bytes::len);
    let (mut len, mut bytes) = (0, 0);
    for datagram in datagrams.iter().take(segments_max) {
        let is_behind_shorter = bytes < len * segment;
        let fits = (1..=segment).contains(&datagram.len()) && bytes + datagram.len() <= RUN_BYTES_MAX;
        if is_behind_shorter || !fits {
            break;
        }
        len += 1;
        bytes += datagram.len();
    }
    len.max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn datagrams(lens: &[usize]) -> Vec<Bytes> {
        lens.iter().enumerate().map(|(number, len)| vec![number as u8; *len].into()).collect()
    }

    #[test]
    fn a_run_is_of_one_length_and_may_end_with_a_shorter_one() {
        for (lens, expected) in [
            (&[3, 3, 3][..], 3),
            (&[3, 3, 2, 3], 3),
            (&[3, 4], 1),
            (&[3, 0, 3], 1),
            (&[0, 0, 3], 1),
            (&[3, 3, 3, 3, 3], 4),
            (&[40_000, 40_000], 1),
        ] {
            assert_eq!(run_len(&datagrams(lens), 4), expected, "{lens:?}");
        }
    }

    async fn received(socket: &BatchSocket, wanted: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let collecting = async {
            while all.len() < wanted {
                socket.readable().await.unwrap();
                // Another look, or news of an earlier datagram.
                let _ = socket.receive(|batch| {
                    all.extend(batch.iter().flat_map(|joined| joined.datagrams()).map(<[u8]>::to_vec));
                });
            }
        };
        timeout(Duration::from_secs(20), collecting).await.expect("all of them come");
        all
    }

    async fn connected(any: &str) -> [BatchSocket; 2] {
        let sockets = [UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap()];
        let addrs = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        sockets[0].connect(addrs[1]).await.unwrap();
        sockets[1].connect(addrs[0]).await.unwrap();
        let [one, other] = sockets;
        [BatchSocket::new(one).await.unwrap(), BatchSocket::new(other).await.unwrap()]
    }

    #[tokio::test]
    async fn datagrams_of_all_lengths_arrive_as_they_were_sent() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let [one, other] = connected(any).await;
            // The longest one is cut by the system on its way, where it has to be.
            let lens = [&[1200; 60][..], &[7, 0, 0, 1400, 1, 1, 60_000]].concat();
            let sent = datagrams(&lens);
            assert_eq!(one.send(&sent), 0);
            assert!(received(&other, sent.len()).await == sent, "{any}");
        }
    }

    #[tokio::test]
    async fn a_target_that_was_not_there_is_reached_when_it_is() {
        let [one, other] = connected("127.0.0.1:0").await;
        let (gone, here) = (other.socket.local_addr().unwrap(), one.socket.local_addr().unwrap());
        drop(other);
        // Whether the system tells of it at once does not matter.
        one.send(&datagrams(&[10, 10]));
        let again = UdpSocket::bind(gone).await.unwrap();
        again.connect(here).await.unwrap();
        let again = BatchSocket::new(again).await.unwrap();
        assert_eq!(one.send(&datagrams(&[10, 10, 10])), 0);
        assert_eq!(received(&again, 3).await.len(), 3);
    }
}
