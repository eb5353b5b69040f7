//! Notices that this machine is somewhere else: another address, another way out, or awake again after a sleep.
//!
//! `snapshot` looks at the machine, `alarm` hears from the system that a look is worth it, `sleep` is pure and tells
//! a sleep from the clocks. Who has something to renew holds [`NetworkChanges`].

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(not(target_os = "linux"))]
#[path = "no_alarm.rs"]
mod alarm;
mod sleep;
mod snapshot;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use alarm::Alarm;
use sleep::SleepWatch;
use snapshot::Snapshot;

/// How often the clocks are compared and, where the system gives no word of changes, addresses are.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A change comes in several parts, such as an address and its route. So much is waited for the rest; it also bounds
/// the looks on a machine whose routes change all the time.
const SETTLING: Duration = Duration::from_millis(50);

/// Owns the task that looks. The last clone ends it.
#[derive(Clone, Debug)]
pub(crate) struct NetworkWatch {
    changes: NetworkChanges,
    _task: Arc<JoinSet<()>>,
}

impl NetworkWatch {
    /// Begins to look. Needs a tokio runtime.
    pub(crate) fn spawn() -> Self {
        let (number, changes) = watch::channel(0);
        let mut task = JoinSet::new();
        // What changes before the task runs counts, too.
        task.spawn(look(number, Alarm::new(), Snapshot::take()));
        Self { changes: NetworkChanges(changes), _task: Arc::new(task) }
    }

    /// Every change from now on.
    pub(crate) fn changes(&self) -> NetworkChanges {
        let mut changes = self.changes.clone();
        changes.0.mark_unchanged();
        changes
    }
}

/// Tells its holder of changes of this machine's network. Those that come while nobody waits count as one.
#[derive(Clone, Debug)]
pub struct NetworkChanges(watch::Receiver<u64>);

impl NetworkChanges {
    /// Of a network that never changes.
    pub fn none() -> Self {
        Self(watch::channel(0).1)
    }

    /// Waits for a change: another address, another default route, or the end of a sleep. Cancel safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody looks any more.
            std::future::pending::<()>().await;
        }
    }
}

async fn look(number: watch::Sender<u64>, mut alarm: Alarm, mut known: Snapshot) {
    let mut sleep_watch = SleepWatch::new(Instant::now(), SystemTime::now());
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let may_have_moved = tokio::select! {
            () = alarm.rung() => {
                sleep(SETTLING).await;
                true
            }
            _ = tick.tick() => alarm.is_deaf(),
        };
        let has_slept = sleep_watch.has_slept(Instant::now(), SystemTime::now());
        if !may_have_moved && !has_slept {
            continue;
        }
        let found = Snapshot::take();
        if found != known || has_slept {
            tracing::info!(?found, has_slept, "another network");
            number.send_modify(|number| *number += 1);
        }
        known = found;
    }
}
