//! What of a sent piece the relay has, and when to give up asking. Pure.

use std::time::Duration;

/// First pause after a lost answer.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Lost answers in a row until the stream is given up: about ten seconds of pauses alone, less than the minute after
/// which the relay gives it up.
const FAILURES_MAX: u32 = 9;

/// How much of a piece of `len` bytes that begins at `offset` the relay has by its answer; `None` where the answer
/// names an offset outside of the piece, which no honest relay does.
pub(super) fn taken(offset: u64, len: usize, answer: &[u8]) -> Option<usize> {
    let reached: u64 = std::str::from_utf8(answer).ok()?.trim().parse().ok()?;
    let taken = usize::try_from(reached.checked_sub(offset)?).ok()?;
    (taken <= len).then_some(taken)
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// The pause before the next attempt; `None` when there should be none.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        self.0 += 1;
        (self.0 <= FAILURES_MAX).then(|| (PAUSE_MIN * 2u32.pow(self.0 - 1)).min(PAUSE_MAX))
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_of_the_piece_has_arrived() {
        assert_eq!(taken(10, 5, b"15"), Some(5));
        assert_eq!(taken(10, 5, b"12\n"), Some(2));
        assert_eq!(taken(10, 5, b"10"), Some(0));
        for wrong in ["9", "16", "", "-1", "many", "99999999999999999999999"] {
            assert_eq!(taken(10, 5, wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut failures = Failures::default();
        let pauses: Vec<_> = std::iter::from_fn(|| failures.pause()).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.is_sorted() && pauses.iter().sum::<Duration>() < Duration::from_secs(20));
        failures.reset();
        assert_eq!(failures.pause(), Some(PAUSE_MIN));
    }
}
