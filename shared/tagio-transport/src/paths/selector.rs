//! Decides which path carries a session, and when a path is dead. Pure: fed with events and counters.
//!
//! Exactly one path is active. A direct path beats the relay's as soon as it stands. The active path is
//! dead when something was sent on it and nothing has come back for [`dead_after`]; it is then *closed*,
//! not only left, because QUIC sends what was in flight again only once a path is gone.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How a path's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// From peer to peer.
    Direct,
    /// Through the relay.
    Relay,
}

/// Which side of a session this is: the viewer opens paths and chooses, the host follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Chooses.
    Viewer,
    /// Follows.
    Host,
}

/// Silence that no live path shows, however short its round trip: longer than a busy machine keeps a
/// thread waiting, and short enough for the picture to move again within half a second of a cut.
const DEAD_AFTER_MIN: Duration = Duration::from_millis(250);
/// A gap between two looks that is longer than this is this machine's own doing, not the path's.
pub(super) const OWN_GAP: Duration = Duration::from_millis(120);

/// Counters of a path at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) rtt: Duration,
}

/// What is to be done to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<K> {
    /// Send on this one from now on, and on no other.
    Prefer(K),
    /// Ask for a sign of life.
    Ping(K),
    /// Give it up.
    Close(K),
}

#[derive(Debug)]
struct Path {
    kind: PathKind,
    last: Sample,
    /// Since when something is on its way with nothing back.
    unanswered: Option<Instant>,
    pinged: bool,
}

/// The paths of one connection, by `K`.
#[derive(Debug)]
pub(crate) struct Selector<K> {
    side: Side,
    paths: BTreeMap<K, Path>,
    active: Option<K>,
    looked: Option<Instant>,
}

/// How long the active path may keep silent before it counts as dead.
pub(super) fn dead_after(rtt: Duration) -> Duration {
    DEAD_AFTER_MIN.max(rtt * 2 + Duration::from_millis(50))
}

impl<K: Ord + Copy> Selector<K> {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, paths: BTreeMap::new(), active: None, looked: None }
    }

    /// The path in use and its kind.
    pub(crate) fn active(&self) -> Option<(K, PathKind)> {
        let id = self.active?;
        Some((id, self.paths.get(&id)?.kind))
    }

    pub(crate) fn has(&self, kind: PathKind) -> bool {
        self.paths.values().any(|path| path.kind == kind)
    }

    /// Every path that stands.
    pub(crate) fn all(&self) -> Vec<K> {
        self.paths.keys().copied().collect()
    }

    /// A path stands.
    pub(crate) fn established(&mut self, id: K, kind: PathKind) -> Option<Action<K>> {
        let better = match self.active() {
            None => true,
            Some((_, PathKind::Relay)) => kind == PathKind::Direct && self.side == Side::Viewer,
            Some((_, PathKind::Direct)) => false,
        };
        let spare = kind == PathKind::Direct && self.side == Side::Viewer && self.has(PathKind::Direct);
        if spare {
            return Some(Action::Close(id));
        }
        self.paths.insert(id, Path { kind, last: Sample::default(), unanswered: None, pinged: false });
        if !better {
            return None;
        }
        self.active = Some(id);
        Some(Action::Prefer(id))
    }

    /// The other side sends on this path from now on.
    pub(crate) fn remote_prefers(&mut self, id: K) -> Option<Action<K>> {
        if self.side == Side::Viewer || !self.paths.contains_key(&id) || self.active == Some(id) {
            return None;
        }
        self.active = Some(id);
        Some(Action::Prefer(id))
    }

    /// A path is gone. Of several through the relay the newest is the likeliest to live.
    pub(crate) fn closed(&mut self, id: K) -> Option<Action<K>> {
        self.paths.remove(&id);
        if self.active != Some(id) {
            return None;
        }
        let direct = self.paths.iter().find(|(_, path)| path.kind == PathKind::Direct);
        self.active = direct.or_else(|| self.paths.iter().next_back()).map(|(id, _)| *id);
        self.active.map(Action::Prefer)
    }

    /// Looks at the active path's counters.
    pub(crate) fn look(&mut self, now: Instant, sample: Sample) -> Option<Action<K>> {
        let gap = self.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        self.looked = Some(now);
        let id = self.active?;
        let alone = self.paths.len() < 2;
        let path = self.paths.get_mut(&id)?;
        let before = std::mem::replace(&mut path.last, sample);
        if sample.received != before.received {
            (path.unanswered, path.pinged) = (None, false);
        }
        if sample.sent != before.sent && path.unanswered.is_none() && sample.received == before.received {
            path.unanswered = Some(now);
        }
        if gap > OWN_GAP {
            path.unanswered = path.unanswered.map(|since| (since + gap).min(now));
        }
        let silence = now.saturating_duration_since(path.unanswered?);
        let limit = dead_after(sample.rtt);
        if silence >= limit && !alone {
            return Some(Action::Close(id));
        }
        if silence >= limit / 3 && !path.pinged {
            path.pinged = true;
            return Some(Action::Ping(id));
        }
        None
    }

    /// A path's counters when it was looked at last.
    pub(super) fn last(&self, id: K) -> Option<Sample> {
        self.paths.get(&id).map(|path| path.last)
    }

    /// When the active path counts as dead if nothing comes back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let path = self.paths.get(&self.active?)?;
        Some(path.unanswered? + dead_after(path.last.rtt))
    }

    /// How long nothing has come back on the active path.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        let unanswered = self.active.and_then(|id| self.paths.get(&id)?.unanswered);
        unanswered.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sample(sent: u64, received: u64) -> Sample {
        Sample { sent, received, lost: 0, rtt: MS }
    }

    /// A viewer with relay path 0 and direct path 1, the direct one active.
    fn upgraded() -> Selector<u32> {
        let mut selector = Selector::new(Side::Viewer);
        assert_eq!(selector.established(0, PathKind::Relay), Some(Action::Prefer(0)));
        assert_eq!(selector.established(1, PathKind::Direct), Some(Action::Prefer(1)));
        selector
    }

    #[test]
    fn a_direct_path_takes_over_from_the_relay_and_a_second_one_is_closed() {
        let mut selector = upgraded();
        assert_eq!(selector.active(), Some((1, PathKind::Direct)));
        assert_eq!(selector.established(2, PathKind::Direct), Some(Action::Close(2)));
        assert_eq!(selector.active(), Some((1, PathKind::Direct)));
    }

    #[test]
    fn the_host_follows_the_viewers_choice() {
        let mut selector = Selector::new(Side::Host);
        selector.established(0, PathKind::Relay);
        assert_eq!(selector.established(1, PathKind::Direct), None);
        assert_eq!(selector.remote_prefers(1), Some(Action::Prefer(1)));
        assert_eq!(selector.remote_prefers(7), None, "a path that does not exist");
    }

    #[test]
    fn a_path_that_swallows_what_is_sent_is_pinged_and_then_closed() {
        let mut selector = upgraded();
        let start = Instant::now();
        assert_eq!(selector.look(start, sample(10, 10)), None);
        assert_eq!(selector.look(start + 50 * MS, sample(12, 10)), None);
        assert_eq!(selector.look(start + 100 * MS, sample(13, 10)), None);
        assert_eq!(selector.look(start + 150 * MS, sample(13, 10)), Some(Action::Ping(1)));
        assert_eq!(selector.look(start + 250 * MS, sample(14, 10)), None);
        assert_eq!(selector.look(start + 300 * MS, sample(14, 10)), Some(Action::Close(1)));
        assert_eq!(selector.closed(1), Some(Action::Prefer(0)), "back to the relay");
    }

    #[test]
    fn an_idle_path_and_one_that_answers_live_on() {
        let mut selector = upgraded();
        let start = Instant::now();
        selector.look(start, sample(10, 10));
        for i in 1..100u32 {
            assert_eq!(selector.look(start + 50 * MS * i, sample(10, 10)), None, "idle");
        }
        for i in 100..200u32 {
            let n = u64::from(i);
            assert_eq!(selector.look(start + 50 * MS * i, sample(n, n)), None, "busy");
        }
    }

    #[test]
    fn the_only_path_is_never_closed() {
        let mut selector = Selector::new(Side::Viewer);
        selector.established(0, PathKind::Direct);
        let start = Instant::now();
        selector.look(start, sample(1, 1));
        let acted =
            (1..100u32).filter_map(|i| selector.look(start + 50 * MS * i, sample(u64::from(i) + 1, 1)));
        assert!(acted.into_iter().all(|action| action == Action::Ping(0)));
    }

    #[test]
    fn a_machine_that_slept_does_not_blame_the_path() {
        let mut selector = upgraded();
        let start = Instant::now();
        selector.look(start, sample(10, 10));
        selector.look(start + 50 * MS, sample(11, 10));
        let woke = start + Duration::from_secs(3600);
        assert_ne!(selector.look(woke, sample(11, 10)), Some(Action::Close(1)));
        assert_eq!(selector.look(woke + 50 * MS, sample(12, 11)), None);
    }

    #[test]
    fn a_slow_path_gets_the_time_of_two_round_trips() {
        let mut selector = upgraded();
        let slow = |sent, received| Sample { sent, received, lost: 0, rtt: 300 * MS };
        let start = Instant::now();
        selector.look(start, slow(10, 10));
        selector.look(start + 50 * MS, slow(11, 10));
        for i in 2..14u32 {
            assert_ne!(selector.look(start + 50 * MS * i, slow(12, 10)), Some(Action::Close(1)));
        }
        assert_eq!(selector.look(start + 700 * MS, slow(12, 10)), Some(Action::Close(1)));
    }
}
