//! A connection that speaks HTTP, as those see it who answer its requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::HeaderMap;
use tagio_relay_core::Denial;
use tokio::time::{Instant, sleep_until};

use super::{EXCHANGE, forwarded, websocket::Upgrade};
use crate::{
    connection::Visitor,
    lock::lock,
    shared::{Pass, Shared},
};

/// See the module.
pub(crate) struct Visit {
    pub(crate) shared: Arc<Shared>,
    pub(crate) visitor: Visitor,
    /// The relay's end.
    pub(crate) local: SocketAddr,
    deadline: Mutex<Instant>,
    /// What the connection turns into after the answer that is made now.
    upgrade: Mutex<Option<Upgrade>>,
    has_answered: AtomicBool,
}

impl Visit {
    pub(super) fn new(shared: Arc<Shared>, visitor: Visitor, local: SocketAddr) -> Self {
        let deadline = Mutex::new(visitor.deadline);
        Self {
            shared,
            visitor,
            local,
            deadline,
            upgrade: Mutex::new(None),
            has_answered: AtomicBool::new(false),
        }
    }

    /// Gives the request that is answered now `wait` beside what every request has.
    pub(crate) fn allow(&self, wait: Duration) {
        *lock(&self.deadline) = Instant::now() + wait + EXCHANGE;
    }

    /// Whose request it is: the peer's, or of a client behind a believed proxy.
    pub(crate) fn client(&self, headers: &HeaderMap) -> SocketAddr {
        self.shared.with_trusted_proxies(|proxies| forwarded::client(headers, self.visitor.peer, proxies))
    }

    /// The client for whom this connection turns into something else, with time to say who it is. Behind a proxy it
    /// counts as one from its own address.
    pub(crate) fn upgraded(&self, headers: &HeaderMap) -> Result<Visitor, Denial> {
        let peer = self.client(headers);
        let is_peer = peer.ip() == self.visitor.peer.ip();
        let pass = if is_peer { Arc::clone(&self.visitor.pass) } else { self.pass(peer)? };
        Ok(Visitor { peer, pass, deadline: self.opening_deadline() })
    }

    /// The client that opens something which outlives this connection: one more from its address.
    pub(crate) fn newcomer(&self, headers: &HeaderMap) -> Result<Visitor, Denial> {
        let peer = self.client(headers);
        Ok(Visitor { peer, pass: self.pass(peer)?, deadline: self.opening_deadline() })
    }

    fn pass(&self, peer: SocketAddr) -> Result<Arc<Pass>, Denial> {
        Pass::open_at(&self.shared, peer.ip()).map(Arc::new)
    }

    fn opening_deadline(&self) -> Instant {
        Instant::now() + self.shared.limits().opening()
    }

    /// After the answer that is made now, the connection turns into this.
    pub(super) fn set_upgrade(&self, upgrade: Upgrade) {
        *lock(&self.upgrade) = Some(upgrade);
    }

    pub(super) fn into_upgrade(self) -> Option<Upgrade> {
        lock(&self.upgrade).take()
    }

    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Returns when the deadline has passed.
    pub(super) async fn expired(&self) {
        loop {
            let deadline = *lock(&self.deadline);
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}
