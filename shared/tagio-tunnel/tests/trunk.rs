//! Many visits in one connection: each whole, none in another's way, and large ones on their way out.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{io::ErrorKind, sync::atomic::Ordering, time::Duration};

use tagio_tunnel::{
    pipe::{self, End, Meter},
    trunk::{Lane, Received, Trunk, TrunkError, Visitor},
};
use tagio_wire::trunk::{TRUNK_WINDOW_BYTES, TrunkFrame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Both ends of a trunk.
struct Ends {
    relay: Trunk,
    client: Trunk,
    visitors: mpsc::Receiver<Visitor>,
    tasks: JoinSet<()>,
}

impl Ends {
    async fn new() -> Self {
        let (near, far) = pair().await;
        let (relay, client) = (Trunk::default(), Trunk::default());
        let (sender, visitors) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let (at_relay, at_client) = (relay.clone(), client.clone());
        tasks.spawn(async move { drop(at_relay.run(near, None).await) });
        tasks.spawn(async move { drop(at_client.run(far, Some(sender)).await) });
        Self { relay, client, visitors, tasks }
    }

    /// A visit's lane at either end.
    async fn visit(&mut self, request: u64) -> (Lane, Visitor) {
        let from = "192.0.2.1:9".parse().unwrap();
        let lane = self.relay.open(request, from).unwrap();
        let visitor = timeout(PATIENCE, self.visitors.recv()).await.unwrap().unwrap();
        assert_eq!((visitor.request, visitor.from), (request, from));
        (lane, visitor)
    }
}

async fn receive(lane: &Lane) -> std::io::Result<Received> {
    timeout(PATIENCE, lane.receive()).await.unwrap()
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let mut ends = Ends::new().await;
    let (near, far) = ends.visit(7).await;
    near.send(b"question").await.unwrap();
    near.end().await.unwrap();
    assert_eq!(receive(&far.lane).await.unwrap(), Received::Data(b"question".to_vec()));
    assert_eq!(receive(&far.lane).await.unwrap(), Received::End);
    far.lane.send(b"answer").await.unwrap();
    far.lane.end().await.unwrap();
    // It was said before.
    ends.client.close();
    assert_eq!(receive(&near).await.unwrap(), Received::Data(b"answer".to_vec()));
    assert_eq!(receive(&near).await.unwrap(), Received::End);
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_else_up() {
    let mut ends = Ends::new().await;
    let (stuck, unread) = ends.visit(1).await;
    let (lively, other) = ends.visit(2).await;
    let much = vec![5; 2 * TRUNK_WINDOW_BYTES];
    let sending = tokio::spawn(async move { stuck.send(&much).await.map(|()| stuck) });
    for _ in 0..100 {
        lively.send(b"there?").await.unwrap();
        assert_eq!(receive(&other.lane).await.unwrap(), Received::Data(b"there?".to_vec()));
        other.lane.passed_on(6);
    }
    assert!(!sending.is_finished(), "twice the window was sent to somebody who has read nothing");
    let mut read = 0;
    while read < 2 * TRUNK_WINDOW_BYTES {
        let Received::Data(data) = receive(&unread.lane).await.unwrap() else { panic!("no data") };
        unread.lane.passed_on(data.len());
        read += data.len();
    }
    timeout(PATIENCE, sending).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_reads_nothing_at_all_loses_the_trunk_before_much_has_piled_up() {
    let (near, _unread) = pair().await;
    let relay = Trunk::default();
    let running = relay.clone();
    let running = tokio::spawn(async move { running.run(near, None).await });
    let from = "192.0.2.1:9".parse().unwrap();
    // Each comes and goes; the system's buffers take some of it.
    let mut visits = 0;
    while relay.open(visits, from).is_some() {
        visits += 1;
        assert!(visits < 5_000_000, "everything is kept");
        tokio::task::yield_now().await;
    }
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_accident_of_one_is_nobody_elses_and_that_of_the_trunk_is_everybodys() {
    let mut ends = Ends::new().await;
    let (dropped, cut) = ends.visit(1).await;
    let (near, far) = ends.visit(2).await;
    dropped.send(b"half of").await.unwrap();
    assert_eq!(receive(&cut.lane).await.unwrap(), Received::Data(b"half of".to_vec()));
    drop(dropped);
    assert_eq!(receive(&cut.lane).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    near.send(b"whole").await.unwrap();
    assert_eq!(receive(&far.lane).await.unwrap(), Received::Data(b"whole".to_vec()));
    ends.tasks.shutdown().await;
    for lane in [&near, &far.lane] {
        assert_eq!(receive(lane).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(lane.send(b"more").await.is_err() && lane.end().await.is_err());
    }
    assert!(ends.relay.open(3, "192.0.2.1:9".parse().unwrap()).is_none());
}

#[tokio::test]
async fn what_flows_goes_on_by_a_connection_of_its_own() {
    let mut ends = Ends::new().await;
    let (lane, visitor) = ends.visit(7).await;
    let ((mut person, mut at_relay), (mut at_client, mut service)) = (pair().await, pair().await);
    let (near, far) = pair().await;
    let (met, client) = (Meter::default(), ends.client.clone());
    let (moved_tx, moved) = oneshot::channel();
    let relay = async {
        let flowing = Notify::new();
        let rest = async {
            flowing.notified().await;
            client.hand_over(7, far);
            moved_tx.send(()).unwrap();
            near
        };
        pipe::join_lane(&mut at_relay, lane, End::Relay, &flowing, rest, &met).await
    };
    let client = async {
        let (flowing, rest) = (Notify::new(), async { visitor.rest.await.unwrap() });
        pipe::join_lane(&mut at_client, visitor.lane, End::Client, &flowing, rest, &Meter::default()).await
    };
    let (mut upload, mut download) = person.split();
    let much: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_le_bytes).collect();
    let sent = async {
        download.write_all(&much).await.unwrap();
        // The trunk has no part in it any more.
        timeout(PATIENCE, moved).await.unwrap().unwrap();
        download.write_all(b"and the rest").await.unwrap();
        download.shutdown().await.unwrap();
    };
    let echoed = async {
        let (mut read, mut write) = service.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let all = async { tokio::join!(relay, client, sent, echoed, upload.read_to_end(&mut received)) };
    let (relay, client, (), (), read) = timeout(PATIENCE, all).await.unwrap();
    relay.and(client).unwrap();
    read.unwrap();
    let expected = [&much[..], b"and the rest"].concat();
    assert!(received == expected, "{} bytes of {}, or others", received.len(), expected.len());
    assert_eq!(met.inward.load(Ordering::Relaxed), expected.len() as u64);
    assert_eq!(met.outward.load(Ordering::Relaxed), expected.len() as u64);
}

#[tokio::test]
async fn who_breaks_the_rules_loses_the_trunk() {
    let piece = [0; 16 * 1024];
    let too_much = vec![TrunkFrame::Data(&piece); TRUNK_WINDOW_BYTES / piece.len() + 1];
    let open = vec![TrunkFrame::Open("192.0.2.1:9".parse().unwrap())];
    for (frames, is_overrun) in [(too_much, true), (open, false)] {
        let (near, mut far) = pair().await;
        let relay = Trunk::default();
        let lane = relay.open(1, "192.0.2.1:9".parse().unwrap()).unwrap();
        let mut bytes = Vec::new();
        frames.into_iter().for_each(|frame| frame.put(1, &mut bytes));
        let running = relay.run(near, None);
        let (ended, written) =
            timeout(PATIENCE, async { tokio::join!(running, far.write_all(&bytes)) }).await.unwrap();
        written.unwrap();
        match ended.unwrap_err() {
            TrunkError::Overrun(_) if is_overrun => {}
            TrunkError::Opened if !is_overrun => {}
            error => panic!("{error}"),
        }
        assert!(lane.send(b"more").await.is_err());
    }
}
