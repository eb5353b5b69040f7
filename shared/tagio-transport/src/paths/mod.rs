//! The paths of one session: opens direct ones for as long as the session lasts, keeps exactly one active,
//! and leaves one that dies.
//!
//! Both sides run a [`Paths`] task. The viewer's starts a *round* by sending its candidates, the host answers with its
//! own; each side then sends a few `PUNCH` datagrams to each of the other's, and guesses what it cannot know. Where a
//! punch is answered, the viewer opens a QUIC path, which QUIC validates by itself.

mod candidates;
mod plan;
mod punching;
mod report;
mod selector;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use noq::{PathError, PathEvent, PathId, PathStatus};
use tagio_wire::{leg::PunchToken, nat::Mapping, session::Candidates};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::Stream;

use crate::{
    connection::Connection,
    endpoint::Endpoint,
    socket::{PunchEvent, Switch, is_leg, mapped, unmapped},
};

pub(crate) use candidates::{host_candidates, is_usable};
pub use report::{Outcome, PathReport, Relayed, Tried};
use selector::{Action, Sample, Selector};
pub use selector::{PathKind, Side};

/// How often the active path's counters are looked at: a third of the shortest silence that matters.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often each side asks for a sign of life on every path: what a NAT's shortest time-out needs, and
/// three times within QUIC's limit for an idle path. QUIC's own keep-alive does not serve: it is put off by
/// what comes in, and acknowledgements may travel on another path, so the side that asks hears nothing on
/// this one.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Pauses before the rounds of a session that has no direct path; the last one repeats.
const ROUND_PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(60),
];
/// Of every so many rounds the first is one in which ports are guessed, too.
const GUESS_EVERY: usize = 4;
/// After the host has sent its candidates it waits so much longer than a round trip before it punches: by then the
/// viewer has.
const HELD_BACK: Duration = Duration::from_millis(30);
/// Rounds of a peer that come faster than this are ignored: its candidates are addresses of its choice, and
/// nobody shall make this side send more than a few small packets a second to them.
const ROUND_GAP: Duration = Duration::from_millis(900);
/// Direct paths that are being opened at once; leaves room among QUIC's for the one in use.
const OPENING_MAX: usize = 3;
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
    /// How long something has been on its way with nothing back.
    pub silence: Duration,
}

/// Owns the task that looks after a session's paths.
#[derive(Debug)]
pub struct Paths {
    wishes: mpsc::Sender<Wish>,
    events: mpsc::Receiver<PathsEvent>,
    facts: watch::Receiver<PathFacts>,
    report: watch::Receiver<PathReport>,
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
        let (facts_tx, facts) =
            watch::channel(PathFacts { kind, rtt: Duration::ZERO, silence: Duration::ZERO });
        let (report_tx, report) =
            watch::channel(PathReport { own: own.endpoint.nat().mapping, ..PathReport::default() });
        let (punches_tx, punches) = mpsc::channel(EVENTS);
        let keeper = Keeper {
            connection: connection.clone(),
            side,
            selector: Selector::new(side),
            own,
            peer_token: None,
            opening: BTreeSet::new(),
            round: 0,
            last_round: None,
            began: None,
            awaits_answer: false,
            events: events_tx,
            facts: facts_tx,
            report: report_tx,
            punches_tx,
            preparing: JoinSet::new(),
            punching: JoinSet::new(),
            guessing: JoinSet::new(),
            attempts: JoinSet::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(keeper.run(wishes_rx, punches));
        Self { wishes, events, facts, report, _task: task }
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

/// The task behind [`Paths`].
struct Keeper {
    connection: Connection,
    side: Side,
    selector: Selector<PathId>,
    own: Own,
    peer_token: Option<PunchToken>,
    /// Addresses to which a path is being opened.
    opening: BTreeSet<SocketAddr>,
    round: usize,
    last_round: Option<Instant>,
    /// Viewer only: when the newest round began.
    began: Option<Instant>,
    /// Viewer only: a round has begun, and the host has not answered with its candidates yet.
    awaits_answer: bool,
    events: mpsc::Sender<PathsEvent>,
    facts: watch::Sender<PathFacts>,
    report: watch::Sender<PathReport>,
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
        self.established(PathId::ZERO);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.own.endpoint.network_changes();
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let round = sleep(ROUND_PAUSES[0]);
        tokio::pin!(round);
        let over = self.connection.clone();
        let over = over.closed();
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = &mut over => break,
                event = std::future::poll_fn(|cx| Pin::new(&mut path_events).poll_next(cx)) => match event {
                    Some(Ok(event)) => self.on_path_event(event),
                    // Missed events show up in the counters at the next look.
                    Some(Err(_)) => {}
                    None => break,
                },
                Some(punch) = punches.recv() => self.on_punch(punch),
                wish = wishes.recv() => match wish {
                    Some(Wish::Punch(peer)) => {
                        if self.side == Side::Viewer && !std::mem::take(&mut self.awaits_answer) {
                            // The host is somewhere else now.
                            round.as_mut().reset(self.begin_anew());
                        } else {
                            self.on_peer_candidates(peer);
                        }
                    }
                    Some(Wish::AddRelay(leg)) => self.open(leg),
                    None => break,
                },
                () = &mut round, if self.side == Side::Viewer => {
                    let pause = self.start_round();
                    round.as_mut().reset(tokio::time::Instant::now() + pause);
                }
                () = changes.next() => match self.side {
                    Side::Viewer => round.as_mut().reset(self.begin_anew()),
                    // Unasked for, they make the viewer begin.
                    Side::Host => {
                        let own = self.own.clone().candidates(false);
                        self.preparing.spawn(async move { (own.await, None) });
                    }
                },
                _ = look.tick() => self.look(Instant::now()),
                _ = keep_alive.tick() => self.selector.all().into_iter().for_each(|id| self.ping(id)),
                Some(prepared) = self.preparing.join_next() => if let Ok((own, peer)) = prepared {
                    self.on_prepared(own, peer);
                },
                Some(_) = self.punching.join_next() => {}
                Some(_) = self.guessing.join_next() => {}
                Some(attempt) = self.attempts.join_next() => {
                    if let Ok(Some((addr, error))) = attempt {
                        tracing::debug!(addr = %unmapped(addr), %error, "path not opened");
                        self.note(addr, Outcome::Failed);
                        self.opening.remove(&addr);
                    }
                }
            }
        }
    }

    fn switch(&self) -> &Arc<Switch> {
        &self.connection.switch
    }

    fn established(&mut self, id: PathId) {
        let Some(path) = self.connection.quic.path(id) else { return };
        let Ok(addr) = path.remote_address() else { return };
        self.opening.remove(&addr);
        let kind = if is_leg(addr) { PathKind::Relay } else { PathKind::Direct };
        tracing::debug!(?id, ?kind, "path stands");
        if kind == PathKind::Direct {
            self.note(addr, Outcome::Open);
            self.punching.abort_all();
            self.guessing.abort_all();
        }
        let action = self.selector.established(id, kind);
        self.act(action);
    }

    fn on_path_event(&mut self, event: PathEvent) {
        match event {
            PathEvent::Established { id, .. } => self.established(id),
            PathEvent::Abandoned { id, reason, .. } => {
                tracing::debug!(?id, ?reason, "path gone");
                let had_relay = self.selector.has(PathKind::Relay);
                let had_direct = self.selector.has(PathKind::Direct);
                let action = self.selector.closed(id);
                self.act(action);
                if had_direct && !self.selector.has(PathKind::Direct) {
                    self.round = 0;
                }
                if had_relay && !self.selector.has(PathKind::Relay) {
                    self.tell(PathsEvent::RelayLost);
                }
            }
            PathEvent::RemoteStatus { id, status, .. } if self.side == Side::Host => {
                if let Some(path) = self.connection.quic.path(id) {
                    path.set_status(status).ok();
                }
                if status == PathStatus::Available {
                    let action = self.selector.remote_prefers(id);
                    self.act(action);
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, action: Option<Action<PathId>>) {
        match action {
            None => {}
            Some(Action::Ping(id)) => self.ping(id),
            Some(Action::Close(id)) => {
                tracing::debug!(?id, "path closed");
                if let Some(path) = self.connection.quic.path(id) {
                    // Refused for the last path, which then stays.
                    path.close().ok();
                }
                let next = self.selector.closed(id);
                if next != Some(Action::Close(id)) {
                    self.act(next);
                }
            }
            Some(Action::Prefer(id)) => self.prefer(id),
        }
    }

    fn ping(&self, id: PathId) {
        if let Some(path) = self.connection.quic.path(id) {
            // Refused by a path that has just closed.
            path.ping().ok();
        }
    }

    fn prefer(&mut self, id: PathId) {
        let Some((_, kind)) = self.selector.active() else { return };
        if self.side == Side::Viewer {
            for other in self.selector.all().into_iter().filter(|other| *other != id) {
                if let Some(path) = self.connection.quic.path(other) {
                    path.set_status(PathStatus::Backup).ok();
                }
            }
            if let Some(path) = self.connection.quic.path(id) {
                path.set_status(PathStatus::Available).ok();
            }
        }
        tracing::info!(?kind, "path in use");
        self.tell(PathsEvent::Changed(kind));
        self.look(Instant::now());
    }

    fn tell(&self, event: PathsEvent) {
        if self.events.try_send(event).is_err() {
            tracing::warn!("nobody fetches path events");
        }
    }

    fn look(&mut self, now: Instant) {
        let Some((id, kind)) = self.selector.active() else { return };
        let Some(path) = self.connection.quic.path(id) else { return };
        let stats = path.stats();
        let sample =
            Sample { sent: stats.udp_tx.datagrams, received: stats.udp_rx.datagrams, rtt: stats.rtt };
        let action = self.selector.look(now, sample);
        self.act(action);
        let silence = self.selector.silence(now);
        self.facts.send_replace(PathFacts { kind, rtt: sample.rtt, silence });
    }

    /// One of the two is in another network: what failed before may work now. When the next round is due.
    fn begin_anew(&mut self) -> tokio::time::Instant {
        self.round = 0;
        let now = Instant::now();
        self.began.map_or(now, |began| now.max(began + ROUND_GAP)).into()
    }

    /// Sends the viewer's candidates, unless a direct path stands, and says when the next round is due.
    fn start_round(&mut self) -> Duration {
        let direct = self.selector.has(PathKind::Direct);
        if !direct {
            let guess = self.round.is_multiple_of(GUESS_EVERY);
            let own = self.own.clone().candidates(guess);
            self.preparing.spawn(async move { (own.await, None) });
            (self.began, self.awaits_answer) = (Some(Instant::now()), true);
        }
        if direct {
            return ROUND_PAUSES[1];
        }
        self.round += 1;
        ROUND_PAUSES[self.round.min(ROUND_PAUSES.len() - 1)]
    }

    fn on_peer_candidates(&mut self, peer: Candidates) {
        let now = Instant::now();
        if self.last_round.is_some_and(|last| now.saturating_duration_since(last) < ROUND_GAP) {
            return;
        }
        self.last_round = Some(now);
        if self.peer_token != Some(peer.token) {
            if let Some(old) = self.peer_token.replace(peer.token) {
                self.switch().stop_listening(old);
            }
            self.switch().listen_for_punches(peer.token, self.punches_tx.clone());
        }
        let own = self.own.clone().candidates(peer.guess);
        self.preparing.spawn(async move { (own.await, Some(peer)) });
    }

    /// This side's candidates are known: the peer is told, and punched if its own are here.
    fn on_prepared(&mut self, own: Candidates, peer: Option<Candidates>) {
        if let Some(peer) = &peer {
            self.punch(&own, peer);
        }
        if peer.is_none() || self.side == Side::Host {
            self.tell(PathsEvent::SendCandidates(own));
        }
    }

    fn punch(&mut self, own: &Candidates, peer: &Candidates) {
        let plan = plan::plan(own.mapping, &own.addrs, peer);
        let guess = plan.guess.filter(|_| peer.guess && !self.selector.has(PathKind::Direct));
        tracing::debug!(own = ?own.mapping, peer = ?peer.mapping, targets = ?plan.targets, ?guess, "punching");
        self.report
            .send_modify(|report| report.begin(own.mapping, peer.mapping, &plan.targets, guess.is_some()));
        let held_back = (self.side == Side::Host).then(|| self.facts.borrow().rtt + HELD_BACK);
        // A newer round replaces one that is still under way; guessing goes on.
        self.punching.abort_all();
        self.punching.spawn(punching::punch(Arc::clone(self.switch()), plan.targets, peer.token, held_back));
        if let Some(guess) = guess {
            self.guessing.abort_all();
            let switch = Arc::clone(self.switch());
            self.guessing.spawn(punching::guess(switch, guess, peer.token, self.own.token));
        }
    }

    fn on_punch(&mut self, punch: PunchEvent) {
        let (PunchEvent::Reached(addr) | PunchEvent::Answered(addr)) = punch;
        self.note(addr, Outcome::Answered);
        if self.side == Side::Viewer && !self.selector.has(PathKind::Direct) {
            self.open(mapped(addr));
        }
    }

    fn note(&self, addr: SocketAddr, outcome: Outcome) {
        if !is_leg(addr) {
            self.report.send_modify(|report| report.note(unmapped(addr), outcome));
        }
    }

    fn open(&mut self, addr: SocketAddr) {
        if self.opening.len() >= OPENING_MAX || !self.opening.insert(addr) {
            return;
        }
        tracing::debug!(addr = %unmapped(addr), "opening a path");
        // Backup until it is chosen. That it stands comes as a path event.
        let opened = self.connection.quic.open_path(addr, PathStatus::Backup);
        self.attempts.spawn(async move { opened.await.err().map(|error| (addr, error)) });
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.switch().extras().close_all(self.own.token);
        self.switch().stop_listening(self.own.token);
        if let Some(token) = self.peer_token {
            self.switch().stop_listening(token);
        }
    }
}
