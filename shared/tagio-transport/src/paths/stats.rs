//! How a session's paths have fared: for logs, scripts and people. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::selector::{PathKind, Sample};

/// Paths that are remembered: all that may stand at once, or the newest.
const PATHS_KEPT: usize = 8;

/// How a session's paths have fared so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathStats {
    /// From when the connection was begun to its first path.
    pub first: Option<Duration>,
    /// And to the first direct one.
    pub direct: Option<Duration>,
    /// How often the session went on by another path.
    pub switches: u32,
    /// Each path, the oldest first; of many the newest.
    pub paths: Vec<PathFigures>,
}

/// One path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFigures {
    /// How its packets travel.
    pub kind: PathKind,
    /// Whether it still stands.
    pub stands: bool,
    /// Round trip, smoothed.
    pub rtt: Duration,
    /// Datagrams that this side has sent.
    pub sent: u64,
    /// Datagrams that it has received.
    pub received: u64,
    /// QUIC packets of this side that were declared lost.
    pub lost: u64,
}

/// Keeps the figures of paths by QUIC's names for them.
#[derive(Debug)]
pub(super) struct StatsBook<K> {
    first: Option<Duration>,
    direct: Option<Duration>,
    changes: u32,
    paths: BTreeMap<K, PathFigures>,
}

impl<K: Ord + Copy> StatsBook<K> {
    pub(super) fn new() -> Self {
        Self { first: None, direct: None, changes: 0, paths: BTreeMap::new() }
    }

    /// A path stands, so long after the connection was begun.
    pub(super) fn established(&mut self, id: K, kind: PathKind, after: Duration) {
        self.first.get_or_insert(after);
        if kind == PathKind::Direct {
            self.direct.get_or_insert(after);
        }
        let fresh = PathFigures { kind, stands: true, rtt: Duration::ZERO, sent: 0, received: 0, lost: 0 };
        self.paths.insert(id, fresh);
        if self.paths.len() > PATHS_KEPT {
            self.paths.pop_first();
        }
    }

    /// Another path is in use; the first one is, too, at the beginning.
    pub(super) fn changed(&mut self) {
        self.changes += 1;
    }

    pub(super) fn note(&mut self, id: K, sample: &Sample) {
        if let Some(path) = self.paths.get_mut(&id) {
            let Sample { sent, received, lost, rtt } = *sample;
            *path = PathFigures { sent, received, lost, rtt, ..*path };
        }
    }

    pub(super) fn gone(&mut self, id: K) {
        if let Some(path) = self.paths.get_mut(&id) {
            path.stands = false;
        }
    }

    pub(super) fn stats(&self) -> PathStats {
        PathStats {
            first: self.first,
            direct: self.direct,
            switches: self.changes.saturating_sub(1),
            paths: self.paths.values().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_counts_is_when_the_first_of_a_kind_stood_and_how_often_another_was_used() {
        let mut book = StatsBook::new();
        book.established(0, PathKind::Relay, 80 * MS);
        book.changed();
        book.established(1, PathKind::Direct, 300 * MS);
        book.changed();
        book.note(1, &Sample { sent: 9, received: 7, lost: 2, rtt: 20 * MS });
        book.gone(1);
        book.changed();
        book.established(2, PathKind::Direct, 900 * MS);
        let stats = book.stats();
        assert_eq!((stats.first, stats.direct, stats.switches), (Some(80 * MS), Some(300 * MS), 2));
        let gone = PathFigures {
            kind: PathKind::Direct,
            stands: false,
            rtt: 20 * MS,
            sent: 9,
            received: 7,
            lost: 2,
        };
        assert_eq!(stats.paths[1], gone);
    }

    #[test]
    fn of_many_paths_the_newest_are_kept() {
        let mut book = StatsBook::new();
        (0..100).for_each(|id| book.established(id, PathKind::Relay, MS * id));
        assert_eq!(book.stats().paths.len(), PATHS_KEPT);
        assert_eq!(book.stats().first, Some(Duration::ZERO));
    }
}
