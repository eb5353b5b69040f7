//! Reverse tunnels: a client's local service, reached by visitors of the relay.
//!
//! `control` serves the tunnel port, where clients come; `ingress` and `ports` serve visitors. In between stands the
//! [`Tunnels`]: the book of `tagio-relay-core`, which decides, and the sessions, which carry.

mod control;
mod http;
mod ingress;
mod pool;
mod ports;
mod session;
mod token;
mod udp;
mod yamux;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tagio_relay_core::{
    Denial, SourceNet,
    tunnel::{HostName, Naming, Route, SessionId, TunnelBook},
};
use tagio_tunnel::{
    pipe::Meter,
    stream::quic::{self, Endpoint},
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{listeners, lock::lock, shared::Shared};
use session::Session;

pub use token::TunnelToken;

/// A relay that was just stopped in this process says its last words by QUIC for a moment longer.
const QUIC_PORT_TRIES: u32 = 20;
const QUIC_PORT_PAUSE: Duration = Duration::from_millis(50);

/// What a relay with tunnels needs to know.
#[derive(Clone, Debug)]
pub struct TunnelConfig {
    /// Where clients come.
    pub control: SocketAddr,
    /// Where visitors come.
    pub ingress: SocketAddr,
    /// Who knows one of these may open a tunnel; everybody, where there is none.
    pub tokens: Vec<TunnelToken>,
    /// Names are given under it.
    pub domain: Option<HostName>,
    /// Ports that tunnels may ask for.
    pub ports: Option<RangeInclusive<u16>>,
}

/// The sockets, before anybody is served.
pub(crate) struct TunnelDoors {
    tunnels: Arc<Tunnels>,
    control: TcpListener,
    /// The same number in UDP; none where it is taken.
    quic: Option<Endpoint>,
    ingress: TcpListener,
}

/// Where tunnels are.
#[derive(Clone, Copy, Debug)]
pub struct TunnelAddrs {
    /// Where clients come.
    pub control: SocketAddr,
    /// Where visitors come.
    pub ingress: SocketAddr,
}

/// What all of this module shares.
pub(crate) struct Tunnels {
    relay: Arc<Shared>,
    desk: Mutex<Desk>,
    tokens: RwLock<Arc<[TunnelToken]>>,
    /// Name under which tunnels without one of their own are told to be reached.
    public_ip: Option<IpAddr>,
    ingress: SocketAddr,
    meter: Meter,
    visits: AtomicU64,
}

/// What is decided, and who carries it out.
struct Desk {
    book: TunnelBook,
    sessions: HashMap<SessionId, Arc<Session>>,
    /// Open connections of visitors by address.
    visitors: HashMap<SourceNet, u32>,
    /// By [`Route::TcpPort`] or [`Route::UdpPort`].
    doors: HashMap<Route, std::sync::Weak<ports::Door>>,
}

/// Numbers for the metrics page.
pub(crate) struct TunnelGauges {
    pub(crate) tunnels: usize,
    pub(crate) visits: u32,
    pub(crate) visits_total: u64,
    pub(crate) bytes_inward: u64,
    pub(crate) bytes_outward: u64,
}

impl TunnelDoors {
    /// Opens both ports.
    pub(crate) async fn open(
        config: &TunnelConfig,
        public_ip: Option<IpAddr>,
        relay: Arc<Shared>,
    ) -> Result<Self> {
        let control = listen(config.control, "--tunnel-control")?;
        let quic = open_quic(control.local_addr()?, &relay)
            .await
            .inspect_err(|error| warn!("no QUIC for tunnels: {error:#}"))
            .ok();
        let ingress = listen(config.ingress, "--tunnel-ingress")?;
        let naming = Naming {
            domain: config.domain.clone(),
            ports: config.ports.clone(),
            own_domains: !config.tokens.is_empty(),
        };
        let book = TunnelBook::new(relay.limits().as_ref().clone(), naming);
        let desk = Desk { book, sessions: HashMap::new(), visitors: HashMap::new(), doors: HashMap::new() };
        let tunnels = Tunnels {
            relay,
            desk: Mutex::new(desk),
            tokens: RwLock::new(config.tokens.clone().into()),
            public_ip,
            ingress: ingress.local_addr()?,
            meter: Meter::default(),
            visits: AtomicU64::new(0),
        };
        Ok(Self { tunnels: Arc::new(tunnels), control, quic, ingress })
    }

    pub(crate) fn tunnels(&self) -> &Arc<Tunnels> {
        &self.tunnels
    }

    pub(crate) fn addrs(&self) -> Result<TunnelAddrs> {
        Ok(TunnelAddrs { control: self.control.local_addr()?, ingress: self.ingress.local_addr()? })
    }

    /// Serves until `stop`; visitors who are there may finish.
    pub(crate) fn serve(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let Self { tunnels, control, quic, ingress } = self;
        let relay = Arc::clone(&tunnels.relay);
        let clients = Arc::clone(&tunnels);
        tasks.spawn(listeners::accept(Arc::clone(&relay), control, stop.clone(), move |_, stream, peer| {
            control::serve(Arc::clone(&clients), stream, peer)
        }));
        if let Some(quic) = quic {
            tasks.spawn(accept_quic(Arc::clone(&tunnels), quic, stop.clone()));
        }
        tasks.spawn(listeners::accept(relay, ingress, stop.clone(), move |_, stream, peer| {
            ingress::serve(Arc::clone(&tunnels), stream, peer)
        }));
    }
}

/// Takes clients by QUIC until `stop`, then returns when all have ended.
async fn accept_quic(tunnels: Arc<Tunnels>, endpoint: Endpoint, stop: CancellationToken) {
    let endpoint = Closing(endpoint);
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            incoming = endpoint.0.accept() => {
                let Some(incoming) = incoming else { break };
                let tunnels = Arc::clone(&tunnels);
                clients.spawn(async move {
                    if let Err(denial) = control::serve_quic(&tunnels, incoming).await {
                        tunnels.deny(denial);
                        debug!(reason = denial.label(), "tunnel connection closed");
                    }
                });
            }
            Some(ended) = clients.join_next() => listeners::report(ended),
        }
    }
    while let Some(ended) = clients.join_next().await {
        listeners::report(ended);
    }
}

/// Tells all clients when it is dropped, however its task ends.
struct Closing(Endpoint);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(0_u32.into(), b"");
    }
}

async fn open_quic(addr: SocketAddr, relay: &Shared) -> Result<Endpoint> {
    let open = || listeners::open_udp(addr, false, listeners::PortUse::Alone);
    let mut socket = open();
    for _ in 0..QUIC_PORT_TRIES {
        if !matches!(&socket, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
        sleep(QUIC_PORT_PAUSE).await;
        socket = open();
    }
    Ok(quic::server(socket?, relay.tls.certificates(), relay.key.private())?)
}

fn listen(addr: SocketAddr, flag: &str) -> Result<TcpListener> {
    let listener = listeners::open_tcp(addr, false).and_then(TcpListener::from_std);
    listener.with_context(|| format!("cannot listen on {addr} for tunnels; choose another with {flag} ADDR"))
}

impl Tunnels {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    fn deny(&self, denial: Denial) {
        self.relay.denials.count(denial);
    }

    fn tokens(&self) -> Arc<[TunnelToken]> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn wants_token(&self) -> bool {
        !self.tokens().is_empty()
    }

    /// Other tokens from now on; tunnels of one that is not among them end.
    pub(crate) fn set_tokens(&self, tokens: &[TunnelToken]) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens.into();
        let ids: Vec<_> = tokens.iter().map(TunnelToken::id).collect();
        let mut desk = self.desk();
        desk.book.set_own_domains(!tokens.is_empty());
        for id in desk.book.without_token(&ids) {
            if let Some(session) = desk.sessions.get(&id) {
                session.revoked.cancel();
            }
        }
    }

    pub(crate) fn set_limits(&self, limits: tagio_relay_core::Limits) {
        self.desk().book.set_limits(limits);
    }

    /// Tells all clients that the relay is about to stop.
    pub(crate) fn drain(&self) {
        let sessions: Vec<_> = self.desk().sessions.values().cloned().collect();
        sessions.iter().for_each(|session| session.drain());
    }

    /// Whether visitors would be cut off by a stop.
    pub(crate) fn is_in_use(&self) -> bool {
        self.desk().book.counts().1 > 0
    }

    pub(crate) fn gauges(&self) -> TunnelGauges {
        let (tunnels, visits) = self.desk().book.counts();
        TunnelGauges {
            tunnels,
            visits,
            visits_total: self.visits.load(Ordering::Relaxed),
            bytes_inward: self.meter.inward.load(Ordering::Relaxed),
            bytes_outward: self.meter.outward.load(Ordering::Relaxed),
        }
    }

    /// A visitor's connection is there, and counts until the guard is dropped.
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Result<Visitor, Denial> {
        let net = SourceNet::from(ip);
        let is_proxy = self.relay.with_trusted_proxies(|trusted| trusted.contains(ip));
        // Many visitors share a believed proxy's address.
        let most = if is_proxy { u32::MAX } else { self.relay.limits().tunnel_visits_per_ip_max };
        let mut desk = self.desk();
        let count = desk.visitors.entry(net).or_default();
        if *count >= most {
            return Err(Denial::TunnelVisitsPerIp);
        }
        *count += 1;
        Ok(Visitor { tunnels: Arc::clone(self), net })
    }

    /// Finds who serves a visitor on this route, and counts the visit until the guard is dropped.
    fn admit(self: &Arc<Self>, route: &Route, ip: IpAddr) -> Result<Visiting, Denial> {
        let mut desk = self.desk();
        let id = desk.book.choose(route).ok_or(Denial::TunnelUnknown)?;
        let session = Arc::clone(desk.sessions.get(&id).ok_or(Denial::TunnelUnknown)?);
        if !session.access.allows(ip) {
            return Err(Denial::TunnelAccess);
        }
        let request = desk.book.begin_visit(id)?;
        self.visits.fetch_add(1, Ordering::Relaxed);
        Ok(Visiting { tunnels: Arc::clone(self), session, request })
    }
}

/// See [`Tunnels::enter`].
struct Visitor {
    tunnels: Arc<Tunnels>,
    net: SourceNet,
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut desk = self.tunnels.desk();
        if let Some(count) = desk.visitors.get_mut(&self.net) {
            *count -= 1;
            if *count == 0 {
                desk.visitors.remove(&self.net);
            }
        }
    }
}

/// See [`Tunnels::admit`].
struct Visiting {
    tunnels: Arc<Tunnels>,
    session: Arc<Session>,
    /// Number of the visit, in the logs of both ends.
    request: u64,
}

impl Drop for Visiting {
    fn drop(&mut self) {
        self.tunnels.desk().book.end_visit(self.session.id);
    }
}
