//! What all tasks of a server share.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak},
    time::Instant,
};

use tagio_relay_core::{Admission, Denial, Denials, Limits, Phase, SourceNet, StunServer};
use tagio_wire::PublicKey;
use tokio::sync::Semaphore;

use crate::{
    access::AuthHash, config::Secret, hub::Hub, identity::RelayKey, lock::lock, store::Store,
    tunnel::Tunnels, udp::UdpSockets,
};

/// What can change while the server runs.
struct Policy {
    auth: Option<AuthHash>,
    limits: Arc<Limits>,
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) hub: Mutex<Hub>,
    pub(crate) admission: Mutex<Admission>,
    pub(crate) stun: Mutex<StunServer>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) store: Store,
    pub(crate) key: RelayKey,
    pub(crate) sockets: UdpSockets,
    /// What clients are told to use for legs.
    pub(crate) public_addr: Option<SocketAddr>,
    /// As many handshakes at once as there are cores but one, so that packets keep flowing.
    pub(crate) handshake_permits: Arc<Semaphore>,
    policy: RwLock<Policy>,
    /// Set once where there are tunnels; weak, as they hold this.
    tunnels: OnceLock<Weak<Tunnels>>,
}

/// What a server starts with, besides its limits.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) key: RelayKey,
    pub(crate) sockets: UdpSockets,
    pub(crate) public_addr: Option<SocketAddr>,
}

impl Shared {
    pub(crate) fn new(parts: Parts, auth: Option<&Secret>, limits: Limits) -> Self {
        let denials = Arc::new(Denials::default());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let Parts { store, key, sockets, public_addr } = parts;
        Self {
            hub: Mutex::new(Hub::new(limits.clone(), Arc::clone(&denials))),
            admission: Mutex::new(Admission::new(limits.clone())),
            stun: Mutex::new(StunServer::new(limits.clone())),
            denials,
            store,
            key,
            sockets,
            public_addr,
            handshake_permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            policy: RwLock::new(Policy { auth: auth.map(AuthHash::new), limits: Arc::new(limits) }),
            tunnels: OnceLock::new(),
        }
    }

    pub(crate) fn set_tunnels(&self, tunnels: &Arc<Tunnels>) {
        // A server has one set of tunnels for as long as it runs.
        let _ = self.tunnels.set(Arc::downgrade(tunnels));
    }

    pub(crate) fn tunnels(&self) -> Option<Arc<Tunnels>> {
        self.tunnels.get()?.upgrade()
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

    /// Other secret and limits from now on; who is in stays in.
    pub(crate) fn reload(&self, auth: Option<&Secret>, limits: Limits) {
        lock(&self.hub).set_limits(limits.clone());
        lock(&self.admission).set_limits(limits.clone());
        lock(&self.stun).set_limits(limits.clone());
        if let Some(tunnels) = self.tunnels() {
            tunnels.set_limits(limits.clone());
        }
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) =
            Policy { auth: auth.map(AuthHash::new), limits: Arc::new(limits) };
    }

    /// Lets a second pass.
    pub(crate) fn handle_timeout(&self) {
        lock(&self.hub).handle_timeout();
        lock(&self.admission).handle_timeout(Instant::now());
        lock(&self.stun).handle_timeout(Instant::now());
    }
}

/// The right to be connected; given back when it is dropped.
pub(crate) struct Pass {
    shared: Arc<Shared>,
    net: SourceNet,
    phase: Phase,
}

impl Pass {
    pub(crate) fn open(shared: &Arc<Shared>, net: SourceNet) -> Result<Self, Denial> {
        lock(&shared.admission).open(net)?;
        Ok(Self { shared: Arc::clone(shared), net, phase: Phase::Opening })
    }

    pub(crate) fn net(&self) -> SourceNet {
        self.net
    }

    /// The connection is let in.
    pub(crate) fn establish(&mut self) {
        if self.phase == Phase::Opening {
            self.phase = Phase::Established;
            lock(&self.shared.admission).established(self.net);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.shared.admission).close(self.net, self.phase);
    }
}
