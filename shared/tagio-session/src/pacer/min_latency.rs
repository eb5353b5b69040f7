//! The shortest way there and back: what is longer than it was spent in queues.

use std::time::{Duration, Instant};

/// How long a minimum is believed without anything that comes near it. Paths change without a word.
const BELIEVED_FOR: Duration = Duration::from_secs(10);

/// And one that has just grown.
const LONGER_BELIEVED_FOR: Duration = Duration::from_secs(1);

/// How many updates have to be late before the way counts as longer: any one may have been held up.
const DOUBTS: u32 = 4;

/// A latency up to 1/8 over the minimum confirms it.
const CONFIRMS_DIVISOR: u32 = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct MinLatency {
    value: Duration,
    confirmed_at: Instant,
    /// QUIC's newest word: small packets, so without the time that a large update itself takes.
    path_rtt: Duration,
    doubts: Doubts,
}

impl MinLatency {
    pub(super) fn new(path_rtt: Duration, now: Instant) -> Self {
        Self { value: path_rtt, confirmed_at: now, path_rtt, doubts: Doubts::default() }
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
        self.observe(rtt, Duration::ZERO, idle, now);
    }

    /// An update and its acknowledgement took `latency`, `carrying` of it for its own bytes as far as the rate of the
    /// link is known; `alone` if nothing else was on the way.
    pub(super) fn observe(&mut self, latency: Duration, carrying: Duration, alone: bool, now: Instant) {
        let confirmed = latency <= self.value + self.value / CONFIRMS_DIVISOR;
        if confirmed {
            self.value = self.value.min(latency);
            (self.confirmed_at, self.doubts) = (now, Doubts::default());
        } else if alone && self.is_stale(now) {
            // A thin link takes long for an update that is alone, too: that is no distance.
            self.doubts.add(latency.saturating_sub(carrying));
            if let Some(way) = self.doubts.settled() {
                self.settle(way, now);
            }
        }
    }

    fn settle(&mut self, way: Duration, now: Instant) {
        let way = way.max(self.value).min(self.path_rtt.max(self.value));
        let is_longer = way > self.value + self.value / CONFIRMS_DIVISOR;
        // The rate was measured with the wrong way in mind: soon it is known better, and so is the way.
        let believed_for = if is_longer { LONGER_BELIEVED_FOR } else { BELIEVED_FOR };
        self.confirmed_at = now.checked_sub(BELIEVED_FOR - believed_for).unwrap_or(now);
        (self.value, self.doubts) = (way, Doubts::default());
    }
}

/// Ways that look longer than what was believed.
#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    shortest: Option<Duration>,
    count: u32,
}

impl Doubts {
    fn add(&mut self, way: Duration) {
        self.shortest = Some(self.shortest.map_or(way, |shortest| shortest.min(way)));
        self.count += 1;
    }

    /// The shortest, once there are enough: one of them was not held up by anything else.
    fn settled(self) -> Option<Duration> {
        self.shortest.filter(|_| self.count >= DOUBTS)
    }
}
