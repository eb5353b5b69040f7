//! Keeps knowing how the NAT in front of this machine maps: asked at the start, again when the machine's addresses
//! change, and once in a while, because a router may have been replaced.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tagio_wire::nat::Mapping;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    network_watch::NetworkChanges,
    socket::Switch,
    stun::{self, NatReport},
};

/// How long an answer is believed while nothing changes.
const BELIEVED_FOR: Duration = Duration::from_secs(300);

/// How long a round of punches waits for the answer in a new network: two round trips, and a packet lost.
const RENEWED_WITHIN: Duration = Duration::from_millis(500);

/// Before anything has answered.
const UNKNOWN: NatReport = NatReport { mapping: Mapping::Unknown, public: None, local_is_public: false };

/// The newest answer.
#[derive(Clone, Copy, Debug)]
struct Known {
    report: NatReport,
    /// It is about another network than this machine is in now, and the question is under way.
    is_stale: bool,
}

/// Owns the task that asks.
#[derive(Debug)]
pub(crate) struct NatWatch {
    switch: Arc<Switch>,
    server: watch::Sender<Option<SocketAddr>>,
    known: watch::Receiver<Known>,
    _task: JoinSet<()>,
}

impl NatWatch {
    /// Asks nobody before it is told whom, and anew after each change. Needs a tokio runtime.
    pub(crate) fn spawn(switch: Arc<Switch>, changes: NetworkChanges) -> Self {
        let (server, asked) = watch::channel(None);
        let (known_tx, known) = watch::channel(Known { report: UNKNOWN, is_stale: false });
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&switch), asked, known_tx, changes));
        Self { switch, server, known, _task: task }
    }

    /// Asks this relay from now on.
    pub(crate) fn ask(&self, relay: SocketAddr) {
        self.server.send_if_modified(|server| server.replace(relay) != Some(relay));
    }

    /// The newest that is known.
    pub(crate) fn report(&self) -> NatReport {
        self.known.borrow().report
    }

    /// The same, but after a change of the network the answer to the new question, if it comes soon.
    pub(crate) async fn renewed(&self) -> NatReport {
        let mut known = self.known.clone();
        let renewed = timeout(RENEWED_WITHIN, known.wait_for(|known| !known.is_stale));
        drop(renewed.await);
        self.report()
    }

    /// The mapping that a packet to somebody new would be given just now, nearly.
    pub(crate) async fn newest_mapping(&self) -> Option<SocketAddr> {
        let server = (*self.server.borrow())?;
        stun::newest(&self.switch, server).await
    }
}

async fn run(
    switch: Arc<Switch>,
    mut server: watch::Receiver<Option<SocketAddr>>,
    known: watch::Sender<Known>,
    mut changes: NetworkChanges,
) {
    let mut relay = None;
    loop {
        tokio::select! {
            changed = server.changed() => {
                if changed.is_err() {
                    return;
                }
                relay = *server.borrow_and_update();
            }
            () = changes.next() => known.send_modify(|known| known.is_stale = relay.is_some()),
            // Begins anew after either.
            () = keep_asking(&switch, relay, &known) => {}
        }
    }
}

/// Asks at once, and again whenever the answer has become old.
async fn keep_asking(switch: &Switch, relay: Option<SocketAddr>, known: &watch::Sender<Known>) {
    let Some(relay) = relay else { return std::future::pending().await };
    loop {
        let report = stun::probe(switch, relay).await;
        tracing::info!(?report, "NAT");
        known.send_replace(Known { report, is_stale: false });
        sleep(BELIEVED_FOR).await;
    }
}
