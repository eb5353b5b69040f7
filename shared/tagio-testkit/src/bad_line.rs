//! A line to the relay that is late, narrow and loses packets. A program, because not every kernel can do that.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{Namespace, Seeded};

/// What a line does to each datagram, in either direction.
#[derive(Clone, Copy, Debug)]
pub struct Impairment {
    /// How long each is under way, one way.
    pub delay: Duration,
    /// How many of a hundred never arrive.
    pub loss_percent: usize,
    /// How much passes.
    pub kilobits_per_second: u32,
}

/// How long a datagram may wait for its turn before it is dropped, as in front of [`Namespace::limit_rate`].
const QUEUE: Duration = Duration::from_millis(400);
/// Datagrams under way, at most: half a second of the smallest at 20 Mbit/s.
const UNDER_WAY_MAX: usize = 20_000;
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How often its threads look whether it is still wanted.
const ATTENTION: Duration = Duration::from_millis(50);

/// A second address of the relay, for one program; what goes by it goes by a bad line. TCP, which carries no
/// picture while UDP gets through, passes unhindered.
#[derive(Debug)]
pub struct BadLine {
    /// For `--relay`.
    pub address: SocketAddr,
    fate: Arc<Fate>,
    threads: Vec<JoinHandle<()>>,
}

/// What all threads know.
#[derive(Debug, Default)]
struct Fate {
    is_over: AtomicBool,
    arrived: AtomicU64,
    lost: AtomicU64,
}

impl BadLine {
    /// Opens one beside the relay.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn open(net: &Namespace, relay: SocketAddr, impairment: Impairment) -> Self {
        let fate = Arc::new(Fate::default());
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                net.enter()?;
                Self::open_here(relay, impairment, Arc::clone(&fate))
            });
            inside.join().expect("no panic").expect("a line to the relay")
        })
    }

    /// The network of the thread that opens it is that of its sockets and threads.
    fn open_here(relay: SocketAddr, impairment: Impairment, fate: Arc<Fate>) -> Result<Self> {
        let front = UdpSocket::bind((relay.ip(), 0))?;
        let address = front.local_addr()?;
        let calls = TcpListener::bind(address).context("the same port for TCP")?;
        calls.set_nonblocking(true)?;
        let back = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        back.connect(relay)?;
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(ATTENTION))?;
        }
        let client = Arc::new(Mutex::new(None));
        let (out, out_end) = Lane::open(impairment, 1, Arc::clone(&fate), {
            let back = back.try_clone()?;
            move |datagram| back.send(datagram)
        });
        let (home, home_end) = Lane::open(impairment, 2, Arc::clone(&fate), {
            let (front, client) = (front.try_clone()?, Arc::clone(&client));
            move |datagram| match *client.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(client) => front.send_to(datagram, client),
                None => Ok(0),
            }
        });
        let note = move |from| *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        let threads = vec![out_end, home_end, carry(front, out, note), carry(back, home, |_| ())];
        let over = Arc::clone(&fate);
        let switchboard = thread::spawn(move || connect_calls(&calls, relay, &over));
        Ok(Self { address, fate, threads: threads.into_iter().chain([switchboard]).collect() })
    }

    /// Datagrams that arrived and that were lost so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.fate.arrived.load(Ordering::Relaxed), self.fate.lost.load(Ordering::Relaxed))
    }
}

impl Drop for BadLine {
    fn drop(&mut self) {
        self.fate.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It panicked: its message is on stderr, and a test that needs it has failed.
            let _ = thread.join();
        }
    }
}

/// One direction.
struct Lane {
    impairment: Impairment,
    random: Seeded,
    /// Until when the line is busy with what has been sent.
    busy_until: Instant,
    under_way: mpsc::SyncSender<(Instant, Vec<u8>)>,
    fate: Arc<Fate>,
}

impl Lane {
    /// The near end, and the thread at the far one.
    fn open(
        impairment: Impairment,
        seed: u64,
        fate: Arc<Fate>,
        deliver: impl Fn(&[u8]) -> io::Result<usize> + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (under_way, arriving) = mpsc::sync_channel::<(Instant, Vec<u8>)>(UNDER_WAY_MAX);
        let far_end = thread::spawn(move || {
            for (due, datagram) in arriving {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // Whoever is not there misses it.
                let _ = deliver(&datagram);
            }
        });
        let lane =
            Self { impairment, random: Seeded::new(seed), busy_until: Instant::now(), under_way, fate };
        (lane, far_end)
    }

    fn send(&mut self, datagram: &[u8]) {
        let now = Instant::now();
        let start = self.busy_until.max(now);
        let is_unlucky = self.random.below(100) < self.impairment.loss_percent;
        if is_unlucky || start > now + QUEUE {
            self.fate.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let bits = datagram.len() as f64 * 8.0;
        let seconds = bits / 1000.0 / f64::from(self.impairment.kilobits_per_second);
        self.busy_until = start + Duration::from_secs_f64(seconds);
        let due = self.busy_until + self.impairment.delay;
        if self.under_way.try_send((due, datagram.to_vec())).is_ok() {
            self.fate.arrived.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Puts what arrives at a socket on a lane; it ends with the line.
fn carry(socket: UdpSocket, mut lane: Lane, note: impl Fn(SocketAddr) + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        while !lane.fate.is_over.load(Ordering::Relaxed) {
            // Silence, or the word that an earlier datagram found nobody.
            let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
            note(from);
            lane.send(&datagram[..length]);
        }
    })
}

fn connect_calls(calls: &TcpListener, relay: SocketAddr, fate: &Fate) {
    let mut threads = Vec::new();
    let mut streams = Vec::new();
    while !fate.is_over.load(Ordering::Relaxed) {
        let Ok((near, _)) = calls.accept() else {
            thread::sleep(ATTENTION);
            continue;
        };
        // A relay that is gone is what the caller sees then.
        let Ok(far) = TcpStream::connect(relay) else { continue };
        let pairs = [(&near, &far), (&far, &near)].map(|(a, b)| (a.try_clone(), b.try_clone()));
        for pair in pairs {
            let (Ok(from), Ok(to)) = pair else { continue };
            threads.push(thread::spawn(move || pass_on(from, to)));
        }
        streams.extend([near, far]);
    }
    for stream in streams {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    // On some systems it is as its listener.
    let _ = from.set_nonblocking(false);
    // However it ends, it has ended.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_late_and_some_never() {
        let Some(net) = Namespace::new("line") else { return };
        let impairment =
            Impairment { delay: Duration::from_millis(20), loss_percent: 10, kilobits_per_second: 20_000 };
        let sockets = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                net.enter().expect("inside");
                [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket"))
            });
            inside.join().expect("no panic")
        });
        let [relay, client] = sockets;
        relay.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        let line = BadLine::open(&net, relay.local_addr().expect("its address"), impairment);
        let start = Instant::now();
        for number in 0..200_u8 {
            client.send_to(&[number], line.address).expect("sent");
        }
        let mut datagram = [0; 8];
        let (_, from) = relay.recv_from(&mut datagram).expect("the first one that arrives");
        assert!(start.elapsed() >= impairment.delay);
        let arrived = 1 + std::iter::from_fn(|| relay.recv_from(&mut datagram).ok()).count() as u64;
        let lost = 200 - arrived;
        assert!((1..100).contains(&lost), "{lost} of 200 were lost");
        assert_eq!(line.counts(), (arrived, lost));
        for _ in 0..20 {
            relay.send_to(b"back", from).expect("sent");
        }
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let (length, from) = client.recv_from(&mut datagram).expect("an answer");
        assert_eq!((&datagram[..length], from), (&b"back"[..], line.address));
    }
}
