//! A hundred thousand hostile inputs from a seed: nothing panics, memory stays, others are served.
//!
//! Set `TAGIO_SEED` to repeat a run.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs,
    panic::{set_hook, take_hook},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{ANY, Client, Keys, Relay, UdpEnd, call, hello, tcp_end, write_frame};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use snow::Builder;
use tagio_wire::{
    PublicKey,
    control::{CONTROL_PROLOGUE, NOISE_IK, Preface},
    encode,
    leg::{Channel, Datagram, LegGrant, LegToken, PACKET_BYTES_MAX},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

const UDP_CASES: usize = 90_000;
const TCP_CASES: usize = 10_000;
/// Datagrams that wait in the kernel at most: with less room for them than on any usual system none is lost.
const UDP_IN_FLIGHT: usize = 64;
/// How long an answer may take, and how often it is asked for.
const QUESTION_TIME: Duration = Duration::from_millis(500);
const QUESTIONS_MAX: usize = 20;
/// Hostile connections at a time: more would only test the kernel's backlog.
const TCP_AT_ONCE: usize = 64;
/// What the relay may keep for all that, in bytes. 100 000 cases that leaked 100 bytes each would show.
const GROWTH_MAX: usize = 8 * 1024 * 1024;
/// Cases before memory is first looked at: by then all buffers of allocator and runtime have grown.
const WARM_UP: usize = 1000;

/// Panics in the tasks of the relay, which would otherwise end a connection and no test.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
}

fn seed() -> u64 {
    std::env::var("TAGIO_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"))
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Bytes of some length, mostly short.
fn noise(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let len =
        if rng.random_bool(0.9) { rng.random_range(0..=64.min(max)) } else { rng.random_range(0..=max) };
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes[..]);
    bytes
}

/// Something good, then damaged: cut, stretched, a bit flipped, parts swapped.
fn damaged(rng: &mut StdRng, mut bytes: Vec<u8>) -> Vec<u8> {
    match rng.random_range(0..5) {
        0 => bytes.truncate(rng.random_range(0..=bytes.len())),
        1 => bytes.extend(noise(rng, 4096)),
        2 if !bytes.is_empty() => {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        3 if !bytes.is_empty() => {
            let at = rng.random_range(0..bytes.len());
            bytes.rotate_left(at);
        }
        _ => {}
    }
    bytes
}

fn hostile_datagram(rng: &mut StdRng, grants: &[LegGrant]) -> Vec<u8> {
    let known = *grants.choose(rng).unwrap();
    let token = LegToken(if rng.random_bool(0.5) { known.token.0 } else { rng.random() });
    let channel = if rng.random_bool(0.5) { known.channel } else { Channel(rng.random()) };
    let grant = LegGrant { channel, token };
    let good = match rng.random_range(0..6) {
        0 => return noise(rng, 9000),
        1 => Datagram::Bind { grant, cookie: rng.random() }.bytes(),
        2 => Datagram::Bind { grant, cookie: [0; 16] }.bytes(),
        3 => Datagram::Data { channel, packet: &noise(rng, 2 * PACKET_BYTES_MAX) }.bytes(),
        4 => Datagram::Challenge { channel, cookie: rng.random() }.bytes(),
        _ => [&[rng.random_range(4..=15)][..], &noise(rng, 64)].concat(),
    };
    damaged(rng, good)
}

/// The opening of a client that does everything right.
fn good_handshake(relay_key: PublicKey, keys: &Keys) -> Vec<u8> {
    let mut state = Builder::new(NOISE_IK.parse().unwrap())
        .local_private_key(&keys.private)
        .and_then(|builder| builder.remote_public_key(&relay_key.0))
        .and_then(|builder| builder.prologue(CONTROL_PROLOGUE))
        .and_then(Builder::build_initiator)
        .unwrap();
    let mut message = vec![0; 1024];
    let len = state.write_message(&encode(&hello()), &mut message).unwrap();
    framed(&Preface::ControlIk.bytes(), &message[..len])
}

fn framed(opening: &[u8], frame: &[u8]) -> Vec<u8> {
    [opening, &u16::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

fn hostile_stream(rng: &mut StdRng, good: &[Vec<u8>], grants: &[LegGrant]) -> Vec<u8> {
    let bytes = match rng.random_range(0..8) {
        0 => return noise(rng, 9000),
        1 => [&Preface::ControlXx.bytes()[..], &noise(rng, 9000)].concat(),
        2 => framed(&Preface::ControlXx.bytes(), &noise(rng, 200)),
        3 => {
            let grant = grants.choose(rng).unwrap();
            let token: [u8; 16] = if rng.random_bool(0.3) { grant.token.0 } else { rng.random() };
            let opening = [&Preface::TcpLeg.bytes()[..], &grant.channel.0.to_be_bytes(), &token].concat();
            [opening, noise(rng, 9000)].concat()
        }
        4 => [&b"GET /health HTTP/1.1\r\n"[..], &noise(rng, 4096), b"\r\n\r\n"].concat(),
        // Let in, then frames that decrypt to nothing.
        5 => [&good.choose(rng).unwrap()[..], &noise(rng, 9000)].concat(),
        _ => good.choose(rng).unwrap().clone(),
    };
    damaged(rng, bytes)
}

async fn flood_udp(relay: &Relay, rng: &mut StdRng, grants: &[LegGrant], cases: usize) {
    let socket = UdpSocket::bind(ANY).await.unwrap();
    let mut answer = [0; 64];
    for case in 0..cases {
        let datagram = hostile_datagram(rng, grants);
        // The kernel may be full for a moment; losing some is what UDP does.
        let _ = socket.send_to(&datagram, relay.addr).await;
        while let Ok((len, _)) = socket.try_recv_from(&mut answer) {
            assert!(len <= datagram.len().max(64));
        }
        if case % UDP_IN_FLIGHT == UDP_IN_FLIGHT - 1 {
            catch_up(&socket, relay, Channel(case as u32)).await;
        }
    }
}

/// Waits until the relay has read everything so far: it answers a question that stands behind it.
async fn catch_up(socket: &UdpSocket, relay: &Relay, channel: Channel) {
    let question = Datagram::Bind { grant: LegGrant { channel, token: LegToken([0; 16]) }, cookie: [0; 16] };
    let mut answer = [0; 64];
    for _ in 0..QUESTIONS_MAX {
        let _ = socket.send_to(&question.bytes(), relay.addr).await;
        let answered = async {
            while let Ok((len, _)) = socket.recv_from(&mut answer).await {
                let about = Datagram::parse(&answer[..len]);
                if matches!(about, Some(Datagram::Challenge { channel: about, .. }) if about == channel) {
                    return;
                }
            }
        };
        if timeout(QUESTION_TIME, answered).await.is_ok() {
            return;
        }
    }
    panic!("the relay answers no honest question");
}

/// Opens, writes, sometimes waits for an answer, closes.
async fn flood_tcp(relay: &Relay, rng: &mut StdRng, grants: &[LegGrant], cases: usize) {
    let keys = [Keys::new(), Keys::new()];
    let good: Vec<_> = (0..32).map(|n| good_handshake(relay.key, &keys[n % 2])).collect();
    let places = Arc::new(Semaphore::new(TCP_AT_ONCE));
    let mut openers = JoinSet::new();
    for _ in 0..cases {
        let (bytes, reads) = (hostile_stream(rng, &good, grants), rng.random_bool(0.5));
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let addr = relay.addr;
        openers.spawn(async move {
            let _place = place;
            let Ok(mut stream) = TcpStream::connect(addr).await else { return };
            // The relay may close before it has read everything; that is its right.
            let _ = stream.write_all(&bytes).await;
            if reads {
                let _ = timeout(Duration::from_millis(20), stream.read(&mut [0; 256])).await;
            }
        });
        while openers.try_join_next().is_some() {}
    }
    while openers.join_next().await.is_some() {}
}

async fn well_behaved(relay: &Relay) {
    let mut caller = Client::connect(relay).await;
    let mut target = Client::xx(relay, &Keys::new(), &hello()).await.unwrap();
    let (a, b) = call(&mut caller, &mut target).await;
    let a = UdpEnd::bound(relay, a).await;
    let mut b = tcp_end(relay, b).await.unwrap();
    write_frame(&mut b, b"all is well").await.unwrap();
    assert_eq!(a.recv_packet().await, b"all is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_hostile_inputs_change_nothing() {
    let seed = seed();
    println!("TAGIO_SEED={seed}");
    count_panics();
    let mut rng = StdRng::seed_from_u64(seed);
    let relay = Relay::start_with(|config| {
        // The point is to reach the code behind these.
        config.limits.handshake_burst = 1_000_000;
        config.limits.opening_ms = 2000;
    })
    .await;
    let mut caller = Client::connect(&relay).await;
    let mut target = Client::connect(&relay).await;
    let (a, b) = call(&mut caller, &mut target).await;
    let _keeps_the_leg = (UdpEnd::bound(&relay, a).await, UdpEnd::bound(&relay, b).await);

    flood_udp(&relay, &mut rng, &[a, b], WARM_UP).await;
    flood_tcp(&relay, &mut rng, &[a, b], WARM_UP).await;
    let before = resident_bytes();
    flood_udp(&relay, &mut rng, &[a, b], UDP_CASES - WARM_UP).await;
    flood_tcp(&relay, &mut rng, &[a, b], TCP_CASES - WARM_UP).await;
    let grown = resident_bytes().saturating_sub(before);

    println!("{} kB grown from {} kB", grown / 1024, before / 1024);
    assert!(grown < GROWTH_MAX, "{} kB grown", grown / 1024);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    caller.ping(1).await;
    well_behaved(&relay).await;
    for reason in
        ["bad_preface", "bad_handshake", "bad_cookie", "leg_unknown", "malformed_udp", "foreign_udp"]
    {
        assert!(relay.denied(reason).await > 0, "{reason} was never reached");
    }
    let mut read = 0;
    for reason in ["malformed_udp", "foreign_udp", "unexpected_udp", "oversized", "bad_cookie", "leg_unknown"]
    {
        read += relay.denied(reason).await;
    }
    assert!(read > UDP_CASES as u64 / 2, "only {read} datagrams reached the relay");
    drop((caller, target));
    relay.stop().await;
}
