//! A relay on a free port and a small client for it, written from the protocol's description alone.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

pub mod attacks;
pub mod carriers;
pub mod messages;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use snow::{Builder, TransportState};
use tagio_relay_core::Limits;
use tagio_relay_server::{
    CertificateSource, Config, MetricsBind, SecondPort, Secret, Server, TrustedProxies,
};
use tagio_wire::{
    PeerId, PublicKey,
    control::{
        CONTROL_PROLOGUE, ClientMessage, Hello, HelloReply, NOISE_IK, NOISE_XX, Preface, RelayMessage,
        Welcome,
    },
    decode, encode,
    leg::{Datagram, LegGrant, TCP_LEG_OK},
    limits::PROTOCOL_VERSION,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, shorter than patience.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Any free port, IPv4 only.
pub const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The same, of an address that no control connection comes from.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);

/// Settings for a relay on a free port that keeps its things in `dir`.
pub fn config(dir: &Path) -> Config {
    Config {
        binds: vec![ANY],
        public_ip: None,
        auth: None,
        admin_token: None,
        certificate: CertificateSource::SelfSigned,
        data_dir: dir.to_owned(),
        metrics: MetricsBind::At(ANY),
        stun_port: SecondPort::Next,
        trusted_proxies: TrustedProxies::default(),
        tunnel: None,
        edge: None,
        forward: None,
        limits: Limits::default(),
    }
}

/// A relay that runs until the test ends.
pub struct Relay {
    pub addr: SocketAddr,
    pub metrics: SocketAddr,
    pub key: PublicKey,
    pub dir: TempDir,
    stop: CancellationToken,
    running: JoinHandle<Result<()>>,
}

impl Relay {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    pub async fn start_in(dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir.path());
        change(&mut config);
        Self::running(dir, Server::bind(&config).await.unwrap())
    }

    /// Serves with what is bound already.
    pub fn running(dir: TempDir, server: Server) -> Self {
        let (addr, metrics, key) = (server.addrs()[0], server.metrics_addr().unwrap(), server.key());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        Self { addr, metrics, key, dir, stop, running }
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.stop.cancel();
    }

    /// Waits for its end; its directory.
    pub async fn ended(self) -> TempDir {
        timeout(Duration::from_secs(12), self.running).await.expect("ends in time").unwrap().unwrap();
        self.dir
    }

    pub async fn stop(self) -> TempDir {
        self.drain();
        self.ended().await
    }

    /// One counter or gauge from the metrics page.
    pub async fn metric(&self, name: &str) -> u64 {
        let page = http(self.metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
        line.trim().parse().unwrap()
    }

    /// How often something was turned away for this reason.
    pub async fn denied(&self, reason: &str) -> u64 {
        self.metric(&format!("tagio_relay_denied_total{{reason=\"{reason}\"}}")).await
    }

    /// Waits until something was turned away for this reason `count` times.
    pub async fn wait_denied(&self, reason: &str, count: u64) {
        self.wait_metric(&format!("tagio_relay_denied_total{{reason=\"{reason}\"}}"), count).await;
    }

    /// Waits until a gauge is at `value`.
    pub async fn wait_metric_is(&self, name: &str, value: u64) {
        for _ in 0..250 {
            if self.metric(&format!("{name} ")).await == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} stays at {}, expected {value}", self.metric(name).await);
    }

    /// Waits until a counter is at `count` or above.
    pub async fn wait_metric(&self, name: &str, count: u64) {
        for _ in 0..500 {
            if self.metric(name).await >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} stays at {}, expected {count}", self.metric(name).await);
    }
}

/// Sends a request, the last of its connection, and reads everything that comes back.
pub async fn http(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let says_itself = request.contains("\r\nConnection: ");
    let request = if says_itself {
        request.to_owned()
    } else {
        request.replacen("\r\n", "\r\nConnection: close\r\n", 1)
    };
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// A client's key pair.
pub struct Keys {
    pub private: [u8; 32],
    pub public: PublicKey,
}

impl Keys {
    pub fn new() -> Self {
        let pair = Builder::new(NOISE_XX.parse().unwrap()).generate_keypair().unwrap();
        let public = PublicKey(pair.public.try_into().unwrap());
        Self { private: pair.private.try_into().unwrap(), public }
    }
}

/// A client that was let in, over TCP unless something carries it.
pub struct Client<S = TcpStream> {
    pub stream: S,
    pub noise: TransportState,
    pub welcome: Welcome,
    pub relay_key: PublicKey,
}

/// First words of a client that can be called.
pub fn hello() -> Hello {
    Hello { version: PROTOCOL_VERSION, auth: None, presence: true }
}

impl Client {
    /// Comes in by IK and can be called.
    pub async fn connect(relay: &Relay) -> Self {
        Self::connect_as(relay, &Keys::new()).await
    }

    pub async fn connect_as(relay: &Relay, keys: &Keys) -> Self {
        let mut client = Self::ik(relay, keys, &hello()).await.unwrap();
        client.ping(0).await;
        client
    }

    /// Knows the relay's key: one round trip.
    pub async fn ik(relay: &Relay, keys: &Keys, hello: &Hello) -> Result<Self> {
        Self::ik_over(TcpStream::connect(relay.addr).await?, relay.key, keys, hello).await
    }

    /// Meets the relay for the first time.
    pub async fn xx(relay: &Relay, keys: &Keys, hello: &Hello) -> Result<Self> {
        Self::xx_over(TcpStream::connect(relay.addr).await?, keys, hello).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// As [`Client::ik`], over anything.
    pub async fn ik_over(mut stream: S, relay_key: PublicKey, keys: &Keys, hello: &Hello) -> Result<Self> {
        let mut noise = Builder::new(NOISE_IK.parse()?)
            .local_private_key(&keys.private)?
            .remote_public_key(&relay_key.0)?
            .prologue(CONTROL_PROLOGUE)?
            .build_initiator()?;
        let mut buffer = vec![0; 8192];
        let len = noise.write_message(&encode(hello), &mut buffer)?;
        stream.write_all(&Preface::ControlIk.bytes()).await?;
        write_frame(&mut stream, &buffer[..len]).await?;
        let answer = read_frame(&mut stream).await?;
        let len = noise.read_message(&answer, &mut buffer)?;
        let reply = decode(&buffer[..len])?;
        Self::let_in(stream, noise.into_transport_mode()?, reply, relay_key)
    }

    /// As [`Client::xx`], over anything.
    pub async fn xx_over(mut stream: S, keys: &Keys, hello: &Hello) -> Result<Self> {
        let mut noise = Builder::new(NOISE_XX.parse()?)
            .local_private_key(&keys.private)?
            .prologue(CONTROL_PROLOGUE)?
            .build_initiator()?;
        let mut buffer = vec![0; 8192];
        let len = noise.write_message(&[], &mut buffer)?;
        stream.write_all(&Preface::ControlXx.bytes()).await?;
        write_frame(&mut stream, &buffer[..len]).await?;
        let second = read_frame(&mut stream).await?;
        noise.read_message(&second, &mut buffer)?;
        let len = noise.write_message(&encode(hello), &mut buffer)?;
        write_frame(&mut stream, &buffer[..len]).await?;
        let relay_key = noise.get_remote_static().context("XX tells the key")?.try_into()?;
        let mut noise = noise.into_transport_mode()?;
        let answer = read_frame(&mut stream).await?;
        let len = noise.read_message(&answer, &mut buffer)?;
        let reply = decode(&buffer[..len])?;
        Self::let_in(stream, noise, reply, PublicKey(relay_key))
    }

    fn let_in(stream: S, noise: TransportState, reply: HelloReply, relay_key: PublicKey) -> Result<Self> {
        match reply {
            HelloReply::Welcome(welcome) => Ok(Self { stream, noise, welcome, relay_key }),
            HelloReply::Refused(refusal) => bail!("{refusal:?}"),
        }
    }

    pub fn id(&self) -> PeerId {
        self.welcome.id
    }

    pub async fn send(&mut self, message: &ClientMessage) {
        self.try_send(message).await.unwrap();
    }

    pub async fn try_send(&mut self, message: &ClientMessage) -> Result<()> {
        let mut frame = vec![0; 4200];
        let len = self.noise.write_message(&encode(message), &mut frame)?;
        write_frame(&mut self.stream, &frame[..len]).await
    }

    pub async fn try_recv(&mut self) -> Result<RelayMessage> {
        let frame = read_frame(&mut self.stream).await?;
        let mut plain = vec![0; frame.len()];
        let len = self.noise.read_message(&frame, &mut plain)?;
        Ok(decode(&plain[..len])?)
    }

    pub async fn recv(&mut self) -> RelayMessage {
        self.try_recv().await.unwrap()
    }

    pub async fn ping(&mut self, nonce: u32) {
        self.send(&ClientMessage::Ping { nonce }).await;
        assert_eq!(self.recv().await, RelayMessage::Pong { nonce });
    }

    pub async fn online(&mut self, target: PeerId) -> bool {
        self.send(&ClientMessage::Lookup { request: 7, target }).await;
        match self.recv().await {
            RelayMessage::Status { request: 7, online } => online,
            other => panic!("expected a status, got {other:?}"),
        }
    }
}

/// A call between two clients: the caller's grant and the target's.
pub async fn call<A, B>(caller: &mut Client<A>, target: &mut Client<B>) -> (LegGrant, LegGrant)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    caller.send(&ClientMessage::Call { call: 1, target: target.id() }).await;
    let RelayMessage::Ringing { call: 1, leg, .. } = caller.recv().await else { panic!("no ringing") };
    let RelayMessage::Incoming { leg: theirs, .. } = target.recv().await else { panic!("no call") };
    (leg, theirs)
}

pub async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Result<()> {
    let len = u16::try_from(frame.len())?;
    stream.write_all(&[&len.to_be_bytes()[..], frame].concat()).await?;
    stream.flush().await?;
    Ok(())
}

pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    timeout(PATIENCE, async {
        let mut frame = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut frame).await?;
        Ok(frame)
    })
    .await?
}

/// One end of a leg over UDP.
pub struct UdpEnd {
    pub socket: UdpSocket,
    pub grant: LegGrant,
}

impl UdpEnd {
    /// Not where its client's control connection comes from: the relay wants to see a cookie.
    pub async fn new(relay: &Relay, grant: LegGrant) -> Self {
        Self::at(ELSEWHERE, relay, grant).await
    }

    /// Where its client's control connection comes from.
    pub async fn at_home(relay: &Relay, grant: LegGrant) -> Self {
        Self::at(ANY, relay, grant).await
    }

    async fn at(addr: SocketAddr, relay: &Relay, grant: LegGrant) -> Self {
        let socket = UdpSocket::bind(addr).await.unwrap();
        socket.connect(relay.addr).await.unwrap();
        Self { socket, grant }
    }

    /// Asks, is challenged, shows the cookie, is bound.
    pub async fn bound(relay: &Relay, grant: LegGrant) -> Self {
        let end = Self::new(relay, grant).await;
        end.bind().await.unwrap();
        end
    }

    pub async fn bind(&self) -> Result<()> {
        let grant = self.grant;
        self.send(&Datagram::Bind { grant, cookie: [0; 16] }).await;
        let answer = self.recv().await?;
        let Some(Datagram::Challenge { channel, cookie }) = Datagram::parse(&answer) else {
            bail!("no challenge");
        };
        ensure!(channel == grant.channel);
        self.send(&Datagram::Bind { grant, cookie }).await;
        let answer = self.recv().await?;
        let Some(Datagram::Bound { observed, .. }) = Datagram::parse(&answer) else {
            bail!("not bound: {answer:?}");
        };
        ensure!(observed == self.socket.local_addr()?);
        Ok(())
    }

    pub async fn send(&self, datagram: &Datagram<'_>) {
        self.socket.send(&datagram.bytes()).await.unwrap();
    }

    pub async fn send_packet(&self, packet: &[u8]) {
        self.send(&Datagram::Data { channel: self.grant.channel, packet }).await;
    }

    pub async fn recv(&self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let len = timeout(PATIENCE, self.socket.recv(&mut buffer)).await??;
        buffer.truncate(len);
        Ok(buffer)
    }

    pub async fn recv_packet(&self) -> Vec<u8> {
        let datagram = self.recv().await.unwrap();
        match Datagram::parse(&datagram) {
            Some(Datagram::Data { channel, packet }) if channel == self.grant.channel => packet.to_vec(),
            other => panic!("expected data, got {other:?}"),
        }
    }

    /// Whether nothing comes for a moment.
    pub async fn is_silent(&self) -> bool {
        let mut buffer = [0; 16];
        timeout(Duration::from_millis(200), self.socket.recv(&mut buffer)).await.is_err()
    }
}

/// One end of a leg over TCP.
pub async fn tcp_end(relay: &Relay, grant: LegGrant) -> Result<TcpStream> {
    end_over(TcpStream::connect(relay.addr).await?, grant).await
}

/// One end of a leg over anything that carries what TCP does.
pub async fn end_over<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, grant: LegGrant) -> Result<S> {
    let opening = [&Preface::TcpLeg.bytes()[..], &grant.channel.0.to_be_bytes(), &grant.token.0].concat();
    stream.write_all(&opening).await?;
    stream.flush().await?;
    ensure!(timeout(PATIENCE, stream.read_u8()).await?? == TCP_LEG_OK);
    Ok(stream)
}

/// A relay's secret.
pub fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.to_owned()))
}
