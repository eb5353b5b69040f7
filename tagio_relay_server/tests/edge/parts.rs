//! A POP, its nodes, its users and their targets.
#![allow(unreachable_pub, reason = "each test program uses it as its own")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tagio_edge::node::{self, NodeConfig, NodeError, NodeEvent};
use tagio_proxy::{Dialer, TargetPolicy};
use tagio_relay_server::{Config, EdgeConfig, Secret, Server};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::common::{ANY, PATIENCE, Relay, config};

pub const UUID: &str = "08bd0658-1f61-11f0-8061-8bd115314f4c";

/// Settings of a POP with one user.
pub fn pop_config(dir: &TempDir) -> Config {
    let mut config = config(dir.path());
    let users = vec![("anna".to_owned(), Secret::new("open sesame".to_owned()))];
    config.edge = Some(EdgeConfig { socks: ANY, secret: None, users, nodes: Vec::new() });
    config
}

pub struct Pop {
    pub relay: Relay,
    pub socks: SocketAddr,
}

impl Pop {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = pop_config(&dir);
        change(&mut config);
        Self::start_as(dir, &config).await
    }

    pub async fn start_as(dir: TempDir, config: &Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let socks = server.edge_addr().unwrap();
        Self { relay: Relay::running(dir, server), socks }
    }

    pub fn url(&self) -> String {
        format!("http://{}/node/pop", self.relay.addr)
    }

    /// A connection of its user to a target on this machine.
    pub async fn reach(&self, target: SocketAddr) -> TcpStream {
        self.ask("anna", &target.ip().to_string(), target.port()).await.unwrap()
    }

    /// A connection, or the reply of RFC 1928 that says why not.
    pub async fn ask(&self, user: &str, host: &str, port: u16) -> Result<TcpStream, u8> {
        timeout(PATIENCE, socks(self.socks, user, 1, host, port)).await.unwrap().map(|(stream, _)| stream)
    }

    /// An association of its user, and where it takes datagrams.
    pub async fn associate(&self) -> (TcpStream, SocketAddr) {
        socks(self.socks, "anna", 3, "0.0.0.0", 0).await.unwrap()
    }
}

/// Speaks SOCKS 5 with a name as the host; what is wrong before the reply fails the test.
async fn socks(
    door: SocketAddr,
    user: &str,
    command: u8,
    host: &str,
    port: u16,
) -> Result<(TcpStream, SocketAddr), u8> {
    let mut stream = TcpStream::connect(door).await.unwrap();
    stream.write_all(&[5, 1, 2]).await.unwrap();
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(two, [5, 2]);
    let with_len = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let login = [&[1][..], &with_len(user), &with_len("open sesame")].concat();
    stream.write_all(&login).await.unwrap();
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(two, [1, 0]);
    let request = [&[5, command, 0, 3][..], &with_len(host), &port.to_be_bytes()].concat();
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    if reply[1] != 0 {
        return Err(reply[1]);
    }
    let ip = Ipv4Addr::from(*reply[4..].first_chunk::<4>().unwrap());
    let port = u16::from_be_bytes([reply[8], reply[9]]);
    Ok((stream, SocketAddr::new(IpAddr::V4(ip), port)))
}

/// A node of this process, with its events.
pub struct Node {
    events: mpsc::Receiver<NodeEvent>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), NodeError>>,
}

impl Node {
    /// Serves `url` and dials what is public, and these networks.
    pub fn start(url: &str, uuid: &str, allowed: &[&str]) -> Self {
        let policy = TargetPolicy::new(allowed.iter().map(|net| net.parse().unwrap()).collect());
        let config = NodeConfig {
            uuid: uuid.parse().unwrap(),
            direct_url: Some(url.to_owned()),
            app_dir: "/nowhere".into(),
            dialer: Dialer::new(policy, Duration::from_secs(3)),
            udp_timeout: Duration::from_secs(60),
        };
        let (events_tx, events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let running = tokio::spawn(node::run(config, events_tx, stop.clone()));
        Self { events, stop, running }
    }

    /// Serves a POP, and dials this machine.
    pub async fn at(pop: &Pop, uuid: &str) -> Self {
        let mut node = Self::start(&pop.url(), uuid, &["127.0.0.0/8", "::1/128"]);
        node.wait_up().await;
        node
    }

    /// Waits until it serves a POP.
    pub async fn wait_up(&mut self) {
        let up = async { while !matches!(self.events.recv().await, Some(NodeEvent::Up(_))) {} };
        timeout(PATIENCE, up).await.expect("the node finds the POP");
    }

    pub async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.running).await.expect("it ends").unwrap().unwrap();
    }

    /// How it ended by itself.
    pub async fn ended(self) -> Result<(), NodeError> {
        timeout(PATIENCE, self.running).await.expect("it ends").unwrap()
    }
}

/// Sends back what it gets, each byte inverted, once all of it has come.
pub async fn mirror() -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.unwrap();
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
                stream.write_all(&bytes).await.unwrap();
            });
        }
    });
    addr
}

/// Pours `len` bytes at everybody.
pub async fn spring(len: usize) -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Who is slow may be cut off.
            tokio::spawn(async move { stream.write_all(&pattern(len, 7)).await });
        }
    });
    addr
}

/// Answers each datagram with its bytes in reverse order.
pub async fn reverser() -> SocketAddr {
    let socket = UdpSocket::bind(ANY).await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            buffer[..len].reverse();
            socket.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    addr
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 9) ^ seed) as u8).collect()
}

/// Sends a mebibyte and its end, and gets it back inverted.
pub async fn exchange(mut stream: TcpStream, seed: usize) {
    let sent = pattern(1 << 20, seed);
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    got.iter_mut().for_each(|byte| *byte = !*byte);
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}
