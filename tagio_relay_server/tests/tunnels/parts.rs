//! A relay with tunnels, clients of both kinds, services behind them and visitors.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]
#![allow(clippy::print_stderr, reason = "shown when a test fails")]

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tagio_relay_server::{Config, Reloader, Server, TunnelConfig};
use tagio_tunnel::client::{
    self, Carrier, CarrierChoice, ClientConfig, ClientError, ClientEvent, Standing, Target,
};
use tagio_wire::tunnel::{Manners, Open, Place, TunnelSecret};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::{
    compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt},
    sync::CancellationToken,
    task::AbortOnDropHandle,
};
use zeroize::Zeroizing;

use crate::common::{ANY, PATIENCE, Relay};

/// A relay with tunnels.
pub(crate) struct TunnelRelay {
    pub(crate) server: Relay,
    pub(crate) control: SocketAddr,
    pub(crate) ingress: SocketAddr,
    reloader: Reloader,
    config: Config,
}

pub(crate) async fn relay(change: impl FnOnce(&mut TunnelConfig)) -> TunnelRelay {
    relay_with(change, |_| {}).await
}

pub(crate) async fn relay_with(
    change: impl FnOnce(&mut TunnelConfig),
    bound: impl FnOnce(&mut Config),
) -> TunnelRelay {
    let mut tunnel = TunnelConfig { control: ANY, ingress: ANY, tokens: vec![], domain: None, ports: None };
    change(&mut tunnel);
    start(tempfile::tempdir().unwrap(), tunnel, bound).await
}

async fn start(dir: TempDir, tunnel: TunnelConfig, bound: impl FnOnce(&mut Config)) -> TunnelRelay {
    let mut config = crate::common::config(dir.path());
    config.tunnel = Some(tunnel);
    bound(&mut config);
    let server = Server::bind(&config).await.unwrap();
    let (addrs, reloader) = (server.tunnel_addrs().unwrap(), server.reloader());
    let server = Relay::running(dir, server);
    TunnelRelay { server, control: addrs.control, ingress: addrs.ingress, reloader, config }
}

impl TunnelRelay {
    /// Has it read another configuration.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut TunnelConfig)) {
        let mut config = self.config.clone();
        change(config.tunnel.as_mut().unwrap());
        self.reloader.reload(&config);
    }

    /// Stops it and starts another at the same addresses.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, control, ingress, .. } = self;
        let dir = server.stop().await;
        let tunnel = TunnelConfig { control, ingress, tokens: vec![], domain: None, ports: None };
        start(dir, tunnel, |_| {}).await
    }
}

/// Settings of a client for one local service.
pub(crate) fn config(relay: &TunnelRelay, target: SocketAddr) -> ClientConfig {
    ClientConfig {
        host: relay.control.ip().to_string(),
        port: relay.control.port(),
        carrier: CarrierChoice::Auto,
        key: None,
        token: None,
        place: Place::Any,
        manners: Manners::default(),
        targets: vec![Target { host: target.ip().to_string(), port: target.port() }],
        drain: Duration::from_secs(10),
        meter: Arc::default(),
        recorder: None,
    }
}

pub(crate) fn by(config: ClientConfig, carrier: CarrierChoice) -> ClientConfig {
    ClientConfig { carrier, ..config }
}

pub(crate) fn with_token(config: ClientConfig, token: Option<&str>) -> ClientConfig {
    ClientConfig { token: token.map(|token| Zeroizing::new(token.to_owned())), ..config }
}

pub(crate) fn at(config: ClientConfig, place: Place) -> ClientConfig {
    ClientConfig { place, ..config }
}

pub(crate) fn with_manners(config: ClientConfig, manners: Manners) -> ClientConfig {
    ClientConfig { manners, ..config }
}

pub(crate) fn hash(text: &str) -> TunnelSecret {
    TunnelSecret(Sha256::digest(text).into())
}

/// A client that runs until the test ends.
pub(crate) struct Tunnel {
    pub(crate) public: String,
    pub(crate) carrier: Carrier,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), ClientError>>,
    /// Says what happens later, for whoever reads a failed test.
    _events: AbortOnDropHandle<()>,
}

impl Tunnel {
    pub(crate) async fn open(config: ClientConfig) -> Self {
        let (events_tx, mut events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let running = tokio::spawn(client::run(config, events_tx, stop.clone()));
        let event = timeout(PATIENCE, events.recv()).await.expect("an event").expect("the client runs");
        let ClientEvent::Opened(Standing { public, carrier, .. }) = event else { panic!("{event:?}") };
        let events = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                eprintln!("tunnel: {event:?}");
            }
        });
        Self { public, carrier, stop, running, _events: AbortOnDropHandle::new(events) }
    }

    pub(crate) async fn refused(config: ClientConfig) -> ClientError {
        let (events, _kept) = mpsc::channel(64);
        let ran = client::run(config, events, CancellationToken::new());
        timeout(PATIENCE, ran).await.expect("it ends").expect_err("it is refused")
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A service that gives back what it gets, and ends when its visitor has ended.
pub(crate) async fn echo() -> SocketAddr {
    serve(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        // A visitor that breaks off ends its echo.
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

/// A service that speaks until its visitor has left.
pub(crate) async fn endless() -> SocketAddr {
    serve(|mut stream| async move { while stream.write_all(&[7; 32 * 1024]).await.is_ok() {} }).await
}

/// A service that answers requests with a word, or with what it was asked under `/mirror`, and echoes upgrades.
pub(crate) async fn http_service(word: &'static str) -> SocketAddr {
    serve(move |mut stream| async move {
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
            if text.starts_with("GET /upgrade ") && text.to_lowercase().contains("upgrade: echo") {
                let answer =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
                return;
            }
            let body = if text.starts_with("GET /mirror ") { text.as_str() } else { word };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

async fn serve<F>(service: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut visits = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            visits.spawn(service(stream));
        }
    });
    addr
}

/// A client as the first of its kind was: yamux over one connection, a stream per visitor.
pub(crate) async fn yamux_client(control: SocketAddr, local: SocketAddr) {
    let stream = TcpStream::connect(control).await.unwrap();
    let mut connection =
        yamux::Connection::new(stream.compat(), yamux::Config::default(), yamux::Mode::Client);
    let mut visits = JoinSet::new();
    while let Some(Ok(visitor)) = poll_fn(|cx| connection.poll_next_inbound(cx)).await {
        visits.spawn(async move {
            let mut service = TcpStream::connect(local).await.unwrap();
            let _ = copy_bidirectional(&mut visitor.compat(), &mut service).await;
        });
    }
}

/// A megabyte there and back, the end said before all is read. Every number sends other bytes.
///
/// Cheap on purpose: two hundred of them must not keep the runtime from what is tested.
pub(crate) async fn round_trip(ingress: SocketAddr, number: usize) {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..1_u32 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    });
    let (end, start) = BYTES.split_at(number * 4096);
    let (mut read, mut write) = TcpStream::connect(ingress).await.unwrap().into_split();
    let sent = async move {
        for part in [start, end] {
            write.write_all(part).await.unwrap();
        }
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(read.read_to_end(&mut received), sent);
    read.unwrap();
    let (len, is_same) = (received.len(), received.strip_prefix(start) == Some(end));
    assert!(is_same, "visitor {number} got {len} bytes of {}, or others", BYTES.len());
}

/// Sends, ends, and reads all that comes.
pub(crate) async fn exchange(at: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
    Ok(answer)
}

pub(crate) async fn get(at: SocketAddr, host: &str) -> String {
    crate::common::http(at, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

pub(crate) async fn wait_until(mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE * 2, "waited in vain");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn wait_until_served(at: SocketAddr) {
    wait_until(async || exchange(at, b"there?").await.is_ok_and(|answer| answer == b"there?")).await;
}

pub(crate) async fn wait_until_unserved(at: SocketAddr) {
    wait_until(async || {
        exchange(at, b"there?").await.is_ok_and(|answer| answer.is_empty())
            || exchange(at, b"there?").await.is_err()
    })
    .await;
}

pub(crate) async fn frames_to(stream: &mut TcpStream, message: &impl Serialize) {
    tagio_tunnel::frames::write(stream, message).await.unwrap();
}

/// What a client says that wants a name and knows no token.
pub(crate) fn open(name: &str) -> Open {
    Open {
        version: tagio_wire::limits::PROTOCOL_VERSION,
        run: TunnelSecret([1; 32]),
        proof: None,
        place: Place::Name(name.to_owned()),
        manners: Manners::default(),
    }
}

/// The smallest ClientHello with a name.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let list16 = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let server_name = list16(&[&[0][..], &list16(name.as_bytes())].concat());
    let extensions = list16(&[&[0, 0][..], &list16(&server_name)].concat());
    let suites = list16(&[0x13, 0x01]);
    let hello = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0], &extensions].concat();
    let len = u32::try_from(hello.len()).unwrap().to_be_bytes();
    let handshake = [&[1][..], &len[1..], &hello].concat();
    [&[22, 3, 1][..], &list16(&handshake)].concat()
}
