//! What all tasks of a server share.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use tagio_relay_core::{Admission, Denial, Denials, Limits, Phase, SourceNet, StunServer};
use tagio_wire::PublicKey;

use crate::{
    access::AuthHash,
    admin::Admin,
    config::{Config, TrustedProxies},
    control::Mathematics,
    edge::Edges,
    forward::Forward,
    http::streams::Streams,
    hub::Hub,
    identity::RelayKey,
    lock::lock,
    messages::Messaging,
    registration::Registry,
    store::Store,
    tls::Tls,
    tunnel::Tunnels,
    udp::UdpSockets,
};

/// What can change while the server runs.
struct Policy {
    auth: Option<AuthHash>,
    limits: Arc<Limits>,
    trusted_proxies: TrustedProxies,
}

impl Policy {
    fn new(config: &Config) -> Self {
        Self {
            auth: config.auth.as_ref().map(AuthHash::new),
            limits: Arc::new(config.limits.clone()),
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) hub: Mutex<Hub>,
    pub(crate) admission: Mutex<Admission>,
    pub(crate) stun: Mutex<StunServer>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) admin: Admin,
    pub(crate) store: Store,
    pub(crate) key: RelayKey,
    pub(crate) tls: Tls,
    pub(crate) data_dir: PathBuf,
    pub(crate) streams: Streams,
    pub(crate) sockets: Arc<UdpSockets>,
    /// What clients are told to use for legs.
    pub(crate) public_addr: Option<SocketAddr>,
    pub(crate) messages: Messaging,
    pub(crate) registrations: Registry,
    pub(crate) mathematics: Mathematics,
    log_ids: AtomicU64,
    policy: RwLock<Policy>,
    /// Set once where there are tunnels; weak, as they hold this.
    tunnels: OnceLock<Weak<Tunnels>>,
    /// Set once where the relay is a POP; weak, as they hold this.
    edges: OnceLock<Weak<Edges>>,
    /// Set once where there is a forward tunnel.
    forward: OnceLock<Forward>,
}

/// What a server starts with, besides its limits.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) mathematics: Mathematics,
    pub(crate) key: RelayKey,
    pub(crate) tls: Tls,
    pub(crate) data_dir: PathBuf,
    pub(crate) streams: Streams,
    pub(crate) sockets: UdpSockets,
    pub(crate) public_addr: Option<SocketAddr>,
}

impl Shared {
    pub(crate) fn new(parts: Parts, config: &Config) -> Self {
        let limits = &config.limits;
        let denials = Arc::new(Denials::default());
        let Parts { store, mathematics, key, tls, data_dir, streams, sockets, public_addr } = parts;
        Self {
            hub: Mutex::new(Hub::new(limits.clone(), Arc::clone(&denials))),
            admission: Mutex::new(Admission::new(limits.clone())),
            stun: Mutex::new(StunServer::new(limits.clone())),
            messages: Messaging::new(limits.clone(), Arc::clone(&denials)),
            registrations: Registry::new(limits.clone(), Arc::clone(&denials)),
            denials,
            admin: Admin::new(config.admin_token.as_ref()),
            store,
            key,
            tls,
            data_dir,
            streams,
            sockets: Arc::new(sockets),
            public_addr,
            mathematics,
            log_ids: AtomicU64::new(1),
            policy: RwLock::new(Policy::new(config)),
            tunnels: OnceLock::new(),
            edges: OnceLock::new(),
            forward: OnceLock::new(),
        }
    }

    pub(crate) fn set_tunnels(&self, tunnels: &Arc<Tunnels>) {
        // A server has one set of tunnels for as long as it runs.
        let _ = self.tunnels.set(Arc::downgrade(tunnels));
    }

    pub(crate) fn tunnels(&self) -> Option<Arc<Tunnels>> {
        self.tunnels.get()?.upgrade()
    }

    pub(crate) fn set_edges(&self, edges: &Arc<Edges>) {
        // A server is one POP for as long as it runs.
        let _ = self.edges.set(Arc::downgrade(edges));
    }

    pub(crate) fn edges(&self) -> Option<Arc<Edges>> {
        self.edges.get()?.upgrade()
    }

    pub(crate) fn set_forward(&self, forward: Forward) {
        // A server has one for as long as it runs.
        let _ = self.forward.set(forward);
    }

    pub(crate) fn forward(&self) -> Option<&Forward> {
        self.forward.get()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    pub(crate) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner).limits)
    }

    pub(crate) fn auth(&self) -> Option<AuthHash> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).auth.clone()
    }

    /// Works out by whom a client's address is known.
    pub(crate) fn with_trusted_proxies<T>(&self, ask: impl FnOnce(&TrustedProxies) -> T) -> T {
        ask(&self.policy.read().unwrap_or_else(PoisonError::into_inner).trusted_proxies)
    }

    /// Other secret, limits and trusted proxies from now on; who is in stays in.
    pub(crate) fn reload(&self, config: &Config) {
        let limits = &config.limits;
        lock(&self.hub).set_limits(limits.clone());
        lock(&self.admission).set_limits(limits.clone());
        lock(&self.stun).set_limits(limits.clone());
        self.admin.set_token(config.admin_token.as_ref());
        self.messages.set_limits(limits.clone());
        self.registrations.set_limits(limits.clone());
        if let Some(tunnels) = self.tunnels() {
            tunnels.set_limits(limits.clone());
            if let Some(tunnel) = &config.tunnel {
                tunnels.set_tokens(&tunnel.tokens);
            }
        }
        if let Some(edges) = self.edges() {
            edges.reload(limits.clone(), config.edge.as_ref());
        }
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Policy::new(config);
    }

    /// Names a connection or a request in the log.
    pub(crate) fn next_log_id(&self) -> u64 {
        self.log_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets a second pass.
    pub(crate) fn handle_timeout(&self) {
        lock(&self.hub).handle_timeout();
        lock(&self.admission).handle_timeout(Instant::now());
        lock(&self.stun).handle_timeout(Instant::now());
        self.admin.handle_timeout(self);
        self.messages.handle_timeout();
        self.registrations.handle_timeout();
        if let Some(edges) = self.edges() {
            edges.handle_timeout();
        }
    }
}

/// The right to be connected; given back when it is dropped.
pub(crate) struct Pass {
    shared: Arc<Shared>,
    net: SourceNet,
    /// Its address counts for nothing: see [`Admission::open_proxy`].
    is_proxy: bool,
    is_established: AtomicBool,
}

impl Pass {
    pub(crate) fn open(shared: &Arc<Shared>, net: SourceNet) -> Result<Self, Denial> {
        lock(&shared.admission).open(net)?;
        Ok(Self::new(shared, net, false))
    }

    /// As [`Pass::open`], for somebody who may be a believed proxy.
    pub(crate) fn open_at(shared: &Arc<Shared>, ip: IpAddr) -> Result<Self, Denial> {
        if !shared.with_trusted_proxies(|proxies| proxies.contains(ip)) {
            return Self::open(shared, SourceNet::from(ip));
        }
        lock(&shared.admission).open_proxy()?;
        Ok(Self::new(shared, SourceNet::from(ip), true))
    }

    fn new(shared: &Arc<Shared>, net: SourceNet, is_proxy: bool) -> Self {
        Self { shared: Arc::clone(shared), net, is_proxy, is_established: AtomicBool::new(false) }
    }

    pub(crate) fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    pub(crate) fn net(&self) -> SourceNet {
        self.net
    }

    /// The connection is let in.
    pub(crate) fn establish(&self) {
        if !self.is_established.swap(true, Ordering::Relaxed) && !self.is_proxy {
            lock(&self.shared.admission).established(self.net);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_proxy {
            return lock(&self.shared.admission).close_proxy();
        }
        let is_established = *self.is_established.get_mut();
        let phase = if is_established { Phase::Established } else { Phase::Opening };
        lock(&self.shared.admission).close(self.net, phase);
    }
}
