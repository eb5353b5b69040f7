//! The paths of one session: opens direct ones for as long as the session lasts, keeps exactly one active,
//! and leaves one that dies.
//!
//! Both sides run a [`Paths`] task: a thin driver of [`core`], which decides. The viewer's starts a *round* by sending its candidates, the host answers with its
//! own; each side then sends a few `PUNCH` datagrams to each of the other's, and guesses what it cannot know. Where a
//! punch is answered, the viewer opens a QUIC path, which QUIC validates by itself.

mod candidates;
mod core;
mod farewell;
mod plan;
mod punching;
mod report;
mod selector;
#[cfg(all(test, target_os = "linux"))]
mod simulation;
mod stats;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use noq::{PathError, PathEvent, PathId, PathStatus};
use tagio_wire::{leg::PunchToken, nat::Mapping, session::Candidates};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep_until,
};
use tokio_stream::Stream;

use crate::{
    connection::Connection,
    endpoint::Endpoint,
    socket::{PunchEvent, Switch, is_leg, mapped, unmapped},
};

pub(crate) use candidates::{host_candidates, is_usable};
use core::{Input, Output, PathCore};
pub use report::{Outcome, PathReport, Relayed, Tried};
use selector::Sample;
pub use selector::{PathKind, Side};
pub use stats::{PathFigures, PathStats};

/// Events that nobody has fetched yet. The owner's loop fetches them at once; more would be a bug.
const EVENTS: usize = 32;

/// What a session's owner has to know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathsEvent {
    /// Packets travel this way from now on.
    Changed(PathKind),
    /// Send these to the peer: the viewer to start a round, the host to answer one.
    SendCandidates(Candidates),
    /// No path through the relay is left: call again for another leg, and [`Paths::add_relay`] it.
    RelayLost,
}

/// The path in use at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// How packets travel.
    pub kind: PathKind,
    /// Round trip.
    pub rtt: Duration,
    /// How long something has been on its way with nothing back, also on a path that was given up: QUIC may keep what was
    /// under way there for good.
    pub silence: Duration,
    /// The same, on the path in use alone.
    pub unanswered: Duration,
}

impl PathFacts {
    fn new(kind: PathKind) -> Self {
        Self { kind, rtt: Duration::ZERO, silence: Duration::ZERO, unanswered: Duration::ZERO }
    }
}

/// Owns the task that looks after a session's paths.
#[derive(Debug)]
pub struct Paths {
    wishes: mpsc::Sender<Wish>,
    events: mpsc::Receiver<PathsEvent>,
    facts: watch::Receiver<PathFacts>,
    report: watch::Receiver<PathReport>,
    stats: watch::Receiver<PathStats>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
enum Wish {
    Punch(Candidates),
    AddRelay(SocketAddr),
}

/// Where this side may be reached.
#[derive(Clone, Debug)]
struct Own {
    endpoint: Endpoint,
    observed: Option<SocketAddr>,
    token: PunchToken,
}

impl Own {
    /// Asks for a new mapping first where only the newest tells where the next one will be.
    async fn candidates(self, guess: bool) -> Candidates {
        let nat = self.endpoint.nat_watch().renewed().await;
        let public = match nat.mapping {
            Mapping::Sequential { .. } => self.endpoint.nat_watch().newest_mapping().await,
            _ => None,
        };
        Candidates {
            addrs: self.endpoint.host_candidates(),
            token: self.token,
            public: public.or(nat.public).or(self.observed),
            mapping: nat.mapping,
            guess,
        }
    }
}

impl Paths {
    /// Starts looking after the paths of `connection`. `observed`: where the relay saw this side come from.
    pub fn spawn(
        connection: &Connection,
        endpoint: &Endpoint,
        side: Side,
        observed: Option<SocketAddr>,
    ) -> Self {
        let (wishes, wishes_rx) = mpsc::channel(EVENTS);
        let (events_tx, events) = mpsc::channel(EVENTS);
        let own = Own { endpoint: endpoint.clone(), observed, token: PunchToken(rand::random()) };
        let kind = match connection.quic.path(PathId::ZERO).and_then(|path| path.remote_address().ok()) {
            Some(addr) if is_leg(addr) => PathKind::Relay,
            _ => PathKind::Direct,
        };
        let (facts_tx, facts) = watch::channel(PathFacts::new(kind));
        let (report_tx, report) =
            watch::channel(PathReport { own: own.endpoint.nat().mapping, ..PathReport::default() });
        let (stats_tx, stats) = watch::channel(PathStats::default());
        let (punches_tx, punches) = mpsc::channel(EVENTS);
        let now = Instant::now();
        let keeper = Keeper {
            connection: connection.clone(),
            core: PathCore::new(side, kind, own.endpoint.nat().mapping, connection.begun, now),
            own,
            events: events_tx,
            facts: facts_tx,
            report: report_tx,
            stats: stats_tx,
            punches_tx,
            preparing: JoinSet::new(),
            punching: JoinSet::new(),
            guessing: JoinSet::new(),
            attempts: JoinSet::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(keeper.run(wishes_rx, punches));
        Self { wishes, events, facts, report, stats, _task: task }
    }

    /// The next event; `None` once the connection is over.
    pub async fn event(&mut self) -> Option<PathsEvent> {
        self.events.recv().await
    }

    /// The path in use.
    pub fn facts(&self) -> PathFacts {
        *self.facts.borrow()
    }

    /// How the search for a direct path goes.
    pub fn report(&self) -> PathReport {
        self.report.borrow().clone()
    }

    /// How the paths have fared so far.
    pub fn stats(&self) -> PathStats {
        self.stats.borrow().clone()
    }

    /// The peer's candidates have come: sends punches there, and the host's own candidates.
    pub fn punch(&self, peer: Candidates) {
        // Full only when the peer floods; its rounds are seconds apart.
        self.wishes.try_send(Wish::Punch(peer)).ok();
    }

    /// Viewer only: opens a path over another relay leg.
    pub fn add_relay(&self, leg: SocketAddr) {
        self.wishes.try_send(Wish::AddRelay(leg)).ok();
    }
}

/// The task behind [`Paths`]: hands to the core what happens, and does what it says.
struct Keeper {
    connection: Connection,
    core: PathCore<PathId>,
    own: Own,
    events: mpsc::Sender<PathsEvent>,
    facts: watch::Sender<PathFacts>,
    report: watch::Sender<PathReport>,
    stats: watch::Sender<PathStats>,
    punches_tx: mpsc::Sender<PunchEvent>,
    /// Finds out this side's candidates; with the peer's where those have come.
    preparing: JoinSet<(Candidates, Option<Candidates>)>,
    punching: JoinSet<()>,
    guessing: JoinSet<()>,
    /// Paths that are being opened; each says what went wrong, if something did.
    attempts: JoinSet<Option<(SocketAddr, PathError)>>,
}

impl Keeper {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, mut punches: mpsc::Receiver<PunchEvent>) {
        let mut path_events = self.connection.quic.path_events();
        self.switch().listen_for_punches(self.own.token, self.punches_tx.clone());
        self.on_established(PathId::ZERO);
        let mut changes = self.own.endpoint.network_changes();
        let over = self.connection.clone();
        let over = over.closed();
        tokio::pin!(over);
        loop {
            self.do_outputs();
            tokio::select! {
                _ = &mut over => break,
                event = std::future::poll_fn(|cx| Pin::new(&mut path_events).poll_next(cx)) => match event {
                    Some(Ok(event)) => self.on_path_event(&event),
                    // Missed events show up in the counters at the next look.
                    Some(Err(_)) => {}
                    None => break,
                },
                Some(PunchEvent::Reached(addr) | PunchEvent::Answered(addr)) = punches.recv() => {
                    self.handle(Input::Heard(mapped(addr)));
                }
                wish = wishes.recv() => match wish {
                    Some(Wish::Punch(peer)) => self.handle(Input::PeerCandidates(peer)),
                    Some(Wish::AddRelay(leg)) => self.handle(Input::NewLeg(leg)),
                    None => break,
                },
                () = changes.next() => self.handle(Input::NetworkChanged),
                () = sleep_until(self.core.next_wake().into()) => {
                    let quic = &self.connection.quic;
                    self.core.wake(Instant::now(), |id| counters(quic, id));
                }
                Some(prepared) = self.preparing.join_next() => if let Ok((own, peer)) = prepared {
                    self.handle(Input::Found { own, peer });
                },
                Some(_) = self.punching.join_next() => {}
                Some(_) = self.guessing.join_next() => {}
                Some(attempt) = self.attempts.join_next() => if let Ok(Some((addr, error))) = attempt {
                    tracing::debug!(addr = %unmapped(addr), %error, "path not opened");
                    self.handle(Input::NotOpened(addr));
                },
            }
        }
    }

    fn switch(&self) -> &Arc<Switch> {
        &self.connection.switch
    }

    fn handle(&mut self, input: Input<PathId>) {
        self.core.handle(Instant::now(), input);
    }

    fn on_established(&mut self, id: PathId) {
        let Some(path) = self.connection.quic.path(id) else { return };
        let Ok(addr) = path.remote_address() else { return };
        tracing::debug!(?id, addr = %unmapped(addr), "path stands");
        if let Some(carrier) = self.switch().carrier(addr) {
            self.handle(Input::CarriedBy(carrier));
        }
        self.handle(Input::Established { id, addr });
    }

    fn on_path_event(&mut self, event: &PathEvent) {
        match *event {
            PathEvent::Established { id, .. } => self.on_established(id),
            PathEvent::Abandoned { id, ref reason, .. } => {
                tracing::debug!(?id, ?reason, "path gone");
                self.handle(Input::Abandoned(id));
            }
            PathEvent::RemoteStatus { id, status, .. } => self.handle(Input::RemoteStatus { id, status }),
            _ => {}
        }
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.core.poll_output() {
            self.carry_out(output);
        }
        self.facts.send_if_modified(|facts| replace_if_new(facts, &self.core.facts()));
        self.report.send_if_modified(|report| replace_if_new(report, self.core.report()));
        self.stats.send_if_modified(|stats| replace_if_new(stats, &self.core.stats()));
    }

    fn carry_out(&mut self, output: Output<PathId>) {
        let path = |id| self.connection.quic.path(id);
        match output {
            Output::Open(addr) => self.open(addr),
            // What is asked of a path that has just gone is refused, and so is to close the last one.
            Output::Close(id) => {
                tracing::debug!(?id, "path closed");
                path(id).and_then(|path| path.close().ok());
            }
            Output::SetStatus(id, status) => {
                path(id).and_then(|path| path.set_status(status).ok());
            }
            Output::Ping(id) => {
                path(id).and_then(|path| path.ping().ok());
            }
            Output::FindCandidates { guess, peer } => {
                let own = self.own.clone().candidates(guess);
                self.preparing.spawn(async move { (own.await, peer) });
            }
            Output::Listen(token) => self.switch().listen_for_punches(token, self.punches_tx.clone()),
            Output::StopListening(token) => self.switch().stop_listening(token),
            Output::Punch { targets, token, held_back } => {
                self.punching.abort_all();
                self.punching.spawn(punching::punch(Arc::clone(self.switch()), targets, token, held_back));
            }
            Output::Guess { guess, token } => {
                self.guessing.abort_all();
                let switch = Arc::clone(self.switch());
                self.guessing.spawn(punching::guess(switch, guess, token, self.own.token));
            }
            Output::StopPunching => {
                self.punching.abort_all();
                self.guessing.abort_all();
            }
            Output::Stranded => self.connection.strand(),
            Output::Tell(event) => self.tell(event),
        }
    }

    fn open(&mut self, addr: SocketAddr) {
        tracing::debug!(addr = %unmapped(addr), "opening a path");
        // Backup until it is chosen. That it stands comes as a path event.
        let opened = self.connection.quic.open_path(addr, PathStatus::Backup);
        self.attempts.spawn(async move { opened.await.err().map(|error| (addr, error)) });
    }

    fn tell(&self, event: PathsEvent) {
        if let PathsEvent::Changed(kind) = &event {
            tracing::info!(?kind, "path in use");
        }
        if self.events.try_send(event).is_err() {
            tracing::warn!("nobody fetches path events");
        }
    }
}

/// What has gone over a path and come back, as long as it stands.
fn counters(quic: &noq::Connection, id: PathId) -> Option<Sample> {
    let stats = quic.path(id)?.stats();
    Some(Sample {
        sent: stats.udp_tx.datagrams,
        received: stats.udp_rx.datagrams,
        lost: stats.lost_packets,
        rtt: stats.rtt,
    })
}

/// Whether that was news.
fn replace_if_new<T: Clone + PartialEq>(known: &mut T, newest: &T) -> bool {
    let is_new = known != newest;
    if is_new {
        known.clone_from(newest);
    }
    is_new
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let PathStats { first, direct, switches, paths } = self.core.stats();
        tracing::info!(?first, ?direct, switches, ?paths, "paths of a session that is over");
        self.switch().extras().close_all(self.own.token);
        self.switch().stop_listening(self.own.token);
        if let Some(token) = self.core.peer_token() {
            self.switch().stop_listening(token);
        }
    }
}
