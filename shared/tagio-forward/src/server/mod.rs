//! The server's end: one QUIC endpoint behind a socket that is somebody else's.

mod connection;
mod datagrams;
mod facts;
mod moderation;
mod reset;
mod socket;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use noq::{EndpointConfig, crypto::rustls::QuicServerConfig};
use rustls::server::ResolvesServerCert;
use tagio_proxy::Dialer;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;

pub use facts::{ConnectionFacts, Refusal, Totals};
pub use moderation::moderate;
pub use socket::{Doorway, Inlet};

use crate::{pump::Meter, transport, wire};
use facts::Counters;

/// Handshakes under way above which clients have to show that they receive at their address first.
const UNPROVEN_MAX: usize = 64;
/// And above which newcomers are turned away: each is up to 3 KB of certificate and 0.5 ms of work.
const HANDSHAKES_MAX: usize = 1_024;
/// Streams of a client that is not let in yet: one for its token, and a burst that waits for it.
const STREAMS_BEFORE_TOKEN: u32 = 64;
/// How long clients have to hear that the server stops.
const LAST_WORDS: Duration = Duration::from_millis(500);
const STOPPING: noq::VarInt = noq::VarInt::from_u32(0);

/// Who may come in. Asked for each connection; must not wait.
pub trait Doorkeeper: Send + Sync + 'static {
    /// The right to be connected; given back when it is dropped.
    type Pass: Send + Sync + 'static;

    /// Somebody knocks; `None` turns them away before anything is worked out for them.
    fn knock(&self, ip: IpAddr) -> Option<Self::Pass>;

    /// Whether clients have to show a token.
    fn wants_token(&self) -> bool;

    /// Looks at a token, in the same time whatever it is.
    fn admits(&self, ip: IpAddr, token: &[u8]) -> bool;

    /// Somebody was let in.
    fn establish(&self, pass: &Self::Pass);
}

/// Bounds of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at once.
    pub clients_max: usize,
    /// Streams of one client at once; QUIC makes it wait for more.
    pub streams_per_client_max: u32,
    /// Streams of all clients at once, each with a TCP connection; more are refused.
    pub streams_max: usize,
    /// UDP flows of one client at once; more take the place of nobody and are dropped.
    pub flows_per_client_max: usize,
    /// UDP flows of all clients at once, each with a socket.
    pub flows_max: usize,
    /// A flow without datagrams for this long is gone.
    pub flow_idle: Duration,
    /// How long a client may take to show its token, and a stream to say what it wants.
    pub opening: Duration,
}

/// What a server needs to know.
pub struct ServerConfig<D> {
    /// Who may come in.
    pub doorkeeper: D,
    /// The way out.
    pub dialer: Dialer,
    /// Bounds.
    pub limits: Limits,
    /// What TLS shows.
    pub certificates: Arc<dyn ResolvesServerCert>,
    /// A secret that a restart does not change: by it clients learn at once that their connection is gone.
    pub reset_secret: [u8; 32],
}

/// Serves clients by [`Server::run`], until it is closed.
pub struct Server<D> {
    endpoint: noq::Endpoint,
    inner: Arc<Inner<D>>,
}

/// What all connections share.
struct Inner<D> {
    doorkeeper: D,
    dialer: Dialer,
    limits: Limits,
    streams: Arc<Semaphore>,
    flows: Arc<Semaphore>,
    handshakes: Semaphore,
    counters: Counters,
    meter: Meter,
    ids: AtomicU64,
    draining: watch::Sender<bool>,
    connections: Mutex<Vec<Arc<connection::Seen>>>,
    is_closed: AtomicBool,
}

impl<D: Doorkeeper> Server<D> {
    /// Sends by `doorway`; what comes in is to be put into the inlet. Must be called within a runtime.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn open(config: ServerConfig<D>, doorway: impl Doorway) -> io::Result<(Self, Inlet)> {
        let ServerConfig { doorkeeper, dialer, limits, certificates, reset_secret } = config;
        let streams = match doorkeeper.wants_token() {
            true => STREAMS_BEFORE_TOKEN.min(limits.streams_per_client_max),
            false => limits.streams_per_client_max,
        };
        let mut quic = noq::ServerConfig::with_crypto(Arc::new(tls(certificates)?));
        quic.transport_config(transport::config(streams, None)).max_incoming(HANDSHAKES_MAX);
        let (socket, inlet) = socket::Socket::new(doorway);
        let endpoint = noq::Endpoint::new_with_abstract_socket(
            endpoint_config(&reset_secret),
            Some(quic),
            Box::new(socket),
            Arc::new(noq::TokioRuntime),
        )?;
        let inner = Inner {
            doorkeeper,
            dialer,
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            flows: Arc::new(Semaphore::new(limits.flows_max)),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            limits,
            counters: Counters::default(),
            meter: Meter::default(),
            ids: AtomicU64::new(1),
            draining: watch::Sender::new(false),
            connections: Mutex::default(),
            is_closed: AtomicBool::new(false),
        };
        Ok((Self { endpoint, inner: Arc::new(inner) }, inlet))
    }

    /// Serves until [`Server::close`]. Dropping it ends every connection.
    pub async fn run(&self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    if let Some(incoming) = self.sift(incoming, connections.len()) {
                        connections.spawn(connection::serve(Arc::clone(&self.inner), incoming));
                    }
                }
                Some(ended) = connections.join_next() => report(ended),
            }
        }
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }

    /// Who is worth a handshake.
    fn sift(&self, incoming: noq::Incoming, connected: usize) -> Option<noq::Incoming> {
        let inner = &self.inner;
        inner.counters.connections.fetch_add(1, Ordering::Relaxed);
        let busy = HANDSHAKES_MAX - inner.handshakes.available_permits();
        if *inner.draining.borrow() || connected >= inner.limits.clients_max {
            inner.counters.refuse(Refusal::Clients);
            incoming.refuse();
        } else if busy >= UNPROVEN_MAX && incoming.may_retry() && !incoming.remote_address_validated() {
            // It may be gone already.
            let _ = incoming.retry();
        } else {
            return Some(incoming);
        }
        None
    }

    /// Takes no more work; clients that do nothing are sent away.
    pub fn drain(&self) {
        self.inner.draining.send_replace(true);
    }

    /// Whether closing now would cut nobody off.
    pub fn is_idle(&self) -> bool {
        self.inner.streams.available_permits() == self.inner.limits.streams_max
    }

    /// Tells every client that it is over.
    pub async fn close(&self) {
        self.inner.is_closed.store(true, Ordering::Relaxed);
        self.endpoint.close(STOPPING, b"the server stops");
        if timeout(LAST_WORDS, self.endpoint.wait_idle()).await.is_err() {
            debug!("not every client has heard that the server stops");
        }
    }

    /// Numbers for a metrics page.
    pub fn totals(&self) -> Totals {
        self.inner.totals()
    }

    /// What there is to say of each client that was let in.
    pub fn connections(&self) -> Vec<ConnectionFacts> {
        self.inner.lock_connections().iter().map(|seen| seen.facts()).collect()
    }
}

impl<D> Inner<D> {
    fn lock_connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<connection::Seen>>> {
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn totals(&self) -> Totals {
        self.counters.totals(
            self.lock_connections().len(),
            self.limits.streams_max - self.streams.available_permits(),
            self.limits.flows_max - self.flows.available_permits(),
            &self.meter,
        )
    }
}

impl<D> fmt::Debug for Server<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

fn tls(certificates: Arc<dyn ResolvesServerCert>) -> io::Result<QuicServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![wire::ALPN.to_vec()];
    // 0-RTT: what it carries may have been recorded and sent again, so nothing is dialled for it, see `connection`.
    tls.max_early_data_size = u32::MAX;
    QuicServerConfig::try_from(tls).map_err(io::Error::other)
}

fn endpoint_config(reset_secret: &[u8; 32]) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(reset::ResetKey::new(reset_secret)));
    config.cid_generator(Arc::new(|| -> Box<dyn noq::ConnectionIdGenerator> { Box::new(reset::RandomIds) }));
    // The first byte tells QUIC from what else comes to the relay's port, so it must not vary.
    config.grease_quic_bit(false);
    config
}

/// A panic ends its own connection only, and is a bug worth a line.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// `addr` as QUIC knows it here: IPv4 as mapped IPv6.
fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
