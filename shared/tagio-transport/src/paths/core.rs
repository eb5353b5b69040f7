//! Everything that is decided about a session's paths: which are opened, which one carries it, when a round of
//! punching is due, what a peer may ask for and how often. Pure: handed events, counters and time, it hands back what
//! is to be done and when to wake it. `mod.rs` carries that out.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use noq::PathStatus;
use tagio_wire::{leg::PunchToken, nat::Mapping, session::Candidates};

use super::{
    PathFacts, PathsEvent,
    plan::{self, Guess},
    report::{Outcome, PathReport},
    selector::{Action, PathKind, Sample, Selector, Side},
};
use crate::socket::{is_leg, unmapped};

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
/// After the host has sent its candidates it waits so much longer than a round trip before it punches: by then the
/// viewer has.
const HELD_BACK: Duration = Duration::from_millis(30);
/// Rounds of a peer that come faster than this are ignored: its candidates are addresses of its choice, and
/// nobody shall make this side send more than a few small packets a second to them.
pub(super) const ROUND_GAP: Duration = Duration::from_millis(900);
/// Direct paths that are being opened at once; leaves room among QUIC's for the one in use.
pub(super) const OPENING_MAX: usize = 3;

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
    /// There is another leg to the relay.
    NewLeg(SocketAddr),
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
    /// To the session's owner.
    Tell(PathsEvent),
}

/// The state of a session's paths.
#[derive(Debug)]
pub(super) struct PathCore<K> {
    side: Side,
    selector: Selector<K>,
    peer_token: Option<PunchToken>,
    /// Addresses to which a path is being opened.
    opening: BTreeSet<SocketAddr>,
    /// Rounds since there was a direct path.
    round: usize,
    /// When the peer's last round was taken up.
    last_round: Option<Instant>,
    facts: PathFacts,
    report: PathReport,
    look_at: Instant,
    ping_at: Instant,
    /// The viewer's next round.
    round_at: Option<Instant>,
    /// Fetched after every call, so it holds what one call makes: a handful.
    outputs: VecDeque<Output<K>>,
}

impl<K: Ord + Copy> PathCore<K> {
    /// A session that starts on a path of this kind, behind a NAT that does `own`.
    pub(super) fn new(side: Side, kind: PathKind, own: Mapping, now: Instant) -> Self {
        Self {
            side,
            selector: Selector::new(side),
            peer_token: None,
            opening: BTreeSet::new(),
            round: 0,
            last_round: None,
            facts: PathFacts { kind, rtt: Duration::ZERO, silence: Duration::ZERO },
            report: PathReport { own, ..PathReport::default() },
            look_at: now,
            ping_at: now,
            round_at: (side == Side::Viewer).then(|| now + ROUND_PAUSES[0]),
            outputs: VecDeque::new(),
        }
    }

    /// The path in use.
    pub(super) fn facts(&self) -> PathFacts {
        self.facts
    }

    /// How the search for a direct path goes.
    pub(super) fn report(&self) -> &PathReport {
        &self.report
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
            self.look(now, counters);
        }
        if now >= self.ping_at {
            self.ping_at = now + KEEP_ALIVE;
            self.outputs.extend(self.selector.all().into_iter().map(Output::Ping));
        }
        if self.round_at.is_some_and(|at| now >= at) {
            self.round_at = Some(now + self.start_round());
        }
    }

    /// Takes what has happened.
    pub(super) fn handle(&mut self, now: Instant, input: Input<K>) {
        match input {
            Input::Established { id, addr } => self.on_established(now, id, addr),
            Input::Abandoned(id) => self.on_abandoned(now, id),
            Input::RemoteStatus { id, status } => self.on_remote_status(now, id, status),
            Input::NotOpened(addr) => {
                self.note(addr, Outcome::Failed);
                self.opening.remove(&addr);
            }
            Input::Heard(addr) => {
                self.note(addr, Outcome::Answered);
                if self.side == Side::Viewer && !self.selector.has(PathKind::Direct) {
                    self.open(addr);
                }
            }
            Input::PeerCandidates(peer) => self.on_peer_candidates(now, peer),
            Input::Found { own, peer } => self.on_found(own, peer.as_ref()),
            Input::NewLeg(addr) => self.open(addr),
        }
    }

    fn on_established(&mut self, now: Instant, id: K, addr: SocketAddr) {
        self.opening.remove(&addr);
        let kind = if is_leg(addr) { PathKind::Relay } else { PathKind::Direct };
        if kind == PathKind::Direct {
            self.note(addr, Outcome::Open);
            self.outputs.push_back(Output::StopPunching);
        }
        let action = self.selector.established(id, kind);
        self.act(now, action);
    }

    fn on_abandoned(&mut self, now: Instant, id: K) {
        let had = |kind| self.selector.has(kind);
        let (had_relay, had_direct) = (had(PathKind::Relay), had(PathKind::Direct));
        let action = self.selector.closed(id);
        self.act(now, action);
        if had_direct && !self.selector.has(PathKind::Direct) {
            self.round = 0;
        }
        if had_relay && !self.selector.has(PathKind::Relay) {
            self.tell(PathsEvent::RelayLost);
        }
    }

    /// The host uses each path as the viewer does.
    fn on_remote_status(&mut self, now: Instant, id: K, status: PathStatus) {
        if self.side == Side::Viewer {
            return;
        }
        self.outputs.push_back(Output::SetStatus(id, status));
        if status == PathStatus::Available {
            let action = self.selector.remote_prefers(id);
            self.act(now, action);
        }
    }

    fn act(&mut self, now: Instant, action: Option<Action<K>>) {
        match action {
            None => {}
            Some(Action::Ping(id)) => self.outputs.push_back(Output::Ping(id)),
            Some(Action::Close(id)) => {
                self.outputs.push_back(Output::Close(id));
                let next = self.selector.closed(id);
                self.act(now, next);
            }
            Some(Action::Prefer(id)) => self.prefer(now, id),
        }
    }

    fn prefer(&mut self, now: Instant, id: K) {
        let Some((_, kind)) = self.selector.active() else { return };
        if self.side == Side::Viewer {
            let others = self.selector.all().into_iter().filter(|other| *other != id);
            self.outputs.extend(others.map(|other| Output::SetStatus(other, PathStatus::Backup)));
            self.outputs.push_back(Output::SetStatus(id, PathStatus::Available));
        }
        self.tell(PathsEvent::Changed(kind));
        // What the new path's counters are now is what the watchdog starts from.
        self.look_at = now;
    }

    fn tell(&mut self, event: PathsEvent) {
        self.outputs.push_back(Output::Tell(event));
    }

    fn look(&mut self, now: Instant, counters: impl Fn(K) -> Option<Sample>) {
        let Some((id, kind)) = self.selector.active() else { return };
        let Some(sample) = counters(id) else { return };
        let action = self.selector.look(now, sample);
        self.act(now, action);
        self.facts = PathFacts { kind, rtt: sample.rtt, silence: self.selector.silence(now) };
    }

    /// Has the viewer's candidates sent, unless a direct path stands, and says when the next round is due.
    fn start_round(&mut self) -> Duration {
        if self.selector.has(PathKind::Direct) {
            return ROUND_PAUSES[1];
        }
        let guess = self.round.is_multiple_of(GUESS_EVERY);
        self.outputs.push_back(Output::FindCandidates { guess, peer: None });
        self.round += 1;
        ROUND_PAUSES[self.round.min(ROUND_PAUSES.len() - 1)]
    }

    fn on_peer_candidates(&mut self, now: Instant, peer: Candidates) {
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
    fn on_found(&mut self, own: Candidates, peer: Option<&Candidates>) {
        if let Some(peer) = peer {
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
        self.report.begin(own.mapping, peer.mapping, &plan.targets, guess.is_some());
        let held_back = (self.side == Side::Host).then(|| self.facts.rtt + HELD_BACK);
        self.outputs.push_back(Output::Punch { targets: plan.targets, token: peer.token, held_back });
        self.outputs.extend(guess.map(|guess| Output::Guess { guess, token: peer.token }));
    }

    fn open(&mut self, addr: SocketAddr) {
        if self.opening.len() < OPENING_MAX && self.opening.insert(addr) {
            self.outputs.push_back(Output::Open(addr));
        }
    }

    fn note(&mut self, addr: SocketAddr, outcome: Outcome) {
        if !is_leg(addr) {
            self.report.note(unmapped(addr), outcome);
        }
    }
}
