//! A real relay, and two clients that meet through it.

use std::{process::Command, time::Duration};

use tagio_testkit::{
    TempDir, binaries,
    lab::{self, LIMIT},
};
use tagio_transport::{
    Carrier, Endpoint, NetworkChanges, ReachSettings,
    relay::{Relay, RelayConfig, RelayEvent, RelayRoute},
};
use tagio_wire::PeerId;
use tokio::time::{Instant, timeout};

/// What the viewer sends: more than any buffer on the way holds.
const SENT_BYTES: usize = 3_000_000;

/// A relay on loopback, with a folder of its own.
pub(crate) struct RelayProgram {
    pub(crate) relay: lab::Relay,
    _folder: TempDir,
}

pub(crate) fn start_relay() -> RelayProgram {
    let folder = TempDir::new();
    let mut command = Command::new(binaries::relay_server());
    command.args([
        "--bind",
        "127.0.0.1:0",
        "--metrics-bind",
        "off",
        "--public-ip",
        "127.0.0.1",
        "--data-dir",
    ]);
    command.arg(folder.path());
    RelayProgram { relay: lab::Relay::start(&mut command), _folder: folder }
}

pub(crate) fn config(relay: &str, reach: &ReachSettings, presence: bool) -> RelayConfig {
    RelayConfig {
        addr: relay.to_owned(),
        key: None,
        identity: rand::random(),
        auth: None,
        presence,
        reach: reach.clone(),
    }
}

/// A registered client.
pub(crate) struct Client {
    pub(crate) relay: Relay,
    pub(crate) route: RelayRoute,
    pub(crate) id: PeerId,
}

impl Client {
    pub(crate) async fn register(relay: &str, reach: &ReachSettings, presence: bool) -> Self {
        let mut relay = Relay::spawn(config(relay, reach, presence), NetworkChanges::none());
        let (route, id) = online(&mut relay).await;
        Self { relay, route, id }
    }

    /// Waits until the connection, which has broken, stands again.
    pub(crate) async fn register_again(&mut self) {
        (self.route, self.id) = online(&mut self.relay).await;
    }

    pub(crate) async fn event<T>(&mut self, wanted: impl Fn(RelayEvent) -> Option<T>) -> T {
        let found = timeout(LIMIT, async {
            loop {
                let event = self.relay.event().await.expect("the relay is not given up");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        });
        found.await.expect("an event in time")
    }
}

async fn online(relay: &mut Relay) -> (RelayRoute, PeerId) {
    let online = timeout(LIMIT, async {
        loop {
            match relay.event().await.expect("the relay is not given up") {
                RelayEvent::Online { relay, welcome, .. } => return (relay, welcome.id),
                RelayEvent::Offline { error, .. } => println!("offline: {error}"),
                other => println!("{other:?}"),
            }
        }
    });
    online.await.expect("registered in time")
}

/// How two clients met.
pub(crate) struct Met {
    /// What carries the viewer's control connection, and its end of the leg.
    pub(crate) control: Carrier,
    pub(crate) leg: Carrier,
    /// Since the start of the viewer.
    pub(crate) registered: Duration,
    /// Since the call.
    pub(crate) connected: Duration,
}

/// Two clients with the same settings call each other and talk over the leg.
pub(crate) async fn meet(relay: &str, reach: &ReachSettings) -> Met {
    let mut host = Client::register(relay, reach, true).await;
    let start = Instant::now();
    let mut viewer = Client::register(relay, reach, false).await;
    let registered = start.elapsed();
    let start = Instant::now();
    viewer.relay.call(1, host.id);
    let host_side = async {
        let endpoint = Endpoint::bind(Some("127.0.0.1:0".parse().expect("an address"))).expect("a socket");
        let (route, grant) = host
            .event(|event| match event {
                RelayEvent::Incoming { leg, relay, .. } => Some((relay, leg)),
                _ => None,
            })
            .await;
        let leg = endpoint.bind_leg(&route, grant).await.expect("the host's end");
        let incoming = timeout(LIMIT, endpoint.accept()).await.expect("a knock in time").expect("a knock");
        let connection = incoming.accept().await.expect("a connection");
        let (mut send, mut recv) = connection.accept_bi().await.expect("a stream");
        let mut sum = 0;
        let mut left = SENT_BYTES;
        let mut buf = vec![0; 64 * 1024];
        while left > 0 {
            let wanted = left.min(buf.len());
            recv.read_exact(&mut buf[..wanted]).await.expect("what the viewer sent");
            sum += buf[..wanted].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            left -= wanted;
        }
        send.write(&sum.to_be_bytes()).await.expect("an answer");
        send.finish_soon().await;
        (endpoint, leg, connection)
    };
    let viewer_side = async {
        let endpoint = Endpoint::bind(Some("127.0.0.1:0".parse().expect("an address"))).expect("a socket");
        let (route, grant) = viewer
            .event(|event| match event {
                RelayEvent::Ringing { leg, relay, .. } => Some((relay, leg)),
                _ => None,
            })
            .await;
        let connecting = timeout(LIMIT, endpoint.connect_by_leg(&route, grant));
        let (leg, connection) = connecting.await.expect("in time").expect("the viewer's end and QUIC");
        let connected = start.elapsed();
        let start = Instant::now();
        let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
        let bytes: Vec<u8> = (0..SENT_BYTES).map(|at| (at * at / 7) as u8).collect();
        send.write(&bytes).await.expect("room on the way");
        let mut sum = [0; 8];
        recv.read_exact(&mut sum).await.expect("the host's answer");
        assert_eq!(u64::from_be_bytes(sum), bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        println!("{}: {SENT_BYTES} bytes in {:?}", leg.carrier(), start.elapsed());
        (leg.carrier(), connected)
    };
    let both = async { tokio::join!(host_side, viewer_side) };
    let (_host, (leg, connected)) = timeout(LIMIT * 2, both).await.expect("a meeting in time");
    Met { control: viewer.route.carrier(), leg, registered, connected }
}
