//! Data connections: some always wait at the relay, so that a visitor never waits for one to be made.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tagio_wire::tunnel::TunnelSecret;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tracing::error;

use super::{connect::Way, data, targets::Targets, trunk};
use crate::{
    inspect::Recorder,
    pipe::Meter,
    stream::{Stream, quic},
    trunk::{TrunkSlot, VISITORS_QUEUE, Visitor},
};

/// Connections that are made at once. With those that wait they stay below the openings that a relay bears from one
/// address, which are 64.
const DIALS_MAX: usize = 32;
/// Most connections that wait, whatever a relay asks for.
const IDLE_MAX: usize = 64;

/// What every data connection of a session knows.
pub(super) struct Link {
    pub(super) way: Way,
    pub(super) session: u64,
    pub(super) pool_key: TunnelSecret,
    pub(super) targets: Arc<Targets>,
    pub(super) meter: Arc<Meter>,
    pub(super) recorder: Option<Arc<Recorder>>,
    pub(super) trunk: TrunkSlot,
}

/// Who has come.
pub(super) enum Arrival {
    /// By a stream that the relay has opened.
    Stream(Stream),
    /// By the trunk.
    Visitor(Visitor),
}

/// How far a data connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Dialing,
    Idle,
    Visit,
}

/// How many there are of each.
#[derive(Default)]
pub(super) struct Census {
    dialing: AtomicUsize,
    idle: AtomicUsize,
    visits: AtomicUsize,
    changed: Notify,
}

impl Census {
    fn of(&self, stage: Stage) -> &AtomicUsize {
        match stage {
            Stage::Dialing => &self.dialing,
            Stage::Idle => &self.idle,
            Stage::Visit => &self.visits,
        }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }
}

/// A data connection's entry in the census.
pub(super) struct Entry {
    census: Arc<Census>,
    stage: Stage,
}

impl Entry {
    fn new(census: Arc<Census>, stage: Stage) -> Self {
        census.of(stage).fetch_add(1, Ordering::Relaxed);
        Self { census, stage }
    }

    pub(super) fn enter(&mut self, stage: Stage) {
        self.census.of(stage).fetch_add(1, Ordering::Relaxed);
        self.census.of(self.stage).fetch_sub(1, Ordering::Relaxed);
        self.stage = stage;
        self.census.changed.notify_one();
    }

    pub(super) fn census(&self) -> &Census {
        &self.census
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.census.of(self.stage).fetch_sub(1, Ordering::Relaxed);
        self.census.changed.notify_one();
    }
}

/// All data connections of a session; they end with it.
pub(super) struct Pool {
    link: Arc<Link>,
    census: Arc<Census>,
    tasks: JoinSet<()>,
    /// Of the trunk.
    visitors: mpsc::Receiver<Visitor>,
    /// Connections that are to wait; 0 once no more visitors are wanted.
    idle_wanted: usize,
}

impl Pool {
    pub(super) fn new(link: Link, wanted: usize) -> Self {
        let idle_wanted = match link.way {
            Way::Dialled { .. } => wanted.min(IDLE_MAX),
            Way::Quic { .. } => 0,
        };
        let (link, mut tasks) = (Arc::new(link), JoinSet::new());
        let (sender, visitors) = mpsc::channel(VISITORS_QUEUE);
        if trunk::is_wanted(&link) {
            tasks.spawn(trunk::keep(Arc::clone(&link), sender));
        }
        Self { link, census: Arc::default(), tasks, visitors, idle_wanted }
    }

    /// Waits until somebody comes, but for those that a data connection waits for. `None`: it is worth to look whether
    /// some connections are missing.
    pub(super) async fn next(&mut self) -> io::Result<Option<Arrival>> {
        let streams = async {
            match &self.link.way {
                Way::Dialled { .. } => pending().await,
                Way::Quic { connection, .. } => quic::accept(connection).await,
            }
        };
        tokio::select! {
            Some(visitor) = self.visitors.recv() => Ok(Some(Arrival::Visitor(visitor))),
            stream = streams => stream.map(|stream| Some(Arrival::Stream(stream))),
            () = self.census.changed.notified() => Ok(None),
        }
    }

    /// Serves it.
    pub(super) fn receive(&mut self, arrival: Arrival) {
        let (link, entry) = (Arc::clone(&self.link), Entry::new(Arc::clone(&self.census), Stage::Visit));
        match arrival {
            Arrival::Stream(stream) => self.tasks.spawn(data::serve_opened(link, entry, stream)),
            Arrival::Visitor(visitor) => self.tasks.spawn(data::serve_visitor(link, entry, visitor)),
        };
    }

    /// Visitors that are here.
    pub(super) fn visits(&self) -> usize {
        self.census.visits.load(Ordering::Relaxed)
    }

    /// Makes what is missing, and forgets what has ended.
    pub(super) fn fill(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                error!(%error, "a data connection's task panicked");
            }
        }
        let dialing = self.census.dialing.load(Ordering::Relaxed);
        let missing = self.idle_wanted.saturating_sub(self.census.idle() + dialing);
        self.spawn(missing);
    }

    /// Visitors wait for so many.
    pub(super) fn dial(&mut self, count: usize) {
        let dialing = self.census.dialing.load(Ordering::Relaxed);
        if self.idle_wanted > 0 {
            self.spawn(count.saturating_sub(dialing));
        }
    }

    /// No more visitors: nothing new is made. What waits is closed by the relay.
    pub(super) fn close(&mut self) {
        self.idle_wanted = 0;
    }

    fn spawn(&mut self, count: usize) {
        let room = DIALS_MAX.saturating_sub(self.census.dialing.load(Ordering::Relaxed));
        for _ in 0..count.min(room) {
            let entry = Entry::new(Arc::clone(&self.census), Stage::Dialing);
            self.tasks.spawn(data::serve(Arc::clone(&self.link), entry, self.idle_wanted));
        }
    }
}
