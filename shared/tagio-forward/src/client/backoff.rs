//! Pauses between attempts: each twice the one before, with some chance, so that clients do not come back as one.

use std::time::Duration;

/// The first pause: a server that restarts is back within a second.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);

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
