//! Everything that is decided about a session's paths: which are opened, which one carries it, when a round of
//! punching is due, what a peer may ask for and how often. Pure: handed events, counters and time, it hands back what
//! is to be done and when to wake it. `mod.rs` carries that out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use noq::PathStatus;
use tagio_wire::{leg::PunchToken, nat::Mapping, session::Candidates};

use super::{
    PathFacts, PathsEvent,
    farewell::{Farewell, Farewells},
    plan::{self, Guess},
    report::{Outcome, PathReport},
    selector::{Action, PathKind, Sample, Selector, Side},
    stats::{PathStats, StatsBook},
};
use crate::{
    carrier::Carrier,
    socket::{is_leg, unmapped},
};

/// How often the active path's counters are looked at: a third of the shortest silence that matters.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often each side asks for a sign of life on every path: what a NAT's shortest time-out needs, and
/// three times within QUIC's limit for an idle path. QUIC's own keep-alive does not serve: it is put off by
/// what comes in, and acknowledgements may travel on another path, so the side that asks hears nothing on
/// this one.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Pauses before the rounds of a session that has no direct path; the last one repeats.
pub(super) const ROUND_PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(60),
];
/// Of every so many rounds the first is one in which ports are guessed, too.
pub(super) const GUESS_EVERY: usize = 4;
/// Ports are not guessed more often, also where direct paths come and go: a guess is three thousand small packets.
const GUESS_GAP: Duration = Duration::from_secs(10);
/// After the host has sent its candidates it waits so much longer than a round trip before it punches: by then the
/// viewer has.
const HELD_BACK: Duration = Duration::from_millis(30);
/// Rounds of a peer that come faster than this are ignored: its candidates are addresses of its choice, and
/// nobody shall make this side send more than a few small packets a second to them.
pub(super) const ROUND_GAP: Duration = Duration::from_millis(900);
/// Direct paths that are being opened at once; leaves room among QUIC's for the one in use.
pub(super) const OPENING_MAX: usize = 3;
/// Direct paths of a connection that may fail to open. One of which nothing at all has reached the host uses up one of
/// QUIC's numbers for paths for good: noq 1.4.0 gives out another only once both sides have known it
/// (`Frame::PathAbandon` in `noq-proto/src/connection/mod.rs`). There are seven beside the first, and the relay needs
/// some.
pub(super) const FAILED_MAX: u32 = 4;
/// How long nothing direct is opened after the first failure; four times as long after each further one.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// What happens to a session's paths. `K` is QUIC's name for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input<K> {
    /// QUIC has validated a path to this address.
    Established { id: K, addr: SocketAddr },
    /// A path is gone, whoever gave it up.
    Abandoned(K),
    /// The peer says how it uses a path.
    RemoteStatus { id: K, status: PathStatus },
    /// [`Output::Open`] has failed.
    NotOpened(SocketAddr),
    /// A punch has passed between this address and us.
    Heard(SocketAddr),
    /// The peer starts a round, or answers one.
    PeerCandidates(Candidates),
    /// What [`Output::FindCandidates`] asked for.
    Found { own: Candidates, peer: Option<Candidates> },
    /// What carries the newest leg to the relay.
    CarriedBy(Carrier),
    /// There is another leg to the relay.
    NewLeg(SocketAddr),
    /// This machine is in another network than before.
    NetworkChanged,
}

/// What is to be done. `K` is QUIC's name for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output<K> {
    /// Open a path to this address, as a backup.
    Open(SocketAddr),
    /// Give a path up. QUIC refuses that for the last one, which then stays.
    Close(K),
    /// Use a path so from now on.
    SetStatus(K, PathStatus),
    /// Ask for a sign of life.
    Ping(K),
    /// Find out where this side may be reached, for a round with guessing or without.
    FindCandidates { guess: bool, peer: Option<Candidates> },
    /// Hear punches that carry this token.
    Listen(PunchToken),
    /// And no longer.
    StopListening(PunchToken),
    /// Send a round's punches; those of the round before are given up.
    Punch { targets: Vec<SocketAddr>, token: PunchToken, held_back: Option<Duration> },
    /// Guess ports; what was being guessed is given up.
    Guess { guess: Guess, token: PunchToken },
    /// A direct path stands: neither punch nor guess.
    StopPunching,
    /// What was under way may be lost with a path, and QUIC sends it again only later.
    Stranded,
    /// To the session's owner.
    Tell(PathsEvent),
}

/// The state of a session's paths.
#[derive(Debug)]
pub(super) struct PathCore<K> {
    side: Side,
    selector: Selector<K>,
    /// The path that packets were last told to take, and those that they took before.
    used: Option<K>,
    farewells: Farewells<K>,
    peer_token: Option<PunchToken>,
    /// Addresses to which a path is being opened.
    opening: BTreeSet<SocketAddr>,
    /// Direct ones that failed, and until when no other is opened for that.
    failed: u32,
    failed_until: Option<Instant>,
    /// Host only: the path that the viewer prefers, which need not stand here yet. INVARIANT: not a path that is gone.
    wished: Option<K>,
    /// Paths that carried data and are given up, since when, until QUIC has forgotten them: only then does it send again
    /// what was under way on them. INVARIANT: as few as QUIC's paths.
    draining: BTreeMap<K, Instant>,
    /// Rounds since there was a direct path.
    round: usize,
    /// When ports were last guessed.
    guessed_at: Option<Instant>,
    /// Viewer only: when the newest round began, and how many the host has still to answer.
    began: Option<Instant>,
    awaited: usize,
    /// When the peer's last round was taken up.
    last_round: Option<Instant>,
    /// When the connection was begun.
    started: Instant,
    stats: StatsBook<K>,
    facts: PathFacts,
    report: PathReport,
    look_at: Instant,
    /// The path in use has not been looked at since it was chosen.
    is_fresh: bool,
    ping_at: Instant,
    /// The viewer's next round.
    round_at: Option<Instant>,
    /// Fetched after every call, so it holds what one call makes: a handful.
    outputs: VecDeque<Output<K>>,
}

impl<K: Ord + Copy> PathCore<K> {
    /// A session that starts on a path of this kind, behind a NAT that does `own`. `started`: when the connection was
    /// begun, which is over by `now`.
    pub(super) fn new(side: Side, kind: PathKind, own: Mapping, started: Instant, now: Instant) -> Self {
        Self {
            side,
            selector: Selector::new(side),
            used: None,
            farewells: Farewells::new(),
            peer_token: None,
            opening: BTreeSet::new(),
            failed: 0,
            failed_until: None,
            wished: None,
            draining: BTreeMap::new(),
            round: 0,
            guessed_at: None,
            began: None,
            awaited: 0,
            last_round: None,
            started,
            stats: StatsBook::new(),
            facts: PathFacts::new(kind),
            report: PathReport { own, ..PathReport::default() },
            look_at: now,
            is_fresh: false,
            ping_at: now,
            round_at: (side == Side::Viewer).then(|| now + ROUND_PAUSES[0]),
            outputs: VecDeque::new(),
        }
    }

    /// The path in use and its kind.
    #[cfg(test)]
    pub(super) fn active(&self) -> Option<(K, PathKind)> {
        self.selector.active()
    }

    /// What is known of the path in use.
    pub(super) fn facts(&self) -> PathFacts {
        self.facts
    }

    /// How the search for a direct path goes.
    pub(super) fn report(&self) -> &PathReport {
        &self.report
    }

    /// How the paths have fared.
    pub(super) fn stats(&self) -> PathStats {
        self.stats.stats()
    }

    /// The peer's token that is listened for.
    pub(super) fn peer_token(&self) -> Option<PunchToken> {
        self.peer_token
    }

    /// The next thing to be done.
    pub(super) fn poll_output(&mut self) -> Option<Output<K>> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::wake`].
    pub(super) fn next_wake(&self) -> Instant {
        self.round_at.into_iter().fold(self.look_at.min(self.ping_at), Instant::min)
    }

    /// Does what is due. `counters` are those of a path, as long as it stands.
    pub(super) fn wake(&mut self, now: Instant, counters: impl Fn(K) -> Option<Sample>) {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.look(now, &counters);
        }
        if now >= self.ping_at {
            self.ping_at = now + KEEP_ALIVE;
            for id in self.selector.all() {
                self.outputs.push_back(Output::Ping(id));
                counters(id).inspect(|sample| self.stats.note(id, sample));
            }
        }
        if self.round_at.is_some_and(|at| now >= at) {
            self.round_at = Some(now + self.start_round(now));
        }
    }

    /// Takes what has happened.
    pub(super) fn handle(&mut self, now: Instant, input: Input<K>) {
        match input {
            Input::Established { id, addr } => self.on_established(now, id, addr),
            Input::Abandoned(id) => self.on_abandoned(now, id),
            Input::RemoteStatus { id, status } => self.on_remote_status(now, id, status),
            Input::NotOpened(addr) => self.on_not_opened(now, addr),
            Input::Heard(addr) => {
                self.note(addr, Outcome::Answered);
                if self.side == Side::Viewer && !self.selector.has(PathKind::Direct) {
                    self.open_direct(now, addr);
                }
            }
            Input::PeerCandidates(peer) => self.on_peer_candidates(now, peer),
            Input::Found { own, peer } => self.on_found(now, own, peer.as_ref()),
            Input::CarriedBy(carrier) => self.report.carrier = Some(carrier),
            Input::NewLeg(addr) => self.open(addr),
            Input::NetworkChanged => self.on_network_change(now),
        }
    }

    fn on_established(&mut self, now: Instant, id: K, addr: SocketAddr) {
        self.opening.remove(&addr);
        let kind = if is_leg(addr) { PathKind::Relay } else { PathKind::Direct };
        self.stats.established(id, kind, now.saturating_duration_since(self.started));
        if kind == PathKind::Direct {
            self.note(addr, Outcome::Open);
            self.outputs.push_back(Output::StopPunching);
        }
        let action = self.selector.established(id, kind);
        let is_spare = action != Some(Action::Prefer(id));
        self.act(now, action);
        if self.wished == Some(id) {
            let action = self.selector.remote_prefers(id);
            self.act(now, action);
        } else if is_spare && self.side == Side::Host {
            // The viewer opened it as a backup. QUIC does not say so, and takes a new path as fit for data.
            self.outputs.push_back(Output::SetStatus(id, PathStatus::Backup));
        }
    }

    fn on_abandoned(&mut self, now: Instant, id: K) {
        if self.wished == Some(id) {
            self.wished = None;
        }
        self.leave(now, id);
    }

    /// A path is gone, or given up.
    fn leave(&mut self, now: Instant, id: K) {
        let had = |kind| self.selector.has(kind);
        let (had_relay, had_direct) = (had(PathKind::Relay), had(PathKind::Direct));
        // Whether a side has lost something with it the other side cannot know.
        let is_stranded = self.selector.all().contains(&id);
        self.farewells.forget(id);
        if is_stranded {
            self.draining.insert(id, now);
        }
        self.stats.gone(id);
        let action = self.selector.closed(id);
        self.act(now, action);
        if is_stranded {
            self.outputs.push_back(Output::Stranded);
        }
        if had_direct && !self.selector.has(PathKind::Direct) {
            self.round = 0;
        }
        if had_relay && !self.selector.has(PathKind::Relay) {
            self.tell(PathsEvent::RelayLost);
        }
    }

    /// The host prefers what the viewer prefers; a path may not stand here yet when the viewer says so. How the viewer
    /// uses the others follows from that.
    fn on_remote_status(&mut self, now: Instant, id: K, status: PathStatus) {
        if self.side == Side::Viewer || status != PathStatus::Available {
            return;
        }
        self.wished = Some(id);
        let action = self.selector.remote_prefers(id);
        self.act(now, action);
    }

    fn on_not_opened(&mut self, now: Instant, addr: SocketAddr) {
        self.note(addr, Outcome::Failed);
        if !self.opening.remove(&addr) {
            return;
        }
        if is_leg(addr) {
            let another = self.selector.has(PathKind::Relay) || self.opening.iter().any(|addr| is_leg(*addr));
            if !another {
                self.tell(PathsEvent::RelayLost);
            }
        } else {
            self.failed_until = Some(now + FAILED_PAUSE * 4u32.pow(self.failed.min(FAILED_MAX)));
            self.failed += 1;
        }
    }

    /// What failed before may work now. The host's candidates, unasked for, make the viewer begin.
    fn on_network_change(&mut self, now: Instant) {
        match self.side {
            Side::Viewer => self.begin_anew(now),
            Side::Host => self.outputs.push_back(Output::FindCandidates { guess: false, peer: None }),
        }
    }

    /// The next round is due as soon as the host takes it.
    fn begin_anew(&mut self, now: Instant) {
        self.round = 0;
        self.round_at = Some(self.began.map_or(now, |began| now.max(began + ROUND_GAP)));
    }

    fn act(&mut self, now: Instant, action: Option<Action<K>>) {
        match action {
            None => {}
            Some(Action::Ping(id)) => self.outputs.push_back(Output::Ping(id)),
            Some(Action::Close(id)) => {
                self.outputs.push_back(Output::Close(id));
                self.leave(now, id);
            }
            Some(Action::Prefer(id)) => self.prefer(now, id),
        }
    }

    fn prefer(&mut self, now: Instant, id: K) {
        let Some((_, kind)) = self.selector.active() else { return };
        self.farewells.forget(id);
        if let Some(before) = self.used.replace(id).filter(|before| *before != id)
            && let Some(last) = self.selector.last(before)
        {
            self.farewells.leave(before, last, now);
        }
        let others = self.selector.all().into_iter().filter(|other| *other != id);
        self.outputs.extend(others.map(|other| Output::SetStatus(other, PathStatus::Backup)));
        self.outputs.push_back(Output::SetStatus(id, PathStatus::Available));
        self.stats.changed();
        self.tell(PathsEvent::Changed(kind));
        // What the new path's counters are now is what the watchdog starts from.
        (self.look_at, self.is_fresh) = (now, true);
    }

    fn tell(&mut self, event: PathsEvent) {
        self.outputs.push_back(Output::Tell(event));
    }

    fn look(&mut self, now: Instant, counters: impl Fn(K) -> Option<Sample>) {
        let Some((id, kind)) = self.selector.active() else { return };
        let Some(sample) = counters(id) else { return };
        self.stats.note(id, &sample);
        let was_fresh = std::mem::take(&mut self.is_fresh);
        let action = self.selector.look(now, sample);
        self.act(now, action);
        if was_fresh && action.is_none() {
            // And a sign of life that stays out is what it acts on: what killed the path before may have killed this one.
            self.outputs.push_back(Output::Ping(id));
        }
        for farewell in self.farewells.look(now, &counters) {
            match farewell {
                Farewell::Ping(id) => self.outputs.push_back(Output::Ping(id)),
                Farewell::Close(id) => self.act(now, Some(Action::Close(id))),
            }
        }
        // Where two paths died at a time QUIC may wait for good for each other's goodbye, which was under way on the
        // other one; what was under way with it never comes then, however well the path in use answers.
        self.draining.retain(|id, _| counters(*id).is_some());
        let drained = self.draining.values().map(|since| now.saturating_duration_since(*since)).max();
        let unanswered = self.selector.silence(now);
        let silence = unanswered.max(drained.unwrap_or_default());
        self.facts = PathFacts { kind, rtt: sample.rtt, silence, unanswered };
        if let Some(deadline) = self.selector.deadline().filter(|at| *at > now) {
            self.look_at = self.look_at.min(deadline);
        }
    }

    /// Has the viewer's candidates sent, unless a direct path stands, and says when the next round is due.
    fn start_round(&mut self, now: Instant) -> Duration {
        if self.selector.has(PathKind::Direct) {
            return ROUND_PAUSES[1];
        }
        let guess = self.round.is_multiple_of(GUESS_EVERY) && self.is_time_to_guess(now);
        self.outputs.push_back(Output::FindCandidates { guess, peer: None });
        (self.began, self.awaited) = (Some(now), self.awaited + 1);
        self.round += 1;
        ROUND_PAUSES[self.round.min(ROUND_PAUSES.len() - 1)]
    }

    fn on_peer_candidates(&mut self, now: Instant, peer: Candidates) {
        if self.side == Side::Viewer {
            let Some(awaited) = self.awaited.checked_sub(1) else {
                // Unasked for: the host is in another network.
                return self.begin_anew(now);
            };
            self.awaited = awaited;
        }
        if self.last_round.is_some_and(|last| now.saturating_duration_since(last) < ROUND_GAP) {
            return;
        }
        self.last_round = Some(now);
        if self.peer_token != Some(peer.token) {
            let old = self.peer_token.replace(peer.token);
            self.outputs.extend(old.map(Output::StopListening));
            self.outputs.push_back(Output::Listen(peer.token));
        }
        self.outputs.push_back(Output::FindCandidates { guess: peer.guess, peer: Some(peer) });
    }

    /// This side's candidates are known: the peer is told, and punched if its own are here.
    fn on_found(&mut self, now: Instant, own: Candidates, peer: Option<&Candidates>) {
        if let Some(peer) = peer {
            self.punch(now, &own, peer);
        }
        if peer.is_none() || self.side == Side::Host {
            self.tell(PathsEvent::SendCandidates(own));
        }
    }

    fn punch(&mut self, now: Instant, own: &Candidates, peer: &Candidates) {
        let plan = plan::plan(own.mapping, &own.addrs, peer);
        let may_guess = peer.guess && !self.selector.has(PathKind::Direct) && self.is_time_to_guess(now);
        let guess = plan.guess.filter(|_| may_guess);
        if guess.is_some() {
            self.guessed_at = Some(now);
        }
        tracing::debug!(own = ?own.mapping, peer = ?peer.mapping, targets = ?plan.targets, ?guess, "punching");
        self.report.begin(own.mapping, peer.mapping, &plan.targets, guess.is_some());
        let held_back = (self.side == Side::Host).then(|| self.facts.rtt + HELD_BACK);
        self.outputs.push_back(Output::Punch { targets: plan.targets, token: peer.token, held_back });
        self.outputs.extend(guess.map(|guess| Output::Guess { guess, token: peer.token }));
    }

    fn is_time_to_guess(&self, now: Instant) -> bool {
        self.guessed_at.is_none_or(|at| now.saturating_duration_since(at) >= GUESS_GAP)
    }

    fn open_direct(&mut self, now: Instant, addr: SocketAddr) {
        let under_way = self.opening.iter().filter(|addr| !is_leg(**addr)).count();
        let is_held_back = self.failed_until.is_some_and(|until| now < until);
        if under_way < OPENING_MAX && self.failed as usize + under_way < FAILED_MAX as usize && !is_held_back
        {
            self.open(addr);
        }
    }

    /// Opens a path, unless that is under way. Legs are as few as their owner keeps, and have to be opened in any case.
    fn open(&mut self, addr: SocketAddr) {
        if self.opening.insert(addr) {
            self.outputs.push_back(Output::Open(addr));
        }
    }

    fn note(&mut self, addr: SocketAddr, outcome: Outcome) {
        if !is_leg(addr) {
            self.report.note(unmapped(addr), outcome);
        }
    }
}

#[cfg(test)]
mod tests;
