//! Keeps knowing how the NAT in front of this machine maps: asked at the start, again when the machine's addresses
//! change, and once in a while, because a router may have been replaced.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tagio_wire::nat::Mapping;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    socket::Switch,
    stun::{self, NatReport},
};

/// How often the addresses of the machine are looked at: a session has its own watchdog, which is faster.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long an answer is believed while nothing changes.
const BELIEVED_FOR: Duration = Duration::from_secs(300);

/// Before anything has answered.
const UNKNOWN: NatReport = NatReport { mapping: Mapping::Unknown, public: None, local_is_public: false };

/// Owns the task that asks.
#[derive(Debug)]
pub(crate) struct NatWatch {
    switch: Arc<Switch>,
    server: watch::Sender<Option<SocketAddr>>,
    report: watch::Receiver<NatReport>,
    _task: JoinSet<()>,
}

impl NatWatch {
    /// Asks nobody before it is told whom. Needs a tokio runtime.
    pub(crate) fn spawn(switch: Arc<Switch>) -> Self {
        let (server, asked) = watch::channel(None);
        let (report_tx, report) = watch::channel(UNKNOWN);
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&switch), asked, report_tx));
        Self { switch, server, report, _task: task }
    }

    /// Asks this relay from now on.
    pub(crate) fn ask(&self, relay: SocketAddr) {
        self.server.send_if_modified(|server| server.replace(relay) != Some(relay));
    }

    /// The newest that is known.
    pub(crate) fn report(&self) -> NatReport {
        *self.report.borrow()
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
    report: watch::Sender<NatReport>,
) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked_with = None;
    let mut looks = 0;
    loop {
        tokio::select! {
            changed = server.changed() => {
                if changed.is_err() {
                    return;
                }
                asked_with = None;
            }
            _ = look.tick() => looks += 1,
        }
        let Some(relay) = *server.borrow_and_update() else { continue };
        let own = addresses();
        let is_old = LOOK_EVERY * looks >= BELIEVED_FOR;
        if asked_with.as_ref() == Some(&own) && !is_old {
            continue;
        }
        let found = stun::probe(&switch, relay).await;
        tracing::info!(?found, "NAT");
        report.send_replace(found);
        (asked_with, looks) = (Some(own), 0);
    }
}

/// Addresses of this machine.
fn addresses() -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
    found.sort_unstable();
    found
}
