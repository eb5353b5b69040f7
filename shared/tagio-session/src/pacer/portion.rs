//! How large one update may be: what comes after it waits until it has been carried.

use std::time::Duration;

/// How long the link may take for one update, so that something small never waits for much longer than this.
const CARRY_MAX: Duration = Duration::from_millis(50);
/// Smallest bound: below it, what every update costs is most of it.
const BYTES_MIN: u64 = 2 * 1024;
/// Bound of the first update, while nothing is known: most first pictures fit.
const BYTES_FIRST: u64 = 256 * 1024;

/// The largest portion that the link has shown to carry in time.
///
/// A rate alone does not tell: a link that takes the first few kilobytes at once looks fast for as long as updates
/// are letters, and then a photograph blocks it for a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    proven: u64,
}

impl Default for Portion {
    fn default() -> Self {
        Self { proven: BYTES_FIRST / 2 }
    }
}

impl Portion {
    /// The link was busy with an update of so many bytes for `service`.
    pub(super) fn observe(&mut self, bytes: u64, service: Duration) {
        if service <= CARRY_MAX {
            self.proven = self.proven.max(bytes);
        } else if bytes >= BYTES_MIN {
            // Something smaller was late for another reason: a lost packet, a busy viewer.
            let in_time = bytes as f64 * CARRY_MAX.as_secs_f64() / service.as_secs_f64();
            self.proven = self.proven.min((in_time as u64).max(BYTES_MIN / 2));
        }
    }

    /// Most bytes of the next update, on a link of this rate: at most twice what has been proven.
    pub(super) fn bytes_max(self, bytes_per_second: Option<f64>) -> u64 {
        let carried = bytes_per_second.map_or(u64::MAX, |rate| (rate * CARRY_MAX.as_secs_f64()) as u64);
        carried.min(self.proven.saturating_mul(2)).max(BYTES_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_doubles_while_the_link_keeps_up_and_shrinks_at_once_when_not() {
        let mut portion = Portion::default();
        assert_eq!(portion.bytes_max(None), BYTES_FIRST);
        portion.observe(256 * 1024, 10 * MS);
        assert_eq!(portion.bytes_max(Some(1e9)), 512 * 1024);
        portion.observe(512 * 1024, 5000 * MS);
        assert_eq!(portion.bytes_max(Some(1e9)), 2 * (512 * 1024 / 100));
    }

    #[test]
    fn letters_that_a_slow_link_swallows_prove_nothing() {
        let mut portion = Portion::default();
        portion.observe(30 * 1024, 4000 * MS);
        for _ in 0..100 {
            portion.observe(150, MS);
        }
        assert_eq!(portion.bytes_max(Some(1e6)), BYTES_MIN);
    }

    #[test]
    fn a_late_letter_says_nothing_about_large_updates() {
        let mut portion = Portion::default();
        portion.observe(150, 200 * MS);
        assert_eq!(portion.bytes_max(None), BYTES_FIRST);
    }

    #[test]
    fn the_rate_bounds_it_too() {
        assert_eq!(Portion::default().bytes_max(Some(400_000.0)), 20_000);
        assert_eq!(Portion::default().bytes_max(Some(1.0)), BYTES_MIN);
    }
}
