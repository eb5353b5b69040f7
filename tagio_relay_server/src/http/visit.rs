//! A connection that speaks HTTP, as those see it who answer its requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{EXCHANGE, websocket::Upgrade};
use crate::{connection::Visitor, lock::lock, shared::Shared};

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

    /// The client's address and its right to be connected, as what it opens now gets them, with time to say who it is.
    pub(crate) fn newcomer(&self) -> Visitor {
        let deadline = Instant::now() + self.shared.limits().opening();
        Visitor { deadline, ..self.visitor.clone() }
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
