//! Strangers may send a host whatever they like.
#![cfg(target_os = "linux")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Lab, Seeded, eventually,
    lab::{LIMIT, PASSWORD},
    picture::assert_same,
    procfs::{resident_bytes, udp_dropped, udp_waiting},
    program::Stream,
};

/// How long it rains, and how much has to arrive in that time.
const ATTACK_TIME: Duration = Duration::from_secs(20);
const DATAGRAMS_MIN: u64 = 50_000;

/// So many at once, then the host reads them all: what the kernel drops tests nothing.
const BATCH: usize = 128;
const BATCH_LIMIT: Duration = Duration::from_secs(5);

/// What a host may remember of strangers for a while.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The largest datagram of a usual network.
const DATAGRAM_BYTES_MAX: usize = 1472;

/// Datagrams of a viewer that has been let in, to be recorded.
const LATER_DATAGRAMS: usize = 100;

#[test]
fn noise_damage_and_repetition_do_no_harm() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 81);
    let screen = lab.viewer_display.screen();
    let mut host = lab.listening_host(&[]);
    let address = host.address();
    let tap = Tap::new(address);
    let viewer = lab.viewer(None, &tap.address().to_string(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    let handshake = tap.recorded();
    for seed in 82.. {
        canvas.repaint(seed);
        screen.wait_for_picture(canvas.picture(), LIMIT);
        if tap.recorded().len() >= handshake.len() + LATER_DATAGRAMS {
            break;
        }
    }
    let later = tap.recorded().split_off(handshake.len());
    println!("recorded: {} datagrams up to the first picture, {} later", handshake.len(), later.len());
    // Warm: what a first short visit needs is not blamed on strangers.
    lab.screenshot(None, &address.to_string(), PASSWORD).expect("a viewer before the attack");

    let before = resident_bytes(host.program.pid());
    let sent = attack(&tap, &[&handshake, &later], seed());
    assert!(host.program.is_running(), "the host ended: {host:?}");
    let growth = resident_bytes(host.program.pid()).saturating_sub(before);
    let dropped = udp_dropped(&udp_table(), address.port());
    println!("{sent} datagrams, {dropped} of them dropped by the kernel, cost {growth} bytes of memory");
    assert!(sent - dropped >= DATAGRAMS_MIN, "only {sent} datagrams less {dropped} in {ATTACK_TIME:?}");
    assert!(growth < GROWTH_BYTES_MAX, "{sent} datagrams cost {growth} bytes of memory");

    canvas.repaint(80);
    screen.wait_for_picture(canvas.picture(), LIMIT);
    let connected = viewer.lines_of(Stream::Out).iter().filter(|line| line.starts_with("connected ")).count();
    assert_eq!(connected, 1, "the session was lost for a while: {viewer:?}");
    let seen = lab.screenshot(None, &address.to_string(), PASSWORD).expect("a viewer after the attack");
    assert_same(&seen, canvas.picture());
}

/// From `TAGIO_SEED`, to bring a failure back.
fn seed() -> u64 {
    let seed = std::env::var("TAGIO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_240_229);
    println!("TAGIO_SEED={seed}");
    seed
}

fn udp_table() -> String {
    fs::read_to_string("/proc/net/udp").expect("the kernel's table of sockets")
}

/// A wire between a viewer and a host that writes down what the viewer says, and can speak in its place.
struct Tap {
    host: SocketAddr,
    front: Arc<UdpSocket>,
    back: Arc<UdpSocket>,
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
    is_over: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl Tap {
    fn new(host: SocketAddr) -> Self {
        let [front, back] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            Arc::new(socket)
        });
        let (viewer, recorded) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::new())));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tap = Self { host, front, back, recorded, is_over, carriers: Vec::new() };
        let (from_viewer, recorded, back) =
            (Arc::clone(&viewer), Arc::clone(&tap.recorded), Arc::clone(&tap.back));
        tap.carry(Arc::clone(&tap.front), move |datagram, from| {
            *from_viewer.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            recorded.lock().unwrap_or_else(PoisonError::into_inner).push(datagram.to_vec());
            let _ = back.send_to(datagram, host);
        });
        let front = Arc::clone(&tap.front);
        tap.carry(Arc::clone(&tap.back), move |datagram, _| {
            if let Some(viewer) = *viewer.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = front.send_to(datagram, viewer);
            }
        });
        tap
    }

    fn carry(&mut self, from: Arc<UdpSocket>, take: impl Fn(&[u8], SocketAddr) + Send + 'static) {
        let is_over = Arc::clone(&self.is_over);
        self.carriers.push(thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !is_over.load(Ordering::Relaxed) {
                if let Ok((length, sender)) = from.recv_from(&mut buffer) {
                    take(&buffer[..length], sender);
                }
            }
        }));
    }

    /// Where a viewer finds the host.
    fn address(&self) -> SocketAddr {
        self.front.local_addr().expect("its address")
    }

    fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}

/// A quarter is noise, a quarter real datagrams with damage, half real ones again and in any order; a third from
/// the address of the viewer that is in, the rest from many ports, as from many strangers. How many there were.
fn attack(tap: &Tap, real: &[&[Vec<u8>]], seed: u64) -> u64 {
    let mut random = Seeded::new(seed);
    let strangers: Vec<UdpSocket> =
        (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < ATTACK_TIME {
        for _ in 0..BATCH {
            let chapter = real[random.below(real.len())];
            let again = &chapter[random.below(chapter.len())];
            let datagram = match random.below(4) {
                0 => {
                    let length = random.below(DATAGRAM_BYTES_MAX);
                    random.bytes(length)
                }
                1 => damaged(again, &mut random),
                _ => again.clone(),
            };
            let socket: &UdpSocket =
                if random.below(3) == 0 { &tap.back } else { &strangers[random.below(strangers.len())] };
            // Twice, now and then, as networks do.
            for _ in 0..=usize::from(random.below(8) == 0) {
                sent += u64::from(socket.send_to(&datagram, tap.host).is_ok());
            }
        }
        let is_read = || (udp_waiting(&udp_table(), tap.host.port()) == 0).then_some(());
        assert!(eventually(BATCH_LIMIT, is_read).is_some(), "the host reads nothing any more");
    }
    sent
}

fn damaged(datagram: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(datagram.len());
        datagram[at] = random.byte();
    }
    if random.below(4) == 0 {
        datagram.truncate(1 + random.below(datagram.len()));
    }
    datagram
}
