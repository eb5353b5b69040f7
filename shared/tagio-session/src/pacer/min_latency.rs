//! The shortest way there and back: what is longer than it was spent in queues.

use std::time::{Duration, Instant};

/// How long a minimum is believed without anything that comes near it. Paths change without a word.
const BELIEVED_FOR: Duration = Duration::from_secs(10);

/// A latency up to 1/8 over the minimum confirms it.
const CONFIRMS_DIVISOR: u32 = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct MinLatency {
    value: Duration,
    confirmed_at: Instant,
    /// QUIC's newest word: small packets, so without the time that a large update itself takes.
    path_rtt: Duration,
}

impl MinLatency {
    pub(super) const fn new(path_rtt: Duration, now: Instant) -> Self {
        Self { value: path_rtt, confirmed_at: now, path_rtt }
    }

    pub(super) const fn value(&self) -> Duration {
        self.value
    }

    /// Whether it has to be measured anew, with nothing else on the way: a queue that never empties would
    /// pass for distance.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now >= self.confirmed_at + BELIEVED_FOR
    }

    /// QUIC has measured the path.
    pub(super) fn observe_path(&mut self, rtt: Duration, idle: bool, now: Instant) {
        self.path_rtt = rtt;
        self.observe(rtt, idle, now);
    }

    /// An update and its acknowledgement took `latency`; `alone` if nothing else was on the way.
    pub(super) fn observe(&mut self, latency: Duration, alone: bool, now: Instant) {
        let confirmed = latency <= self.value + self.value / CONFIRMS_DIVISOR;
        if latency < self.value {
            self.value = latency;
        } else if !confirmed && alone && self.is_stale(now) {
            self.value = latency.min(self.path_rtt);
        } else if !confirmed {
            return;
        }
        self.confirmed_at = now;
    }
}
