//! What must be true of every life.

use std::{collections::VecDeque, time::Duration};

use noq::PathStatus;

use super::{
    life::{KEY_EVERY, Node, SIDES},
    net::Net,
};
use crate::paths::{
    PathKind, Side,
    core::{KEEP_ALIVE, LOOK_EVERY, OPENING_MAX, Output, ROUND_GAP},
    punching::PUNCH_AT,
    selector::dead_after,
};

/// How soon after trouble both sides send on the same path.
const AGREED_WITHIN: Duration = Duration::from_secs(12);
/// How soon nothing that was typed is missing: time for a new connection, where QUIC has lost itself in the old one.
const STREAM_WITHIN: Duration = Duration::from_secs(20);
/// How soon a direct path stands, where one can: the longest pause between rounds, and two rounds.
const DIRECT_WITHIN: Duration = Duration::from_secs(75);
/// How long a calm that is as it should be is watched.
const WATCHED: Duration = Duration::from_secs(3);
/// Candidates of a peer, its public address, and predicted ports.
const TARGETS_MAX: usize = 33;
/// Punches that a side sends in a second: two rounds, each with those that only open its own NAT.
const PUNCHES_A_SECOND: usize = 2 * TARGETS_MAX * (PUNCH_AT.len() + 1);

/// Whether a life has shown all that it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    Done,
}

/// At most so many events in a time.
#[derive(Clone, Debug)]
struct Budget {
    what: &'static str,
    most: usize,
    within: Duration,
    times: VecDeque<Duration>,
}

impl Budget {
    fn new(what: &'static str, most: usize, within: Duration) -> Self {
        Self { what, most, within, times: VecDeque::new() }
    }

    fn spend(&mut self, now: Duration) -> Option<String> {
        self.times.push_back(now);
        while self.times.front().is_some_and(|at| *at + self.within <= now) {
            self.times.pop_front();
        }
        (self.times.len() > self.most).then(|| {
            format!("{} {} in {:?}, {} at most", self.times.len(), self.what, self.within, self.most)
        })
    }
}

#[derive(Clone, Debug)]
struct Budgets {
    punches: Budget,
    opens: Budget,
    rounds: Budget,
    guesses: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            punches: Budget::new("punches", PUNCHES_A_SECOND, Duration::from_secs(1)),
            opens: Budget::new("paths opened", 4 * OPENING_MAX, Duration::from_secs(6)),
            // Each side's candidates are found when it begins a round, and when it answers one.
            rounds: Budget::new("rounds", 2 * 12, 12 * ROUND_GAP),
            guesses: Budget::new("guesses", 4, Duration::from_secs(20)),
        }
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    budgets: [Budgets; 2],
    broken: Option<String>,
    /// When each side's active path became that, and which it is.
    active: [Option<(u32, Duration)>; 2],
    woke: [Duration; 2],
    /// When a side last had no path but one.
    alone: [Duration; 2],
    /// Since when everything is as it should be.
    right_since: Option<Duration>,
    connected: Duration,
}

impl Checks {
    pub(super) fn connected(&mut self, now: Duration) {
        (self.connected, self.active) = (now, [None; 2]);
    }

    pub(super) fn woke(&mut self, side: Side, now: Duration) {
        self.woke[side as usize] = now;
    }

    pub(super) fn punches(&mut self, side: Side, count: usize, now: Duration) {
        for _ in 0..count {
            let broken = self.budgets[side as usize].punches.spend(now);
            self.broken = self.broken.take().or(broken);
        }
    }

    pub(super) fn output(&mut self, side: Side, output: &Output<u32>, now: Duration) {
        let budgets = &mut self.budgets[side as usize];
        let broken = match output {
            Output::Open(_) => budgets.opens.spend(now),
            Output::FindCandidates { .. } => budgets.rounds.spend(now),
            Output::Guess { .. } => budgets.guesses.spend(now),
            Output::Close(_)
            | Output::SetStatus(..)
            | Output::Ping(_)
            | Output::Listen(_)
            | Output::StopListening(_)
            | Output::Punch { .. }
            | Output::StopPunching
            | Output::Stranded
            | Output::Tell(_) => None,
        };
        self.broken = self.broken.take().or_else(|| broken.map(|broken| format!("{side:?}: {broken}")));
    }

    /// Looks at a life after each event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn look(
        &mut self,
        now: Duration,
        nodes: Option<&[Node; 2]>,
        net: &mut Net,
        calm_at: Duration,
    ) -> Result<Verdict, String> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        let mut is_right = false;
        if let Some(nodes) = nodes {
            for side in SIDES {
                if !net.places[side as usize].asleep {
                    self.one_path_is_active(side, &nodes[side as usize], now)?;
                    self.a_dead_path_is_left(side, &nodes[side as usize], now)?;
                }
            }
            is_right = agree(nodes).is_ok() && everything_has_come(nodes);
        }
        let calm = now.checked_sub(calm_at.max(self.connected));
        let Some(calm) = calm.filter(|calm| !calm.is_zero()) else { return Ok(Verdict::GoesOn) };
        self.right_since = if is_right { self.right_since.or(Some(now)) } else { None };
        let Some(nodes) = nodes else {
            let for_long = now.saturating_sub(calm_at) > AGREED_WITHIN * 2;
            return if for_long { Err("no connection in the calm".into()) } else { Ok(Verdict::GoesOn) };
        };
        if !is_right && calm > AGREED_WITHIN {
            // Whatever is under way just now has come a moment later.
            let is_direct_news = calm < DIRECT_WITHIN;
            let why = agree(nodes).err();
            if let Some(why) =
                why.filter(|_| !is_direct_news || self.active_for(now) > Duration::from_secs(2))
            {
                return Err(why);
            }
        }
        if calm > STREAM_WITHIN && !everything_has_come(nodes) {
            return Err("what was typed does not come".into());
        }
        let is_direct = nodes.iter().all(is_direct);
        if calm > DIRECT_WITHIN && !is_direct && net.can_meet(now) {
            let kinds = net.places.each_ref().map(|place| place.kind);
            return Err(format!("{kinds:?} could meet directly and do not"));
        }
        let watched = self.right_since.is_some_and(|since| now - since > WATCHED);
        let has_to_meet = !is_direct && net.can_meet(now);
        Ok(if watched && !has_to_meet { Verdict::Done } else { Verdict::GoesOn })
    }

    /// How long neither side has changed its path.
    fn active_for(&self, now: Duration) -> Duration {
        let newest = self.active.iter().flatten().map(|(_, since)| *since).max();
        newest.map_or(Duration::ZERO, |since| now - since)
    }

    fn one_path_is_active(&mut self, side: Side, node: &Node, now: Duration) -> Result<(), String> {
        let Some((id, _)) = node.core.active() else {
            let stands = node.end.open_paths().any(|(_, path)| path.informed);
            return if stands { Err(format!("{side:?} has a path and uses none")) } else { Ok(()) };
        };
        if !node.end.is_open(id) && node.end.open_paths().any(|(_, path)| path.informed) {
            return Err(format!("{side:?} uses path {id}, which is gone"));
        }
        if self.active[side as usize].is_none_or(|(known, _)| known != id) {
            self.active[side as usize] = Some((id, now));
        }
        let opening = node.end.open_paths().filter(|(_, path)| !path.informed).count();
        if opening > OPENING_MAX + 2 {
            return Err(format!("{side:?} opens {opening} paths at once"));
        }
        Ok(())
    }

    fn a_dead_path_is_left(&mut self, side: Side, node: &Node, now: Duration) -> Result<(), String> {
        let Some((id, since)) = self.active[side as usize] else { return Ok(()) };
        if !node.end.open_paths().any(|(other, path)| other != id && path.informed) {
            self.alone[side as usize] = now;
        }
        let Some(path) = node.end.paths.get(&id) else { return Ok(()) };
        let Some(unanswered) = path.unanswered else { return Ok(()) };
        let rtt = node.end.sample(id).unwrap_or_default().rtt;
        let silence = now.saturating_sub(unanswered.max(since).max(self.woke[side as usize]));
        // The counters show that nothing answers once something more is sent: the viewer types, the host asks for a sign
        // of life now and then.
        let sends_again = if side == Side::Viewer { KEY_EVERY } else { KEEP_ALIVE };
        let limit = dead_after(rtt) + sends_again + 4 * LOOK_EVERY;
        // What was silent for long already is left at the next look, once there is another.
        let may_leave = now - self.alone[side as usize] > 3 * LOOK_EVERY;
        if may_leave && silence > limit {
            return Err(format!("{side:?} stays on path {id}, silent for {silence:?}, limit {limit:?}"));
        }
        Ok(())
    }
}

fn is_direct(node: &Node) -> bool {
    node.core.active().is_some_and(|(_, kind)| kind == PathKind::Direct)
}

fn everything_has_come([viewer, host]: &[Node; 2]) -> bool {
    let (typed, _) = viewer.end.written_and_read();
    let (_, read) = host.end.written_and_read();
    // What was typed a moment ago is under way.
    typed - read <= 8
}

/// Both sides use the same path, QUIC uses it too, and it uses no other.
fn agree(nodes: &[Node; 2]) -> Result<(), String> {
    let active = nodes.each_ref().map(|node| node.core.active());
    if active[0] != active[1] || active[0].is_none() {
        return Err(format!("viewer and host use {active:?}"));
    }
    for (side, node) in SIDES.iter().zip(nodes) {
        let (id, _) = node.core.active().expect("just compared");
        if node.end.data_path() != Some(id) {
            return Err(format!("{side:?} uses {id}, and its QUIC {:?}", node.end.data_path()));
        }
        let available: Vec<u32> = node
            .end
            .open_paths()
            .filter(|(_, path)| path.informed && path.status == PathStatus::Available)
            .map(|(id, _)| id)
            .collect();
        if available != [id] {
            return Err(format!("{side:?} uses {id}, and lets QUIC use {available:?}"));
        }
    }
    Ok(())
}
