//! Limits of bytes per second: streams slow down and lose nothing, datagrams are lost.

use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt as _, net::UdpSocket, task::JoinSet, time::timeout};

use super::{
    LONG, datagram, foreign_node,
    parts::{Node, Pop, UUID, exchange, mirror, pattern, reverser, spring},
};

const RATE: u32 = 1 << 20;
/// What goes at once comes on top of what a rate lets through in a time.
const BURST: u32 = RATE;

/// Reads all that a target pours out, and how long that took.
async fn drain(pop: &Pop, target: std::net::SocketAddr, len: usize) -> Duration {
    let (mut stream, started) = (pop.reach(target).await, Instant::now());
    let mut got = Vec::new();
    timeout(LONG, stream.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got == pattern(len, 7), "{} of {len} bytes", got.len());
    started.elapsed()
}

/// The least time that so many bytes take.
fn least(bytes: usize) -> Duration {
    Duration::from_secs_f64((bytes as f64 - f64::from(BURST)) / f64::from(RATE))
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_user_slow_down_together_and_lose_nothing() {
    let pop = Pop::start(|config| config.limits.edge_user_bytes_per_sec = RATE).await;
    let (_node, target) = (Node::at(&pop, UUID).await, mirror().await);
    let (mut users, started) = (JoinSet::new(), Instant::now());
    for number in 0..2 {
        let stream = pop.reach(target).await;
        users.spawn(exchange(stream, number));
    }
    timeout(LONG, users.join_all()).await.expect("all are served");
    // Up, then down, as the mirror answers what it has whole.
    assert!(started.elapsed() >= least(2 << 20), "{:?}", started.elapsed());
    assert!(pop.relay.metric("tagio_edge_held_bytes_total").await > 0);
    assert_eq!(pop.relay.metric("tagio_edge_up_bytes_total").await, 2 << 20);
    assert_eq!(pop.relay.metric("tagio_edge_down_bytes_total").await, 2 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_of_no_windows_slows_down_too() {
    const LEN: usize = 5 << 20;
    let pop = Pop::start(|config| {
        config.limits.edge_node_bytes_per_sec = RATE;
        // Without the rate on the link itself all but the burst would be here at once.
        config.limits.edge_queue_bytes_max = 3 << 20;
    })
    .await;
    let Some(_node) = foreign_node(&pop).await else { return };
    let took = drain(&pop, spring(LEN).await, LEN).await;
    assert!(took >= least(LEN), "{took:?}");
    assert_eq!(pop.relay.denied("edge_overflow").await, 0);
    pop.relay.wait_metric_is("tagio_edge_queued_bytes", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_above_a_rate_are_lost_and_counted() {
    let pop = Pop::start(|config| config.limits.edge_user_bytes_per_sec = 5_000).await;
    let (_node, target) = (Node::at(&pop, UUID).await, reverser().await);
    let (_control, door) = pop.associate().await;
    let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let flood = datagram("127.0.0.1", target.port(), &[b'x'; 1000]);
    for _ in 0..50 {
        user.send_to(&flood, door).await.unwrap();
    }
    pop.relay.wait_denied("edge_datagram_rate", 1).await;
    let mut buffer = [0; 2048];
    timeout(LONG, user.recv_from(&mut buffer)).await.expect("what the rate allows comes back").unwrap();
}
