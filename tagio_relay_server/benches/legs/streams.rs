//! Packets as frames on TCP connections through a product, and the simplest such product: socat.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;

use crate::{
    common::{ANY, PATIENCE},
    datagrams::PACKET_BYTES,
    load::{Arrivals, Figure, closed_loop},
    process::Process,
};

/// Frames that a sender writes at once: as many as QUIC has for it at most.
const FRAMES: usize = 10;
/// Under way at most in each flow: less than the relay keeps for one that is slow.
const FLOW_WINDOW_BYTES: u64 = 128 * 1024;
/// And in all of them.
const WINDOW_BYTES_MAX: u64 = 2 * 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// A connection into a product, and the one that comes out of it.
pub(crate) type Flow = (TcpStream, TcpStream);

/// Packets in all flows in turn, as fast as they arrive.
pub(crate) fn throughput(product: &Process, flows: Vec<Flow>) -> Figure {
    let frame = [&(PACKET_BYTES as u16).to_be_bytes()[..], &[7; PACKET_BYTES]].concat();
    let frames = frame.repeat(FRAMES);
    let window = (flows.len() as u64 * FLOW_WINDOW_BYTES).min(WINDOW_BYTES_MAX);
    let (from, to): (Vec<_>, Vec<_>) = flows.into_iter().unzip();
    let mut turn = 0;
    let send = || {
        turn = (turn + 1) % from.len();
        (&from[turn]).write_all(&frames).unwrap();
        frames.len()
    };
    closed_loop(product, window, send, async |arrivals| {
        join_all(to.into_iter().map(|stream| receive(stream, arrivals))).await;
    })
}

async fn receive(stream: TcpStream, arrivals: &Arrivals) {
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let bytes = stream.read(&mut buffer).await.unwrap();
        assert!(bytes > 0, "the product closes a connection");
        arrivals.add(bytes);
    }
}

/// A socat that forwards each connection to here by a process of its own, and connections through it.
pub(crate) fn socat(flows: usize) -> (Process, Vec<Flow>) {
    let sink = TcpListener::bind(ANY).unwrap();
    // Free a moment ago.
    let port = TcpListener::bind(ANY).unwrap().local_addr().unwrap().port();
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay");
    let connect = format!("TCP:{},nodelay", sink.local_addr().unwrap());
    let socat = Process::start("socat", &["-lf", "/dev/null", &listen, &connect]);
    let entrance = SocketAddr::new([127, 0, 0, 1].into(), port);
    let flows = (0..flows).map(|_| (connect_soon(entrance), sink.accept().unwrap().0)).collect();
    (socat, flows)
}

fn connect_soon(addr: SocketAddr) -> TcpStream {
    let started = std::time::Instant::now();
    loop {
        match TcpStream::connect(addr) {
            Ok(stream) => return stream,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{addr}: {error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}
