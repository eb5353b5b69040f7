//! Much through a reverse tunnel of both real programs. Takes minutes, so it runs when it is asked for:
//!
//! ```text
//! cargo test -p tagio-gui --test e2e_tunnel_volume -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `TAGIO_TEST_RELAY` and `TAGIO_TEST_GUI` name release builds of the programs; what is said of memory is said of those.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]
#![allow(clippy::print_stdout, reason = "figures are for docs/BENCHMARKS.md")]

mod tunnels;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{Program, procfs};
use tunnels::{CARRIERS, Relay, nginx::Nginx, pattern, programs};

const GIBIBYTE: u64 = 1 << 30;
/// A connection on which nothing moves for so long is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// What a program may take with a thousand open connections.
const PROGRAM_BYTES_MAX: u64 = 30 << 20;
/// What the relay may take for each connection that waits.
const IDLE_BYTES_MAX: u64 = 16 * 1024;

#[test]
#[ignore = "moves six gibibytes"]
fn a_gibibyte_each_way() {
    let local = bulk_service();
    for carrier in CARRIERS {
        let relay = Relay::start();
        let port = relay.port.to_string();
        let (_tunnel, _) = relay.tunnel(local, &["--carrier", carrier, "--remote-port", &port]);
        for direction in [b'u', b'd'] {
            let started = Instant::now();
            let mut stream = visitor(relay.port);
            stream.write_all(&[direction]).unwrap();
            if direction == b'u' {
                send(&mut stream);
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "all is there");
            } else {
                stream.shutdown(Shutdown::Write).unwrap();
                receive(&mut stream);
            }
            println!("{carrier} {}: {:?}", char::from(direction), started.elapsed());
        }
    }
}

#[test]
#[ignore = "makes thirty thousand connections"]
fn ten_thousand_short_connections() {
    for carrier in CARRIERS {
        let local = echo_service();
        let relay = Relay::start();
        let port = relay.port;
        let (tunnel, _) = relay.tunnel(local, &["--carrier", carrier, "--remote-port", &port.to_string()]);
        let started = Instant::now();
        let visitors: Vec<_> =
            (0..8).map(|_| thread::spawn(move || (0..1250).for_each(|_| exchange(port)))).collect();
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
        println!("{carrier}: 10000 in {:?}; {}", started.elapsed(), memory(&relay.program, &tunnel));
    }
}

#[test]
#[ignore = "its figures are those of release builds"]
fn a_thousand_open_connections_and_ten_thousand_idle_ones() {
    let Some([nginx, _]) = programs(["nginx", "openssl"]) else { return };
    let service = Nginx::start(&nginx, b"");
    for carrier in CARRIERS {
        let relay = Relay::start();
        let port = relay.port.to_string();
        let (tunnel, _) = relay.tunnel(service.http, &["--carrier", carrier, "--remote-port", &port]);
        let resident = || [&relay.program, &tunnel].map(|program| procfs::resident_bytes(program.pid()));
        exchange_kept(&mut visitor(relay.port));
        let empty = resident();
        let mut visitors: Vec<_> = (0..1000).map(|_| kept(relay.port)).collect();
        let thousand = resident();
        println!("{carrier}, 1000 open: {}", memory(&relay.program, &tunnel));
        // A visitor takes a descriptor of the relay by QUIC, and two by the others; see `ulimit -Hn`.
        let most = if carrier == "quic" { 10_000 } else { 9_500 };
        visitors.extend((1000..most).map(|_| kept(relay.port)));
        let full = resident();
        let [relay_each, client_each] = [0, 1].map(|end| (full[end] - empty[end]) / most);
        println!(
            "{carrier}, {most} idle: {}; {relay_each} bytes each at the relay, {client_each} at the client",
            memory(&relay.program, &tunnel)
        );
        // They all live.
        visitors.iter_mut().for_each(exchange_kept);
        println!("{carrier}, after another request of each: {}", memory(&relay.program, &tunnel));
        assert!(thousand.iter().all(|bytes| *bytes <= PROGRAM_BYTES_MAX), "{thousand:?}");
        assert!(relay_each <= IDLE_BYTES_MAX, "{relay_each}");
    }
}

fn visitor(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(STUCK)).unwrap();
    stream.set_write_timeout(Some(STUCK)).unwrap();
    stream
}

/// A connection to nginx that has had its answer, and stays open.
fn kept(port: u16) -> TcpStream {
    let mut stream = visitor(port);
    exchange_kept(&mut stream);
    stream
}

fn exchange_kept(stream: &mut TcpStream) {
    stream.write_all(b"GET /word HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhello") {
        let mut piece = [0; 1024];
        let len = stream.read(&mut piece).unwrap();
        assert_ne!(len, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..len]);
    }
}

fn exchange(port: u16) {
    let mut stream = visitor(port);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
}

fn memory(relay: &Program, client: &Program) -> String {
    let [relay, client] = [relay, client].map(|program| procfs::resident_bytes(program.pid()) as f64 / 1e6);
    format!("relay {relay:.1} MB, client {client:.1} MB")
}

/// Takes or sends a gibibyte, as its visitor's first byte says.
fn bulk_service() -> u16 {
    serve(|mut stream| {
        let mut direction = [0];
        stream.read_exact(&mut direction).unwrap();
        if direction == *b"u" {
            receive(&mut stream);
            stream.write_all(b"all is there").unwrap();
        } else {
            send(&mut stream);
        }
    })
}

fn echo_service() -> u16 {
    serve(|mut stream| {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        stream.write_all(&said).unwrap();
    })
}

fn serve(visit: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let visit = visit.clone();
            thread::spawn(move || visit(stream.unwrap()));
        }
    });
    port
}

/// Blocks of a pattern, each with its number in front.
const BLOCK_BYTES: usize = 64 * 1024;

fn send(stream: &mut TcpStream) {
    let mut block = pattern(BLOCK_BYTES);
    for number in 0..GIBIBYTE / BLOCK_BYTES as u64 {
        block[..8].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&block).unwrap();
    }
}

/// Reads to the end, which has to come where it belongs.
fn receive(stream: &mut TcpStream) {
    let expected = pattern(BLOCK_BYTES);
    let mut block = vec![0; BLOCK_BYTES];
    for number in 0..GIBIBYTE / BLOCK_BYTES as u64 {
        stream.read_exact(&mut block).unwrap();
        assert!(block[..8] == number.to_be_bytes() && block[8..] == expected[8..], "block {number}");
    }
    assert_eq!(stream.read(&mut block).unwrap(), 0, "more than was sent");
}
