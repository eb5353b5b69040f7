//! The forward tunnel: what goes through, what is refused, and what it survives.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "forward/early.rs"]
mod early;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use common::{ANY, PATIENCE, Relay, http};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tagio_forward::client::{self, ClientConfig, ClientEvent, Trust, Tunnel, TunnelError, TunnelOutlet};
use tagio_proxy::{Door, Front, FrontLimits, Users};
use tagio_relay_core::Limits;
use tagio_relay_server::{Config, ForwardAccess, ForwardConfig, Secret, Server};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// For much at once on a busy machine.
const LONG: Duration = Duration::from_secs(120);
const TOKEN: &str = "open sesame";
/// A tunnel that was cut off has to be back after this.
const BACK: Duration = Duration::from_secs(5);

/// A relay whose forward tunnel reaches this machine, and the fingerprint of its certificate.
async fn relay(change: impl FnOnce(&mut Config)) -> (Relay, [u8; 32]) {
    start(tempfile::tempdir().unwrap(), change).await
}

async fn start(dir: TempDir, change: impl FnOnce(&mut Config)) -> (Relay, [u8; 32]) {
    let mut config = common::config(dir.path());
    let access = ForwardAccess::Token(Secret::new(TOKEN.to_owned()));
    config.forward = Some(ForwardConfig { access, allowed: vec!["127.0.0.0/8".parse().unwrap()] });
    change(&mut config);
    let server = Server::bind(&config).await.unwrap();
    let pin = server.forward_fingerprint().unwrap();
    (Relay::running(dir, server), pin)
}

fn only_public(config: &mut Config) {
    config.forward.as_mut().unwrap().allowed.clear();
}

fn limited(change: impl FnOnce(&mut Limits)) -> impl FnOnce(&mut Config) {
    |config| change(&mut config.limits)
}

fn settings(server: SocketAddr, pin: [u8; 32]) -> ClientConfig {
    ClientConfig {
        host: server.ip().to_string(),
        port: server.port(),
        server_name: None,
        trust: Trust::Pinned(pin),
        token: Some(Zeroizing::new(TOKEN.to_owned())),
        keep_alive: Duration::from_secs(1),
    }
}

/// A client with a SOCKS5 door.
struct Client {
    door: SocketAddr,
    events: mpsc::Receiver<ClientEvent>,
    _tasks: JoinSet<()>,
}

impl Client {
    async fn start(config: &ClientConfig) -> Self {
        let (events_tx, events) = mpsc::channel(64);
        let (tunnel, keeping) = Tunnel::new(config, events_tx).unwrap();
        let outlet = Arc::new(TunnelOutlet::new(tunnel, Users::default()));
        let front = Front::bind(ANY, Door::Socks5, outlet, FrontLimits::default()).await.unwrap();
        let door = front.addr();
        let mut tasks = JoinSet::new();
        tasks.spawn(front.run(CancellationToken::new()));
        tasks.spawn(async move { drop(keeping.await) });
        Self { door, events, _tasks: tasks }
    }

    async fn event(&mut self) -> ClientEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("the client runs")
    }

    /// A connection to `host`, or the code of RFC 1928 that says why there is none.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, u8> {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        let mut opening = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(host.len()).unwrap()];
        opening.extend_from_slice(host.as_bytes());
        opening.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&opening).await.unwrap();
        let mut answer = [0; 12];
        timeout(LONG, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
        if answer[3] == 0 { Ok(stream) } else { Err(answer[3]) }
    }

    /// A UDP association: its connection, the client's socket, and where that one sends to.
    async fn associate(&self) -> (TcpStream, UdpSocket) {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        stream.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
        let [.., a, b, c, d, high, low] = answer;
        let socket = UdpSocket::bind(ANY).await.unwrap();
        socket.connect((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))).await.unwrap();
        (stream, socket)
    }
}

/// Reads all that a client says, then says it backwards.
async fn mirror(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut visits = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            visits.spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await?;
                all.reverse();
                stream.write_all(&all).await
            });
        }
    });
    addr
}

/// Answers each datagram with what it says twice.
async fn echo(tasks: &mut JoinSet<()>) -> SocketAddr {
    let socket = UdpSocket::bind(ANY).await.unwrap();
    let addr = socket.local_addr().unwrap();
    tasks.spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..len].repeat(2), from).await;
        }
    });
    addr
}

/// Different for each `seed`.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut bytes = vec![0; 2 << 20];
        StdRng::seed_from_u64(7).fill_bytes(&mut bytes);
        bytes
    });
    let from = (seed as usize * 4_099) % (1 << 20);
    POOL[from..from + len].to_vec()
}

async fn through_and_back(mut stream: TcpStream, bytes: Vec<u8>) {
    let (mut read, mut write) = stream.split();
    let said = async {
        write.write_all(&bytes).await.unwrap();
        // And still hears all.
        write.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let heard = async { read.read_to_end(&mut heard).await.map(|_| heard) };
    let ((), heard) = timeout(LONG, async { tokio::join!(said, heard) }).await.expect("in time");
    let mut heard = heard.unwrap();
    heard.reverse();
    assert!(heard == bytes);
}

/// A head as SOCKS 5 puts before datagrams.
fn socks_datagram(to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let SocketAddr::V4(v4) = to else { panic!("IPv4 here") };
    [&[0, 0, 0, 1], &v4.ip().octets()[..], &v4.port().to_be_bytes(), payload].concat()
}

/// Asks until there is an answer: datagrams may be lost.
async fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let asking = async {
        loop {
            socket.send(datagram).await.unwrap();
            if let Ok(received) = timeout(Duration::from_secs(1), socket.recv(&mut buffer)).await {
                break buffer[..received.unwrap()].to_vec();
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_transfers_go_through_and_come_back_whole() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(|_| {}).await;
    let client = Arc::new(Client::start(&settings(relay.addr, pin)).await);
    let mut transfers = JoinSet::new();
    for seed in 0..200 {
        let client = Arc::clone(&client);
        transfers.spawn(async move {
            let stream = client.connect("localhost", mirror.port()).await.unwrap();
            through_and_back(stream, noise(seed, 1 << 20)).await;
        });
    }
    while let Some(done) = transfers.join_next().await {
        if let Err(error) = done {
            panic!("{error}");
        }
    }
    assert_eq!(relay.metric("mytunnel_streams_opened ").await, 200);
    assert_eq!(relay.metric("mytunnel_bytes_received ").await, 200 << 20);
    assert_eq!(relay.metric("mytunnel_bytes_sent ").await, 200 << 20);
    assert_eq!(relay.metric("mytunnel_connections_active ").await, 1);
    let connections = http(relay.metrics, "GET /connections HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(connections.contains(&format!("\"bytes_sent\":{}", 200 << 20)), "{connections}");
    let stats = http(relay.metrics, "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(stats.contains("\"streams_opened\":200"), "{stats}");
}

#[tokio::test]
async fn datagrams_find_their_way_back() {
    let mut tasks = JoinSet::new();
    let (one, other) = (echo(&mut tasks).await, echo(&mut tasks).await);
    let (relay, pin) = relay(|_| {}).await;
    let client = Client::start(&settings(relay.addr, pin)).await;
    let (_connection, socket) = client.associate().await;
    for (to, text) in [(one, "one"), (other, "other"), (one, "again")] {
        let answer = ask(&socket, &socks_datagram(to, text.as_bytes())).await;
        assert_eq!(answer, socks_datagram(to, text.repeat(2).as_bytes()));
    }
    // Another program asks the same target.
    let (_connection, second) = client.associate().await;
    let answer = ask(&second, &socks_datagram(one, b"mine")).await;
    assert_eq!(answer, socks_datagram(one, b"minemine"));
    assert_eq!(relay.metric("mytunnel_flows_active ").await, 2);
    assert!(relay.metric("mytunnel_datagrams_received ").await >= 4);
}

#[tokio::test]
async fn nobody_comes_in_without_the_token() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(limited(|limits| limits.opening_ms = 500)).await;
    let good = settings(relay.addr, pin);
    let wrong = ClientConfig { token: Some(Zeroizing::new("open barley".to_owned())), ..good.clone() };
    assert_eq!(client::test(&wrong).await, Err(TunnelError::Token));
    let none = ClientConfig { token: None, ..good.clone() };
    let without = Client::start(&none).await;
    assert!(without.connect("127.0.0.1", mirror.port()).await.is_err());
    let (_connection, socket) = without.associate().await;
    socket.send(&socks_datagram(mirror, b"?")).await.unwrap();
    client::test(&good).await.unwrap();
    assert_eq!(relay.metric("mytunnel_streams_opened ").await, 0);
    assert_eq!(relay.metric("mytunnel_flows_active ").await, 0);
    assert!(relay.metric("mytunnel_refused_total{reason=\"token\"} ").await >= 1);
    // Guessing has an end.
    let guessing = async {
        while relay.denied("wrong_secret_rate").await == 0 {
            assert!(client::test(&wrong).await.is_err());
        }
    };
    timeout(PATIENCE, guessing).await.expect("guesses are counted");
}

#[tokio::test]
async fn a_certificate_that_is_not_the_pinned_one_is_not_believed() {
    let (relay, mut pin) = relay(|_| {}).await;
    pin[0] ^= 1;
    let wrong = settings(relay.addr, pin);
    assert!(matches!(client::test(&wrong).await, Err(TunnelError::Certificate(_))));
    let system = ClientConfig { trust: Trust::System, server_name: Some("tagio-relay".to_owned()), ..wrong };
    assert!(matches!(client::test(&system).await, Err(TunnelError::Certificate(_))));
    let anybody = ClientConfig { trust: Trust::Anybody, ..system };
    client::test(&anybody).await.unwrap();
}

#[tokio::test]
async fn private_targets_are_refused_in_whatever_form() {
    let mut tasks = JoinSet::new();
    let (mirror, echo) = (mirror(&mut tasks).await, echo(&mut tasks).await);
    let (relay, pin) = relay(only_public).await;
    let client = Client::start(&settings(relay.addr, pin)).await;
    let refused =
        ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "localhost", "10.0.0.1"];
    for host in refused {
        assert_eq!(client.connect(host, mirror.port()).await.unwrap_err(), 2, "{host}");
    }
    // A resolver may know these or not.
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"] {
        let code = client.connect(host, mirror.port()).await.unwrap_err();
        assert!([2, 4].contains(&code), "{host}: {code}");
    }
    let (_connection, socket) = client.associate().await;
    socket.send(&socks_datagram(echo, b"?")).await.unwrap();
    let seen = async {
        while relay.metric("mytunnel_refused_total{reason=\"target\"} ").await < refused.len() as u64 + 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, seen).await.expect("all of them are counted");
    assert_eq!(relay.metric("mytunnel_bytes_sent ").await, 0);
}

#[tokio::test]
async fn refusals_have_their_reasons() {
    let (relay, pin) = relay(limited(|limits| limits.forward_streams_max = 1)).await;
    let client = Client::start(&settings(relay.addr, pin)).await;
    let listener = TcpListener::bind(ANY).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = client.connect("127.0.0.1", port).await.unwrap();
    assert_eq!(client.connect("127.0.0.1", port).await.unwrap_err(), 4, "there is room for one");
    assert_eq!(relay.metric("mytunnel_refused_total{reason=\"streams\"} ").await, 1);
    drop((first, listener));
    let freed = async {
        while client.connect("127.0.0.1", port).await.unwrap_err() != 5 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.expect("the place is free again, and nobody listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_relay_is_found_again_soon() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(|_| {}).await;
    let at = relay.addr;
    let mut client = Client::start(&settings(at, pin)).await;
    assert!(matches!(client.event().await, ClientEvent::Up { .. }));
    let dir = relay.stop().await;
    assert!(matches!(client.event().await, ClientEvent::Down(_)));
    let begun = Instant::now();
    let (_relay, _) = start(dir, |config| config.binds = vec![at]).await;
    let stream = client.connect("127.0.0.1", mirror.port()).await.unwrap();
    through_and_back(stream, noise(1, 1 << 20)).await;
    assert!(begun.elapsed() < BACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_relay_that_drains_lets_transfers_end_and_takes_no_new_ones() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(|_| {}).await;
    let client = Client::start(&settings(relay.addr, pin)).await;
    let mut old = client.connect("127.0.0.1", mirror.port()).await.unwrap();
    old.write_all(b"before ").await.unwrap();
    relay.drain();
    assert!(client.connect("127.0.0.1", mirror.port()).await.is_err());
    old.write_all(b"after").await.unwrap();
    old.shutdown().await.unwrap();
    let mut heard = String::new();
    timeout(PATIENCE, old.read_to_string(&mut heard)).await.expect("in time").unwrap();
    assert_eq!(heard, "retfa erofeb");
    relay.ended().await;
}

/// A NAT that forgets: from a moment on, the client's packets come from another port.
async fn nat(tasks: &mut JoinSet<()>, relay: SocketAddr) -> (SocketAddr, watch::Sender<usize>) {
    let inside = UdpSocket::bind(ANY).await.unwrap();
    let addr = inside.local_addr().unwrap();
    let outside = [UdpSocket::bind(ANY).await.unwrap(), UdpSocket::bind(ANY).await.unwrap()];
    for socket in &outside {
        socket.connect(relay).await.unwrap();
    }
    let (chosen, choice) = watch::channel(0);
    tasks.spawn(async move {
        let mut client = None;
        let (mut one, mut two, mut three) = ([0; 2048], [0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((len, from)) = inside.recv_from(&mut one) => {
                    client = Some(from);
                    let chosen = *choice.borrow();
                    let _ = outside[chosen].send(&one[..len]).await;
                }
                Ok(len) = outside[0].recv(&mut two), if *choice.borrow() == 0 => {
                    let _ = inside.send_to(&two[..len], client.unwrap()).await;
                }
                Ok(len) = outside[1].recv(&mut three) => {
                    let _ = inside.send_to(&three[..len], client.unwrap()).await;
                }
            }
        }
    });
    (addr, chosen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_moves_with_its_client() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(|_| {}).await;
    let (outside, choice) = nat(&mut tasks, relay.addr).await;
    let client = Client::start(&settings(outside, pin)).await;
    let mut stream = client.connect("127.0.0.1", mirror.port()).await.unwrap();
    stream.write_all(&noise(1, 100_000)).await.unwrap();
    choice.send(1).unwrap();
    through_and_back_with(stream, noise(1, 100_000), noise(2, 100_000)).await;
    assert_eq!(relay.metric("mytunnel_connections_total ").await, 1);
}

/// As [`through_and_back`], where the first bytes have been said already.
async fn through_and_back_with(mut stream: TcpStream, said: Vec<u8>, more: Vec<u8>) {
    stream.write_all(&more).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("in time").unwrap();
    assert!(heard.iter().rev().eq(said.iter().chain(&more)));
}

#[tokio::test]
async fn noise_on_the_port_hurts_nobody() {
    let mut tasks = JoinSet::new();
    let mirror = mirror(&mut tasks).await;
    let (relay, pin) = relay(|_| {}).await;
    let client = Client::start(&settings(relay.addr, pin)).await;
    let stranger = UdpSocket::bind(ANY).await.unwrap();
    for seed in 0..2_000 {
        let mut packet = noise(seed, 1 + (seed as usize * 37) % 1_472);
        packet[0] |= 0x40;
        if seed % 2 == 0 && packet.len() > 5 {
            packet[0] |= 0xc0;
            packet[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        let _ = stranger.send_to(&packet, relay.addr).await;
    }
    let stream = client.connect("127.0.0.1", mirror.port()).await.unwrap();
    through_and_back(stream, noise(7, 10_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_others_wrote_is_served() {
    let own = tagio_testkit::binaries::workspace().join("target/python/bin/python3");
    let python = if own.exists() { own } else { "python3".into() };
    let has_quic = Command::new(&python).args(["-c", "import aioquic"]).output();
    if !has_quic.is_ok_and(|output| output.status.success()) {
        return tagio_testkit::skipped("aioquic is missing; scripts/setup.sh installs it");
    }
    let mut tasks = JoinSet::new();
    let (mirror, echo) = (mirror(&mut tasks).await, echo(&mut tasks).await);
    let (relay, _) = relay(|_| {}).await;
    let mut command = Command::new(python);
    command.arg("-").arg(relay.addr.port().to_string()).arg(TOKEN);
    command.args([mirror.port().to_string(), echo.port().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        let mut script = child.stdin.take().expect("stdin is piped");
        script.write_all(include_bytes!("forward/client.py"))?;
        drop(script);
        child.wait_with_output()
    });
    let output = running.await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "ok\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
