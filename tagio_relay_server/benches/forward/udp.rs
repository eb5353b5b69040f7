//! UDP through the tunnel: a QUIC client, the relay on a core of its own, and a socket that is the target.
//!
//! So much is under way at most, so that what gets lost is lost by the relay or the client's QUIC, and not by a sender
//! that is faster than everything behind it.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use noq::{Connection, Endpoint};
use socket2::SockRef;
use tagio_forward::wire;
use tagio_proxy::Target;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::{
    bare,
    process::{LOAD_CORE, MEASURED_CORE, pin_this},
    relay::Relay,
    system::{SocketOption, set_option},
};

/// Of a datagram, without any head.
const PAYLOAD_BYTES: usize = 1200;
/// Datagrams under way at most: less than any buffer holds.
const WINDOW: u64 = 256;
/// Datagrams that a sender hands over at once.
const BATCH: usize = 32;
/// When nothing arrives for so long, what is under way is lost.
const LOST_AFTER: Duration = Duration::from_millis(250);
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// Asked of the system, for the target.
const SOCKET_BYTES: usize = 4 << 20;

/// Datagrams of both ends.
#[derive(Default)]
struct Count {
    sent: AtomicU64,
    arrived: AtomicU64,
    /// Said to be lost so that others may leave.
    written_off: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) fn measure() {
    pin_this(LOAD_CORE);
    println!(
        "{:<36}{:>14}{:>14}{:>18}{:>12}",
        "UDP, datagrams of 1200 bytes", "a second", "relay's core", "a second of it", "lost"
    );
    up();
    for burst in [1, 10] {
        down(burst);
    }
}

impl Count {
    /// Waits for room and takes it; `false` when the run is over.
    async fn take(&self, datagrams: u64) -> bool {
        let mut progress = (self.arrived.load(Ordering::Relaxed), Instant::now());
        while !self.is_over.load(Ordering::Relaxed) {
            let arrived = self.arrived.load(Ordering::Relaxed);
            let sent = self.sent.load(Ordering::Relaxed);
            if arrived != progress.0 {
                progress = (arrived, Instant::now());
            } else if progress.1.elapsed() > LOST_AFTER {
                self.written_off.store(sent.saturating_sub(arrived), Ordering::Relaxed);
            }
            let gone = arrived + self.written_off.load(Ordering::Relaxed);
            if sent.saturating_sub(gone) + datagrams <= WINDOW {
                self.sent.fetch_add(datagrams, Ordering::Relaxed);
                return true;
            }
            yield_now().await;
        }
        false
    }
}

/// The relay, a connection to it, and a target that has been named already.
struct Setting {
    relay: Relay,
    runtime: Runtime,
    _endpoint: Endpoint,
    connection: Connection,
    target: UdpSocket,
    /// Where the relay's packets to the target come from.
    flow: SocketAddr,
    datagram: Bytes,
}

impl Setting {
    fn new() -> Self {
        let relay = Relay::start(&[MEASURED_CORE]);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let target = UdpSocket::bind("127.0.0.1:0").unwrap();
        SockRef::from(&target).set_recv_buffer_size(SOCKET_BYTES).unwrap();
        SockRef::from(&target).set_send_buffer_size(SOCKET_BYTES).unwrap();
        set_option(&target, SocketOption::Join).unwrap();
        let head = Target::from(target.local_addr().unwrap());
        let datagram = wire::datagram(&head, &[7; PAYLOAD_BYTES]);
        let (endpoint, connection) = runtime.block_on(async {
            let (endpoint, connection) = bare::connect_to(relay.addr, relay.pin).await;
            // QUIC has to find out first that so long ones go through.
            while connection.max_datagram_size().unwrap() < datagram.len() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (endpoint, connection)
        });
        target.set_read_timeout(Some(LOST_AFTER)).unwrap();
        let flow = loop {
            runtime.block_on(async {
                connection.send_datagram(datagram.clone()).unwrap();
                tokio::time::sleep(LOST_AFTER).await;
            });
            if let Ok((_, from)) = target.recv_from(&mut [0; PAYLOAD_BYTES]) {
                break from;
            }
        };
        Self { relay, runtime, _endpoint: endpoint, connection, target, flow, datagram }
    }

    /// Lets a run go on for a while, and says what it was.
    fn watch(&self, name: &str, count: &Count) {
        thread::sleep(WARM_UP);
        let look = || {
            let (sent, arrived) = (count.sent.load(Ordering::Relaxed), count.arrived.load(Ordering::Relaxed));
            (Instant::now(), sent, arrived, self.relay.process.cpu_seconds())
        };
        let before = look();
        thread::sleep(MEASURED);
        let after = look();
        count.is_over.store(true, Ordering::Relaxed);
        // What is under way still arrives.
        thread::sleep(LOST_AFTER * 4);
        let seconds = (after.0 - before.0).as_secs_f64();
        let (arrived, cpu) = ((after.2 - before.2) as f64, after.3 - before.3);
        let (sent, got) = (count.sent.load(Ordering::Relaxed), count.arrived.load(Ordering::Relaxed));
        println!(
            "{name:<36}{:>14.0}{:>13.0}%{:>18.0}{:>11.3}%",
            arrived / seconds,
            100.0 * cpu / seconds,
            arrived / cpu,
            100.0 * (sent - got.min(sent)) as f64 / sent as f64,
        );
    }
}

/// From the client to the target.
fn up() {
    let setting = Setting::new();
    let count = Arc::<Count>::default();
    thread::scope(|threads| {
        threads.spawn(|| {
            let batch = vec![setting.datagram.clone(); BATCH];
            setting.runtime.block_on(async {
                while count.take(BATCH as u64).await {
                    setting.connection.send_many_datagrams(&batch).unwrap();
                }
                tokio::time::sleep(LOST_AFTER * 4).await;
            });
        });
        threads.spawn(|| arrive(&setting.target, &count));
        setting.watch("to the target", &count);
    });
}

fn arrive(target: &UdpSocket, count: &Count) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match target.recv(&mut bytes) {
            Ok(len) => {
                count.arrived.fetch_add((len / PAYLOAD_BYTES) as u64, Ordering::Relaxed);
            }
            Err(_) if count.is_over.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}

/// From the target to the client; the target hands over so many at once.
fn down(burst: usize) {
    let setting = Setting::new();
    let count = Arc::<Count>::default();
    set_option(&setting.target, SocketOption::Segment(PAYLOAD_BYTES)).unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            let bytes = vec![7; PAYLOAD_BYTES * burst];
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                while count.take(burst as u64).await {
                    setting.target.send_to(&bytes, setting.flow).unwrap();
                }
            });
        });
        threads.spawn(|| {
            setting.runtime.block_on(async {
                let mut batch = vec![Bytes::new(); 256];
                let reading = async {
                    while let Ok(read) = setting.connection.read_many_datagrams(&mut batch).await {
                        count.arrived.fetch_add(read as u64, Ordering::Relaxed);
                    }
                };
                let over = async {
                    while !count.is_over.load(Ordering::Relaxed) {
                        tokio::time::sleep(LOST_AFTER).await;
                    }
                    tokio::time::sleep(LOST_AFTER * 4).await;
                };
                tokio::select! { () = reading => {}, () = over => {} }
            });
        });
        setting.watch(&format!("from the target, {burst} at once"), &count);
    });
}
