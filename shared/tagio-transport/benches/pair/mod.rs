//! Two ends of a connection over loopback, each with a thread and a runtime of its own, as two programs have: a
//! viewer, whose messages the host sends back, and a copy of endless bytes beside them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tagio_transport::{Connection, Endpoint, RecvStream, SendStream};
use tokio::runtime::{Builder, Runtime};

/// What travels as a key press does, and comes back.
pub(crate) const MESSAGE_BYTES: usize = 16;
/// As [`tagio_wire`]'s `StreamKind::Input`; its answer as `StreamKind::Picture`.
const KEY_PRIORITY: i32 = 40;
const ANSWER_PRIORITY: i32 = 10;
/// Below everything of the session.
const COPY_PRIORITY: i32 = -10;
/// Written and read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Whether something is copied beside the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copying {
    Nothing,
    /// The way of the messages.
    ToHost,
    /// The way of the answers.
    ToViewer,
}

/// What one message met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    pub(crate) time: Duration,
    /// Of the copy that arrived meanwhile.
    pub(crate) bytes_copied: u64,
}

/// Sends a message, waits for it to come back and for `pause`, until there are `count` of them.
pub(crate) fn round_trips(copying: Copying, count: usize, pause: Duration) -> Vec<RoundTrip> {
    let copied = Arc::new(AtomicU64::new(0));
    let (at, told) = mpsc::channel();
    let host_copied = Arc::clone(&copied);
    let host = thread::spawn(move || runtime().block_on(host(at, copying, host_copied)));
    let trips = runtime().block_on(viewer(told.recv().expect("an address"), copying, count, pause, copied));
    host.join().expect("the host ends with its viewer");
    trips
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn endpoint() -> Endpoint {
    Endpoint::bind(Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))).expect("a port of loopback")
}

async fn host(at: mpsc::Sender<SocketAddr>, copying: Copying, copied: Arc<AtomicU64>) {
    let endpoint = endpoint();
    at.send(endpoint.local_addr()).expect("a viewer that waits");
    let incoming = endpoint.accept().await.expect("a viewer");
    let connection = incoming.accept().await.expect("a connection");
    let mut keys = connection.accept_uni().await.expect("keys");
    let mut answers = connection.open_uni(ANSWER_PRIORITY).await.expect("a stream");
    let copy = tokio::spawn(copy(connection.clone(), copying, Copying::ToViewer, copied));
    let mut message = [0; MESSAGE_BYTES];
    while keys.read_exact(&mut message).await.is_ok() && answers.write(&message).await.is_ok() {}
    copy.abort();
}

async fn viewer(
    host: SocketAddr,
    copying: Copying,
    count: usize,
    pause: Duration,
    copied: Arc<AtomicU64>,
) -> Vec<RoundTrip> {
    let endpoint = endpoint();
    let connection = endpoint.connect(host).await.expect("a host");
    let mut keys = connection.open_uni(KEY_PRIORITY).await.expect("a stream");
    // Opens the stream at the other end too.
    keys.write(&[0; MESSAGE_BYTES]).await.expect("a host that reads");
    let mut answers = connection.accept_uni().await.expect("answers");
    answers.read_exact(&mut [0; MESSAGE_BYTES]).await.expect("the first answer");
    let copy = tokio::spawn(copy(connection.clone(), copying, Copying::ToHost, Arc::clone(&copied)));
    while copying != Copying::Nothing && copied.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(pause).await;
    }
    let mut trips = Vec::new();
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        trips.push(round_trip(&mut keys, &mut answers, &copied).await);
    }
    copy.abort();
    connection.close();
    endpoint.close().await;
    trips
}

async fn round_trip(keys: &mut SendStream, answers: &mut RecvStream, copied: &AtomicU64) -> RoundTrip {
    let (start, before) = (Instant::now(), copied.load(Ordering::Relaxed));
    keys.write(&[1; MESSAGE_BYTES]).await.expect("a host that reads");
    answers.read_exact(&mut [0; MESSAGE_BYTES]).await.expect("an answer");
    RoundTrip { time: start.elapsed(), bytes_copied: copied.load(Ordering::Relaxed) - before }
}

/// Writes without end where the copy starts, and reads it at the other end.
async fn copy(connection: Connection, copying: Copying, writes_when: Copying, copied: Arc<AtomicU64>) {
    if copying == Copying::Nothing {
        return;
    }
    let mut chunk = vec![7; CHUNK_BYTES];
    if copying == writes_when {
        let mut stream = connection.open_uni(COPY_PRIORITY).await.expect("a stream");
        while stream.write(&chunk).await.is_ok() {}
    } else {
        let mut stream = connection.accept_uni().await.expect("a copy");
        while stream.read_exact(&mut chunk).await.is_ok() {
            copied.fetch_add(CHUNK_BYTES as u64, Ordering::Relaxed);
        }
    }
}
