//! Pauses between attempts: each twice the one before, with some chance, so that clients do not come back as one.

use std::time::Duration;

/// The first pause: a relay that restarts is back within a second.
const FIRST: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next pause; `chance` is any number, and makes it up to a quarter shorter or longer.
    pub(super) fn next(&mut self, chance: u8) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause.mul_f64(0.75 + f64::from(chance) / 512.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_attempts_fall_into_five_seconds_and_pauses_stay_below_half_a_minute() {
        let mut backoff = Backoff::default();
        assert!((0..4).map(|_| backoff.next(255)).sum::<Duration>() < Duration::from_secs(5));
        for _ in 0..20 {
            backoff.next(0);
        }
        assert!((15..=25).contains(&backoff.next(0).as_secs()));
    }
}
