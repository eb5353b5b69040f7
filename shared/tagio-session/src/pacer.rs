//! When to encode the next picture for a viewer: as soon as its link is about to run dry, never sooner.
//!
//! Every update is acknowledged when it is decoded. From that follow how long the way is and how fast the
//! link carries, and so when the link will have carried what was handed to it. The next update is encoded
//! some milliseconds before that: what is on the screen by then goes, what was on it in between never costs
//! a byte. No probing, no rate to agree on; a link that gets slower shows at the next acknowledgement.

mod link;
mod min_latency;
mod portion;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tagio_wire::picture::UpdateNumber;

use link::{LinkRate, service_rate};
use min_latency::MinLatency;
use portion::Portion;

/// How much of the link's time may still be queued when the next update is encoded: covers the encoding and
/// the jitter of timers, so that the link never waits for the host.
const QUEUE_TARGET: Duration = Duration::from_millis(20);

/// Unacknowledged bytes that are always fine on a link that carries them in [`FLOOR_TIME`]: small updates
/// tell little about the rate of a fast link, and must not be held back by it.
const FLIGHT_FLOOR_BYTES: u64 = 32 * 1024;

/// See [`FLIGHT_FLOOR_BYTES`].
const FLOOR_TIME: Duration = Duration::from_millis(250);

/// What fits a packet and is carried soon is no queue that has to be emptied for a measurement: letters share
/// acknowledgements, and must not wait for one.
const PACKET_BYTES: u64 = 1200;

/// Busy time that the rate of the link remembers: long enough to even out the viewer's decoding, short enough to follow
/// a mobile link.
const RATE_MEMORY: Duration = Duration::from_millis(250);

/// And where it tells distance from queues: long enough for a link that takes its bytes in gulps.
const STEADY_RATE_MEMORY: Duration = Duration::from_secs(5);

/// How much later than predicted an acknowledgement may come before the prediction counts as wrong: the link has become
/// slow or has stalled, and more would only queue up. On top of [`OVERDUE_WAYS`].
const OVERDUE: Duration = Duration::from_millis(50);

/// A lost packet is sent again after little more than one way there and back.
const OVERDUE_WAYS: f64 = 1.5;

/// Most updates in flight: half a second of 60 a second, and a bound for this bookkeeping.
const FLIGHT_UPDATES_MAX: usize = 32;

/// Most bytes in flight: a gigabit's way around the world does not need more.
const FLIGHT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How long an update shows in QUIC's measure of the round trip, as the queue that it was.
const PATH_RTT_MEMORY: Duration = Duration::from_secs(1);

/// Window of [`PacerStats::updates_per_second`].
const RATE_WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: UpdateNumber,
    bytes: u64,
    at: Instant,
}

/// What a pacer knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacerStats {
    /// Updates acknowledged in the last second.
    pub updates_per_second: usize,
    /// From handing over to acknowledgement, of the newest acknowledged update.
    pub latency: Option<Duration>,
    /// The shortest way there and back that was seen lately.
    pub latency_min: Duration,
    /// How fast the link carries, if an acknowledgement has told it.
    pub bytes_per_second: Option<f64>,
    /// Not yet acknowledged.
    pub flight_bytes: u64,
}

/// Paces the picture of one viewer.
#[derive(Debug)]
pub struct Pacer {
    /// Oldest first.
    flight: VecDeque<Sent>,
    flight_bytes: u64,
    min_latency: MinLatency,
    rate: LinkRate,
    /// As it was while the way was certain.
    steady_rate: LinkRate,
    portion: Portion,
    /// When the link will have carried all that was handed to it.
    link_free_at: Instant,
    last_ack_at: Option<Instant>,
    latency: Option<Duration>,
    recent_acks: VecDeque<(Instant, usize)>,
}

impl Pacer {
    /// A pacer for a path whose round trip QUIC has measured: that tells a long way from a thin pipe before
    /// the first acknowledgement.
    pub fn new(path_rtt: Duration, now: Instant) -> Self {
        Self {
            flight: VecDeque::new(),
            flight_bytes: 0,
            min_latency: MinLatency::new(path_rtt, now),
            rate: LinkRate::new(RATE_MEMORY),
            steady_rate: LinkRate::new(STEADY_RATE_MEMORY),
            portion: Portion::default(),
            link_free_at: now,
            last_ack_at: None,
            latency: None,
            recent_acks: VecDeque::new(),
        }
    }

    /// QUIC's newest measure of the round trip; about once a second.
    pub fn on_path_rtt(&mut self, rtt: Duration, now: Instant) {
        let was_busy = self.last_ack_at.is_some_and(|at| now < at + PATH_RTT_MEMORY);
        self.min_latency.observe_path(rtt, self.flight.is_empty() && !was_busy, now);
    }

    /// The session moved to another path.
    pub fn on_path_changed(&mut self, path_rtt: Duration, now: Instant) {
        self.min_latency = MinLatency::new(path_rtt, now);
        self.rate = LinkRate::new(RATE_MEMORY);
        self.steady_rate = LinkRate::new(STEADY_RATE_MEMORY);
        self.portion = Portion::default();
        self.predict_link();
    }

    /// An update was handed to the connection.
    pub fn on_sent(&mut self, number: UpdateNumber, bytes: usize, now: Instant) {
        let sent = Sent { number, bytes: bytes as u64, at: now };
        self.link_free_at = self.link_free_at.max(now) + self.rate.time_for(sent.bytes);
        self.flight_bytes += sent.bytes;
        self.flight.push_back(sent);
    }

    /// The viewer has decoded `number` and all before it. Whether that was news; a number that was never
    /// sent is none.
    pub fn on_ack(&mut self, number: UpdateNumber, now: Instant) -> bool {
        let Some(index) = self.flight.iter().position(|sent| sent.number == number) else { return false };
        let first = self.flight[0];
        let acked: Vec<Sent> = self.flight.drain(..=index).collect();
        let bytes: u64 = acked.iter().map(|sent| sent.bytes).sum();
        self.flight_bytes -= bytes;

        let newest = acked[index];
        let latency = now.saturating_duration_since(newest.at);
        // What follows at once shares its packets, and so its time.
        let was_alone = self.flight.is_empty() && self.last_ack_at.is_none_or(|last| last <= first.at);
        self.min_latency.observe(latency, self.steady_rate.time_for(newest.bytes), was_alone, now);
        self.latency = Some(latency);

        let (bytes, service, behind) = self.busy(&acked, now);
        self.rate.observe(bytes, service, behind);
        if !self.min_latency.is_stale(now) {
            self.steady_rate.observe(bytes, service, behind);
        }
        self.portion.observe(bytes, service);
        self.last_ack_at = Some(now);
        self.predict_link();

        self.recent_acks.push_back((now, acked.len()));
        self.forget_old_acks(now);
        true
    }

    /// Whether the next update may be encoded.
    pub fn may_send(&self, now: Instant) -> bool {
        self.flight.is_empty() || (self.has_room(now) && now + QUEUE_TARGET >= self.link_free_at)
    }

    /// When [`Self::may_send`] turns true without any acknowledgement; `None` if only one can do that.
    pub fn next_wakeup(&self, now: Instant) -> Option<Instant> {
        let opens = self.link_free_at.checked_sub(QUEUE_TARGET).unwrap_or(now);
        (!self.may_send(now) && self.has_room(now)).then(|| opens.max(now))
    }

    /// How fast the link carries, if an acknowledgement has told it.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate.bytes_per_second()
    }

    /// Most bytes of the next update.
    pub fn update_bytes_max(&self) -> usize {
        self.portion.bytes_max(self.rate.bytes_per_second()) as usize
    }

    /// What the pacer knows.
    pub fn stats(&mut self, now: Instant) -> PacerStats {
        self.forget_old_acks(now);
        PacerStats {
            updates_per_second: self.recent_acks.iter().map(|(_, updates)| updates).sum(),
            latency: self.latency,
            latency_min: self.min_latency.value(),
            bytes_per_second: self.rate.bytes_per_second(),
            flight_bytes: self.flight_bytes,
        }
    }

    /// The last bytes of `acked` with which the link was busy without a pause, how long, and whether they waited behind
    /// others: where one acknowledgement is for several updates, nothing else tells the pauses between them.
    fn busy(&self, acked: &[Sent], now: Instant) -> (u64, Duration, bool) {
        let way = self.min_latency.value();
        let mut bytes = 0;
        let runs = acked.iter().rev().map(|first| {
            bytes += first.bytes;
            // The link began with these bytes when they were handed over, or when it was done with those before.
            let arrives = first.at + way;
            let behind = self.last_ack_at.filter(|last| *last > arrives);
            (bytes, now.saturating_duration_since(behind.unwrap_or(arrives)), behind.is_some())
        });
        let rate = |(bytes, service, behind): &(u64, Duration, bool)| service_rate(*bytes, *service, *behind);
        runs.max_by(|a, b| rate(a).total_cmp(&rate(b))).expect("something was acknowledged")
    }

    /// Whether what is in flight leaves room for one more, were the link idle. Without acknowledgements the
    /// prediction alone would go on sending into a link that has stalled or become slow.
    fn has_room(&self, now: Instant) -> bool {
        let (Some(newest), Some(rate)) = (self.flight.back(), self.rate.bytes_per_second()) else {
            return self.flight.is_empty();
        };
        let carried_in = |time: Duration| (rate * time.as_secs_f64()) as u64;
        let is_queue = self.flight_bytes > PACKET_BYTES.min(carried_in(QUEUE_TARGET));
        if is_queue && (self.min_latency.is_stale(now) || self.is_overdue(now)) {
            return false;
        }
        let flight_max = carried_in(self.min_latency.value() + QUEUE_TARGET).saturating_add(newest.bytes);
        let floor = FLIGHT_FLOOR_BYTES.min(carried_in(FLOOR_TIME));
        self.flight_bytes < flight_max.max(floor).min(FLIGHT_BYTES_MAX)
            && self.flight.len() < FLIGHT_UPDATES_MAX
    }

    /// Whether the oldest update in flight should have been acknowledged long ago.
    fn is_overdue(&self, now: Instant) -> bool {
        let Some(oldest) = self.flight.front() else { return false };
        let way = self.min_latency.value();
        let begins = self
            .last_ack_at
            .and_then(|ack| ack.checked_sub(way))
            .map_or(oldest.at, |free| free.max(oldest.at));
        let due = begins + self.rate.time_for(oldest.bytes) + way;
        now > due + way.mul_f64(OVERDUE_WAYS) + OVERDUE
    }

    /// Follows what is in flight through the link, from the last acknowledgement on.
    fn predict_link(&mut self) {
        let way = self.min_latency.value();
        let mut free_at = self.last_ack_at.and_then(|ack| ack.checked_sub(way));
        for sent in &self.flight {
            let begins = free_at.map_or(sent.at, |free_at| free_at.max(sent.at));
            free_at = Some(begins + self.rate.time_for(sent.bytes));
        }
        self.link_free_at = free_at.unwrap_or(self.link_free_at);
    }

    fn forget_old_acks(&mut self, now: Instant) {
        while self.recent_acks.front().is_some_and(|(at, _)| now >= *at + RATE_WINDOW) {
            self.recent_acks.pop_front();
        }
    }
}
