//! Strangers may send a host whatever they like.
#![cfg(target_os = "linux")]

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Lab, Program, Seeded, lab::PASSWORD, picture::assert_same, procfs::resident_bytes,
};

const DATAGRAMS: usize = 20_000;

/// What a host may remember of strangers for a while.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long a viewer's first datagrams are collected.
const FLIGHT_TIME: Duration = Duration::from_secs(10);

/// The largest datagram of a usual network.
const DATAGRAM_BYTES_MAX: usize = 1472;

#[test]
fn random_and_damaged_datagrams_do_no_harm() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 81);
    let real = first_flight(&lab);
    let mut host = lab.listening_host(&[]);
    let address = host.address();
    // Warm: what a first viewer needs is not blamed on strangers.
    lab.screenshot(None, &address.to_string(), PASSWORD).expect("a viewer before the attack");
    let before = resident_bytes(host.program.pid());
    attack(address, &real, seed());
    assert!(host.program.is_running(), "the host ended: {host:?}");
    let growth = resident_bytes(host.program.pid()).saturating_sub(before);
    println!("{DATAGRAMS} datagrams cost {growth} bytes of memory");
    assert!(growth < GROWTH_BYTES_MAX, "{DATAGRAMS} datagrams cost {growth} bytes of memory");
    let seen = lab.screenshot(None, &address.to_string(), PASSWORD).expect("a viewer after the attack");
    assert_same(&seen, canvas.picture());
}

/// From `TAGIO_SEED`, to bring a failure back.
fn seed() -> u64 {
    let seed = std::env::var("TAGIO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_240_229);
    println!("TAGIO_SEED={seed}");
    seed
}

/// What a real viewer sends to a host that never answers.
fn first_flight(lab: &Lab) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let target = socket.local_addr().expect("its address").to_string();
    let png = lab.file("never.png").display().to_string();
    let mut command = lab.viewer_command(&target, &["--password", PASSWORD, "--screenshot", &png]);
    let _viewer = Program::start("viewer", &mut command);
    let mut flight = Vec::new();
    let mut buffer = [0; 2048];
    let start = Instant::now();
    while start.elapsed() < FLIGHT_TIME && flight.len() < 4 {
        match socket.recv(&mut buffer) {
            Ok(length) => flight.push(buffer[..length].to_vec()),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            }
        }
    }
    assert!(!flight.is_empty(), "the viewer sent nothing");
    flight
}

/// A third is noise, the rest real datagrams with damage; from many ports, as from many strangers.
fn attack(host: SocketAddr, real: &[Vec<u8>], seed: u64) {
    let mut random = Seeded::new(seed);
    let sockets: Vec<UdpSocket> =
        (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    for _ in 0..DATAGRAMS {
        let datagram = if random.below(3) == 0 {
            let length = random.below(DATAGRAM_BYTES_MAX);
            random.bytes(length)
        } else {
            damaged(&real[random.below(real.len())], &mut random)
        };
        let socket = &sockets[random.below(sockets.len())];
        // A full buffer drops it, as a network would.
        let _ = socket.send_to(&datagram, host);
    }
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
