//! Changes that follow each other closely.

use std::time::{Duration, Instant};

/// How long something must keep changing before it counts. With what follows it, a film is one within 300 ms.
const PROOF: Duration = Duration::from_millis(220);
/// Fewest changes of a proof.
const CHANGES_MIN: u32 = 3;

/// How often something has to change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    gap_max: Duration,
}

impl Pace {
    /// At least so many changes a second, give or take a quarter: frames come when they come.
    pub(super) fn new(changes_per_second: u32) -> Self {
        Self { gap_max: Duration::from_millis(1250 / u64::from(changes_per_second.max(1))) }
    }

    /// Longest time between two changes.
    pub(super) fn gap_max(self) -> Duration {
        self.gap_max
    }
}

/// Changes none of which came too late after the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streak {
    times: Option<(Instant, Instant)>,
    changes: u32,
}

impl Streak {
    /// No change yet.
    pub(super) const NONE: Self = Self { times: None, changes: 0 };

    /// It changed.
    pub(super) fn beat(&mut self, now: Instant, pace: Pace) {
        match &mut self.times {
            Some((_, last)) if now.saturating_duration_since(*last) <= pace.gap_max => {
                self.changes += u32::from(now > *last);
                *last = now;
            }
            times => {
                *times = Some((now, now));
                self.changes = 1;
            }
        }
    }

    /// Changes so far.
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// First change.
    pub(super) fn start(&self) -> Option<Instant> {
        self.times.map(|(start, _)| start)
    }

    /// Last change.
    pub(super) fn last(&self) -> Option<Instant> {
        self.times.map(|(_, last)| last)
    }

    /// Whether it has lasted long enough, counted from `since` if that is later, and has not ended.
    pub(super) fn is_lively(&self, since: Option<Instant>, now: Instant, pace: Pace) -> bool {
        self.times.is_some_and(|(start, last)| {
            let start = since.map_or(start, |since| since.max(start));
            self.changes >= CHANGES_MIN
                && last.saturating_duration_since(start) >= PROOF
                && now.saturating_duration_since(last) <= pace.gap_max
        })
    }
}
