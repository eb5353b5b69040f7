//! A connection that speaks HTTP, as those see it who answer its requests.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
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
    pub(crate) is_tls: bool,
    clock: Mutex<Clock>,
    /// What the connection turns into after the answer that is made now.
    upgrade: Mutex<Option<Upgrade>>,
}

/// How far the request of the moment is, and how long it may take.
struct Clock {
    deadline: Instant,
    progress: Progress,
}

/// What the relay and the client owe each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The client its first request.
    Opening,
    /// The relay an answer.
    Answering,
    /// Nothing: the answer is made, of which some may still be on its way. Another request may come.
    Answered,
}

impl Visit {
    pub(super) fn new(shared: Arc<Shared>, visitor: Visitor, local: SocketAddr, is_tls: bool) -> Self {
        let clock = Mutex::new(Clock { deadline: visitor.deadline, progress: Progress::Opening });
        Self { shared, visitor, local, is_tls, clock, upgrade: Mutex::new(None) }
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        lock(&self.clock).progress = Progress::Answering;
        self.allow(Duration::ZERO);
    }

    /// Gives the request that is answered now `wait` beside what every request has: for an answer that waits for
    /// something, or that goes on for so long.
    pub(crate) fn allow(&self, wait: Duration) {
        lock(&self.clock).deadline = Instant::now() + wait + EXCHANGE;
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

    /// Until when the request and its answer may take.
    pub(super) fn deadline(&self) -> Instant {
        lock(&self.clock).deadline
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        lock(&self.clock).progress = Progress::Answered;
    }

    pub(super) fn progress(&self) -> Progress {
        lock(&self.clock).progress
    }

    /// Returns when the deadline has passed.
    pub(super) async fn expired(&self) {
        loop {
            let deadline = lock(&self.clock).deadline;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}
