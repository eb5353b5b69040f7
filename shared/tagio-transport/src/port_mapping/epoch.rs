//! Whether a router still remembers, by the age of its tables (RFC 6887, section 8.5). Pure.

use std::time::{Duration, Instant};

/// Clocks tick apart, and answers take time.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The age that a router told last, and when.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    last: Option<(u32, Instant)>,
}

impl Epoch {
    /// Takes note of the first one.
    pub(super) fn begin(&mut self, epoch: u32, now: Instant) {
        self.last.get_or_insert((epoch, now));
    }

    /// Takes note of `epoch`, in seconds. True when it does not follow from the last one: the router has
    /// started anew, or this machine was asleep for long.
    pub(super) fn is_broken_by(&mut self, epoch: u32, now: Instant) -> bool {
        let Some((last, at)) = self.last.replace((epoch, now)) else { return false };
        if epoch.saturating_add(1) < last {
            return true;
        }
        let ours = now.saturating_duration_since(at);
        let theirs = Duration::from_secs(epoch.saturating_sub(last).into());
        ours + TOLERANCE < theirs - theirs / 16 || theirs + TOLERANCE < ours - ours / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_started_anew_is_noticed() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut epoch = Epoch::default();
        assert!(!epoch.is_broken_by(1000, at(0)), "the first one says nothing");
        assert!(!epoch.is_broken_by(1060, at(60)) && !epoch.is_broken_by(1059, at(60)));
        assert!(epoch.is_broken_by(10, at(120)), "it went back");
        assert!(!epoch.is_broken_by(70, at(180)));
        assert!(epoch.is_broken_by(71, at(1180)), "it stood still: another start in between");
        assert!(epoch.is_broken_by(5000, at(1240)), "it leapt");
        assert!(!epoch.is_broken_by(u32::MAX, at(1240 + u64::from(u32::MAX - 5000))));
    }
}
