//! Tells from the clocks that the machine slept. Pure: the clocks are handed in.

use std::time::{Duration, Instant, SystemTime};

/// A look that comes so much later than the one before: nothing that is awake is kept waiting for so long, and no
/// connection suffers from a shorter sleep.
const SLEEP_MIN: Duration = Duration::from_secs(4);

/// Compares each look with the one before.
///
/// Two clocks, because systems disagree: on Linux and macOS the monotonic clock stands still in a sleep, on Windows it
/// goes on. A wall clock that is set forward counts as a sleep too, which costs a few questions.
#[derive(Debug)]
pub(super) struct SleepWatch {
    monotonic: Instant,
    wall: SystemTime,
}

impl SleepWatch {
    pub(super) fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// Whether there was a sleep since the last look. Looks have to be about a second apart.
    pub(super) fn has_slept(&mut self, monotonic: Instant, wall: SystemTime) -> bool {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        // A clock that was set back tells nothing.
        let on_the_wall = wall.duration_since(self.wall).unwrap_or_default();
        (self.monotonic, self.wall) = (monotonic, wall);
        passed.max(on_the_wall) >= SLEEP_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sleep_shows_on_either_clock_and_once() {
        let (start, wall) = (Instant::now(), SystemTime::now());
        let mut watch = SleepWatch::new(start, wall);
        assert!(!watch.has_slept(start + SECOND, wall + SECOND));
        assert!(watch.has_slept(start + 2 * SECOND, wall + 60 * SECOND), "the monotonic clock stood still");
        assert!(!watch.has_slept(start + 3 * SECOND, wall + 61 * SECOND));
        assert!(watch.has_slept(start + 63 * SECOND, wall + 61 * SECOND), "the wall clock was set back");
        assert!(!watch.has_slept(start + 64 * SECOND, wall));
    }
}
