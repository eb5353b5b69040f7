//! The paths of one session: opens direct ones for as long as the session lasts, keeps exactly one active,
//! and leaves one that dies.
//!
//! Both sides run a [`Paths`] task. The viewer's starts a *round* by sending its candidates; each side then
//! sends a few `PUNCH` datagrams to each of the other's. Where a punch is answered, the viewer opens a QUIC
//! path, which QUIC validates by itself.

mod candidates;
mod selector;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use noq::{PathError, PathEvent, PathId, PathStatus};
use tagio_wire::{
    leg::{Datagram, PunchToken},
    limits::CANDIDATES_MAX,
    session::Candidates,
};
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
use selector::{Action, Sample, Selector};
pub use selector::{PathKind, Side};

/// How often the active path's counters are looked at: a third of the shortest silence that matters.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often each side asks for a sign of life on every path: what a NAT's shortest time-out needs, and
/// three times within QUIC's limit for an idle path. QUIC's own keep-alive does not serve: it is put off by
/// what comes in, and acknowledgements may travel on another path, so the side that asks hears nothing on
/// this one.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// When punches of a round are sent: at once, and again for NATs that open on the second packet.
const PUNCH_AT: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(120), Duration::from_millis(400), Duration::from_millis(1200)];
/// Pauses before the rounds of a session that has no direct path; the last one repeats.
const ROUND_PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(60),
];
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
    /// Viewer only: send these to the host, to start a round.
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
    own: Own,
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
    fn candidates(&self) -> Candidates {
        let mut addrs = self.endpoint.host_candidates();
        if let Some(observed) = self.observed.filter(|observed| !addrs.contains(observed)) {
            addrs.push(observed);
        }
        Candidates { addrs, token: self.token }
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
        let (punches_tx, punches) = mpsc::channel(EVENTS);
        let keeper = Keeper {
            connection: connection.clone(),
            side,
            selector: Selector::new(side),
            own: own.clone(),
            peer_token: None,
            opening: BTreeSet::new(),
            round: 0,
            last_round: None,
            events: events_tx,
            facts: facts_tx,
            punches_tx,
            bursts: JoinSet::new(),
            attempts: JoinSet::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(keeper.run(wishes_rx, punches));
        Self { wishes, events, facts, own, _task: task }
    }

    /// The next event; `None` once the connection is over.
    pub async fn event(&mut self) -> Option<PathsEvent> {
        self.events.recv().await
    }

    /// The path in use.
    pub fn facts(&self) -> PathFacts {
        *self.facts.borrow()
    }

    /// What to tell the peer when it asks by sending its own.
    pub fn own_candidates(&self) -> Candidates {
        self.own.candidates()
    }

    /// Sends punches to a peer's candidates.
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
    events: mpsc::Sender<PathsEvent>,
    facts: watch::Sender<PathFacts>,
    punches_tx: mpsc::Sender<PunchEvent>,
    bursts: JoinSet<()>,
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
                    Some(Wish::Punch(peer)) => self.on_peer_candidates(peer),
                    Some(Wish::AddRelay(leg)) => self.open(leg),
                    None => break,
                },
                () = &mut round, if self.side == Side::Viewer => {
                    let pause = self.start_round();
                    round.as_mut().reset(tokio::time::Instant::now() + pause);
                }
                _ = look.tick() => self.look(Instant::now()),
                _ = keep_alive.tick() => self.selector.all().into_iter().for_each(|id| self.ping(id)),
                Some(_) = self.bursts.join_next() => {}
                Some(attempt) = self.attempts.join_next() => {
                    if let Ok(Some((addr, error))) = attempt {
                        tracing::debug!(addr = %unmapped(addr), %error, "path not opened");
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
                    // Soon, but not at once: whatever broke the path needs a moment.
                    self.round = 1;
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

    /// Sends the viewer's candidates, unless a direct path stands, and says when the next round is due.
    fn start_round(&mut self) -> Duration {
        let direct = self.selector.has(PathKind::Direct);
        if !direct {
            self.tell(PathsEvent::SendCandidates(self.own.candidates()));
        }
        self.round = if direct { 1 } else { self.round + 1 };
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
        let own = self.own.candidates().addrs;
        let targets: Vec<SocketAddr> = peer.addrs.into_iter().take(CANDIDATES_MAX).collect();
        let targets: Vec<SocketAddr> =
            targets.into_iter().filter(|addr| candidates::is_usable(*addr) && !own.contains(addr)).collect();
        let (switch, token) = (Arc::clone(self.switch()), peer.token);
        // A newer round replaces one that is still under way.
        self.bursts.abort_all();
        self.bursts.spawn(async move {
            let start = tokio::time::Instant::now();
            for at in PUNCH_AT {
                tokio::time::sleep_until(start + at).await;
                targets.iter().for_each(|addr| switch.send(*addr, &Datagram::Punch { token }));
            }
        });
    }

    fn on_punch(&mut self, punch: PunchEvent) {
        let (PunchEvent::Reached(addr) | PunchEvent::Answered(addr)) = punch;
        if self.side == Side::Viewer && !self.selector.has(PathKind::Direct) {
            self.open(mapped(addr));
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
        self.switch().stop_listening(self.own.token);
        if let Some(token) = self.peer_token {
            self.switch().stop_listening(token);
        }
    }
}
