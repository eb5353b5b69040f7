//! What comes by 0-RTT, before the handshake is done: it may have been recorded, and sent by somebody else.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use noq::{Connection, Endpoint, crypto::rustls::QuicClientConfig};
use tagio_forward::{
    client::Trust,
    wire::{self, Answer},
};
use tagio_proxy::Target;
use tagio_relay_server::ForwardAccess;
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use crate::{ANY, PATIENCE, relay};

/// A way to a relay that records what a client says, and may be deaf to the answers.
struct Tap {
    addr: SocketAddr,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    is_deaf: Arc<AtomicBool>,
}

async fn tap(tasks: &mut JoinSet<()>, relay: SocketAddr) -> Tap {
    let (inside, outside) = (UdpSocket::bind(ANY).await.unwrap(), UdpSocket::bind(ANY).await.unwrap());
    outside.connect(relay).await.unwrap();
    let tap = Tap { addr: inside.local_addr().unwrap(), said: Arc::default(), is_deaf: Arc::default() };
    let (said, is_deaf) = (Arc::clone(&tap.said), Arc::clone(&tap.is_deaf));
    tasks.spawn(async move {
        let mut client = None;
        let (mut one, mut two) = ([0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((len, from)) = inside.recv_from(&mut one) => {
                    client = Some(from);
                    said.lock().unwrap().push(one[..len].to_vec());
                    let _ = outside.send(&one[..len]).await;
                }
                Ok(len) = outside.recv(&mut two) => {
                    if !is_deaf.load(Ordering::Relaxed) {
                        let _ = inside.send_to(&two[..len], client.unwrap()).await;
                    }
                }
            }
        }
    });
    tap
}

/// Counts who comes.
async fn target(tasks: &mut JoinSet<()>) -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let visits = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&visits);
    tasks.spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            open.push(stream);
        }
    });
    (addr.into(), visits)
}

/// A client that remembers the server's tickets.
fn client(pin: [u8; 32]) -> (Endpoint, noq::ClientConfig) {
    let tls = Trust::Pinned(pin).tls().unwrap();
    let config = noq::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    (Endpoint::client(ANY).unwrap(), config)
}

async fn open(connection: &Connection, target: &Target) -> Option<Answer> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(&wire::tcp_request(target)).await.ok()?;
    wire::read_answer(&mut receive).await.ok()
}

#[tokio::test]
async fn a_flight_that_is_sent_again_opens_nothing() {
    let mut tasks = JoinSet::new();
    let (target, visits) = target(&mut tasks).await;
    let (relay, pin) = relay(|config| {
        config.limits.opening_ms = 500;
        config.forward.as_mut().unwrap().access = ForwardAccess::Open;
    })
    .await;
    let tap = tap(&mut tasks, relay.addr).await;
    let (endpoint, config) = client(pin);
    let connect = || endpoint.connect_with(config.clone(), tap.addr, "relay").unwrap();
    let refused = "mytunnel_refused_total{reason=\"token\"} ";

    let first = connect().await.unwrap();
    assert_eq!(open(&first, &target).await, Some(Answer::Done));
    first.close(0_u32.into(), b"");

    // An honest client, whose first flight somebody records.
    tap.said.lock().unwrap().clear();
    let (second, accepted) = connect().into_0rtt().expect("there is a ticket");
    let (answer, accepted) =
        timeout(PATIENCE, async { tokio::join!(open(&second, &target), accepted) }).await.expect("an answer");
    assert_eq!((answer, accepted), (Some(Answer::Done), true), "0-RTT is of use");
    assert_eq!(visits.load(Ordering::Relaxed), 2);
    let flight = tap.said.lock().unwrap().clone();
    second.close(0_u32.into(), b"");

    // Sent again by somebody else, who cannot finish the handshake: the relay waits for that, and then no more.
    let stranger = UdpSocket::bind(ANY).await.unwrap();
    let before = relay.metric(refused).await;
    let given_up = async {
        while relay.metric(refused).await == before {
            for packet in &flight {
                stranger.send_to(packet, relay.addr).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, given_up).await.expect("the relay has taken it for a client, and given it up");

    // A client whose 0-RTT arrives, but which hears nothing: the same.
    tap.is_deaf.store(true, Ordering::Relaxed);
    let before = relay.metric(refused).await;
    let third = connect().into_0rtt().map(|(third, _)| third).expect("there is another ticket");
    let (mut send, _receive) = third.open_bi().await.unwrap();
    send.write_all(&wire::tcp_request(&target)).await.unwrap();
    let given_up = async {
        while relay.metric(refused).await == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, given_up).await.expect("the relay has given it up");
    assert_eq!(visits.load(Ordering::Relaxed), 2, "nobody else has come");
    assert_eq!(relay.metric("mytunnel_streams_opened ").await, 2);
}
