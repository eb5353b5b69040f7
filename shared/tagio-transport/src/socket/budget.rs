//! How many packets this process sends to addresses that only a peer's word speaks for.

use std::time::{Duration, Instant};

/// Packets in [`TIME`]: four runs of the birthday method.
const PACKETS: usize = 4 * 3072;
const TIME: Duration = Duration::from_secs(60);

/// What was spent lately.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    began: Option<Instant>,
    spent: usize,
}

impl Budget {
    /// Whether so many more are allowed; then they are spent.
    pub(crate) fn take(&mut self, count: usize, now: Instant) -> bool {
        if self.began.is_none_or(|began| now >= began + TIME) {
            *self = Self { began: Some(now), spent: 0 };
        }
        let is_allowed = self.spent + count <= PACKETS;
        self.spent += if is_allowed { count } else { 0 };
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_this_process_send_without_end() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let taken = (0..10 * PACKETS).step_by(8).filter(|_| budget.take(8, start)).count();
        assert_eq!(taken, PACKETS / 8);
        assert!(budget.take(8, start + TIME));
    }
}
