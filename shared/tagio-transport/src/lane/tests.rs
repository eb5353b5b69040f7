//! Lanes over real connections, which are told again and again that something may be lost.

use std::{net::Ipv4Addr, time::Duration};

use tagio_wire::session::StreamKind;
use tokio::{task::JoinSet, time::timeout};

use super::{Lane, LaneReceiver, LaneSender, Memory, lane_receiver};
use crate::{connection::Connection, endpoint::Endpoint};

/// Longer than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const FRAME_MAX: usize = 1 << 20;

/// A connection, as its two ends have it; both have to be kept.
async fn pair() -> ([Connection; 2], [Endpoint; 2]) {
    let endpoints =
        [(); 2].map(|()| Endpoint::bind(Some((Ipv4Addr::LOCALHOST, 0).into())).expect("a port of loopback"));
    let [viewer, host] = &endpoints;
    let (at_viewer, at_host) = tokio::join!(viewer.connect(host.local_addr()), async {
        host.accept().await.expect("a viewer").accept().await
    });
    ([at_viewer.expect("a host"), at_host.expect("a connection")], endpoints)
}

/// The receiving end of the one lane of a connection.
fn receiver(connection: &Connection, tasks: &mut JoinSet<()>) -> LaneReceiver {
    let (entrance, receiver) = lane_receiver(FRAME_MAX);
    let connection = connection.clone();
    tasks.spawn(async move {
        while let Ok(mut stream) = connection.accept_uni().await {
            assert_eq!(stream.read_u8().await.expect("a kind"), StreamKind::Input.byte());
            entrance.take(stream).await;
        }
    });
    receiver
}

/// Frame `number`: of any length, and its number in it.
fn frame(number: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &vec![7; (number as usize * 7919) % 60_000]].concat()
}

#[tokio::test]
async fn every_frame_comes_once_and_in_order_whatever_is_lost() {
    let ([at_viewer, at_host], _endpoints) = pair().await;
    let mut tasks = JoinSet::new();
    let mut received = receiver(&at_host, &mut tasks);
    let mut sender = LaneSender::new(&at_viewer, StreamKind::Input, Memory::UntilForgotten);
    tasks.spawn(async move {
        for number in 0..1000 {
            sender.push(&frame(number), Vec::new());
            sender.forget_below(u64::from(number.saturating_sub(5)));
            if number % 10 == 0 {
                at_viewer.strand();
            }
            while !sender.is_idle() {
                sender.work().await.expect("a connection");
            }
        }
        sender.finish().await;
    });
    for number in 0..1000 {
        let got = timeout(LIMIT, received.next()).await.expect("in time").expect("a frame");
        assert!(got == frame(number), "frame {number} is another one");
    }
}

#[tokio::test]
async fn a_frame_is_sent_again_though_none_follows_it() {
    let ([at_viewer, at_host], _endpoints) = pair().await;
    let lane = Lane::spawn(&at_viewer, StreamKind::Input);
    lane.send(b"a key".to_vec()).await.expect("a connection");
    // Whoever accepts the second stream never looks at the first, as if that were lost.
    let mut lost = at_host.accept_uni().await.expect("a stream");
    at_viewer.strand();
    let mut tasks = JoinSet::new();
    let mut received = receiver(&at_host, &mut tasks);
    let got = timeout(LIMIT, received.next()).await.expect("in time").expect("a frame");
    assert_eq!(&got[..], b"a key");
    assert_eq!(lost.read_u8().await.expect("a kind"), StreamKind::Input.byte());
}

#[tokio::test]
async fn last_words_arrive_before_the_end() {
    let ([at_viewer, at_host], _endpoints) = pair().await;
    let mut tasks = JoinSet::new();
    let mut received = receiver(&at_host, &mut tasks);
    let lane = Lane::spawn(&at_viewer, StreamKind::Input);
    (lane.send(b"one".to_vec()).await).expect("a connection");
    at_viewer.strand();
    (lane.send(b"two".to_vec()).await).expect("a connection");
    timeout(LIMIT, lane.finish()).await.expect("in time");
    at_viewer.close();
    for word in [&b"one"[..], b"two"] {
        let got = timeout(LIMIT, received.next()).await.expect("in time").expect("a frame");
        assert_eq!(&got[..], word);
    }
    timeout(LIMIT, received.next()).await.expect("in time").expect_err("nothing more");
}
