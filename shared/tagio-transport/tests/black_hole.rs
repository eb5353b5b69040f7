//! A path in use that begins to swallow large packets: how long what is sent over it stands still.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tagio_transport::{Connection, Endpoint};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

/// One way.
const DELAY: Duration = Duration::from_millis(20);
/// QUIC has found the largest size that gets through by then.
const SETTLING: Duration = Duration::from_secs(3);
/// What gets through afterwards: QUIC's smallest, and nothing larger.
const HOLE_BYTES: usize = 1200;
/// Longer than any of this may take, on a machine that is busy, too.
const LIMIT: Duration = Duration::from_secs(15);
/// How long the picture may stand still: a machine's two cores may be busy.
const STILL_MAX: Duration = Duration::from_secs(4);

/// A line between two sockets that takes its time and lets nothing through that is larger than it says.
struct Line {
    address: SocketAddr,
    largest: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Line {
    async fn to(host: SocketAddr) -> Self {
        let [near, far] = [0; 2].map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let (near, far) = (Arc::new(near.await.expect("a port")), Arc::new(far.await.expect("a port")));
        far.connect(host).await.expect("loopback");
        let (largest, address) = (Arc::new(AtomicUsize::new(usize::MAX)), near.local_addr().expect("bound"));
        let limit = Arc::clone(&largest);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut from_viewer, mut from_host) = (vec![0; 65536], vec![0; 65536]);
            let (mut viewer, mut packets) = (None, JoinSet::new());
            loop {
                let (packet, to_host) = tokio::select! {
                    received = near.recv_from(&mut from_viewer) => {
                        let (len, from) = received.expect("loopback");
                        viewer = Some(from);
                        (from_viewer[..len].to_vec(), true)
                    }
                    received = far.recv(&mut from_host) => {
                        (from_host[..received.expect("loopback")].to_vec(), false)
                    }
                    Some(_) = packets.join_next() => continue,
                };
                let (Some(viewer), true) = (viewer, packet.len() <= limit.load(Ordering::Relaxed)) else {
                    continue;
                };
                let (near, far) = (Arc::clone(&near), Arc::clone(&far));
                packets.spawn(async move {
                    sleep(DELAY).await;
                    let sent =
                        if to_host { far.send(&packet).await } else { near.send_to(&packet, viewer).await };
                    sent.expect("loopback");
                });
            }
        });
        Self { address, largest, _tasks: tasks }
    }
}

/// Pictures of so many bytes, so often.
async fn send_pictures(connection: Connection, bytes: usize, every: Duration) {
    let mut stream = connection.open_uni(0).await.expect("a stream");
    let (picture, mut tick) = (vec![7; bytes], interval(every));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stream.write(&picture).await.is_ok() {
        tick.tick().await;
    }
}

/// The longest that no picture came, from when large packets are swallowed on.
async fn stands_still(bytes: usize, every: Duration) -> Duration {
    let bind = || Endpoint::bind(Some((Ipv4Addr::LOCALHOST, 0).into())).expect("a port of loopback");
    let (host, viewer) = (bind(), bind());
    let line = Line::to(host.local_addr()).await;
    let (accepted, connected) = tokio::join!(
        async { host.accept().await.expect("a viewer").accept().await.expect("a connection") },
        viewer.connect(line.address),
    );
    let connected = connected.expect("a host");
    let mut pictures = JoinSet::new();
    pictures.spawn(send_pictures(accepted, bytes, every));
    let mut stream = connected.accept_uni().await.expect("pictures");
    let (start, mut picture) = (Instant::now(), vec![0; bytes]);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < SETTLING + LIMIT / 3 {
        if start.elapsed() > SETTLING {
            line.largest.store(HOLE_BYTES, Ordering::Relaxed);
        }
        timeout(LIMIT, stream.read_exact(&mut picture)).await.expect("a picture").expect("a connection");
        if start.elapsed() > SETTLING {
            longest = longest.max(last.elapsed());
        }
        last = Instant::now();
    }
    longest
}

#[tokio::test]
async fn a_path_that_swallows_large_packets_goes_on_with_small_ones() {
    let film = stands_still(10_000, Duration::from_millis(40));
    let still = stands_still(4_000, Duration::from_millis(250));
    let (film, still) = tokio::join!(film, still);
    println!("a film stood still for {film:?}, a picture that changes four times a second for {still:?}");
    assert!(film.max(still) < STILL_MAX, "{film:?}, {still:?}");
}
