//! The pacer on links from a modem to a local network, with a virtual clock.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_session::pacer::Pacer;

/// What the viewer takes to decode an update.
const DECODE: Duration = Duration::from_millis(2);

/// One bottleneck with an endless queue, and a way of `rtt` there and back.
struct Link {
    bytes_per_second: f64,
    rtt: Duration,
    free_at: Instant,
    busy: Duration,
}

impl Link {
    fn new(bits_per_second: u32, rtt_ms: f64, now: Instant) -> Self {
        let rtt = Duration::from_secs_f64(rtt_ms / 1e3);
        Self { bytes_per_second: f64::from(bits_per_second) / 8.0, rtt, free_at: now, busy: Duration::ZERO }
    }

    fn queued(&self, now: Instant) -> Duration {
        self.free_at.saturating_duration_since(now)
    }

    /// When the acknowledgement is back.
    fn send(&mut self, bytes: usize, now: Instant) -> Instant {
        let service = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        self.free_at = self.free_at.max(now) + service;
        self.busy += service;
        self.free_at + self.rtt + DECODE
    }
}

/// A host whose screen changes at every `frame_every`, or all the time.
struct Run {
    start: Instant,
    now: Instant,
    link: Link,
    pacer: Pacer,
    acks: VecDeque<(Instant, u32)>,
    next_number: u32,
    /// Longest queue in the link that an update found before it, after the warm-up.
    worst_queue: Duration,
    sent: usize,
    held_back: usize,
    warm_up: Duration,
}

impl Run {
    fn new(bits_per_second: u32, rtt_ms: f64) -> Self {
        let start = Instant::now();
        let link = Link::new(bits_per_second, rtt_ms, start);
        let pacer = Pacer::new(link.rtt, start);
        Self {
            start,
            now: start,
            link,
            pacer,
            acks: VecDeque::new(),
            // So that the numbers wrap around on the way.
            next_number: u32::MAX - 20,
            worst_queue: Duration::ZERO,
            sent: 0,
            held_back: 0,
            warm_up: Duration::ZERO,
        }
    }

    fn send(&mut self, bytes: usize) {
        if self.now >= self.start + self.warm_up {
            self.worst_queue = self.worst_queue.max(self.link.queued(self.now));
        }
        self.pacer.on_sent(self.next_number, bytes, self.now);
        self.acks.push_back((self.link.send(bytes, self.now), self.next_number));
        self.next_number = self.next_number.wrapping_add(1);
        self.sent += 1;
    }

    /// Goes to `then`, with the acknowledgements on the way.
    fn advance(&mut self, then: Instant) {
        self.now = then;
        while self.acks.front().is_some_and(|(at, _)| *at <= then) {
            let (at, number) = self.acks.pop_front().unwrap();
            assert!(self.pacer.on_ack(number, at));
        }
    }

    /// Sends whenever the pacer allows it.
    fn always_damage(&mut self, time: Duration, mut size: impl FnMut() -> usize) {
        let end = self.now + time;
        while self.now < end {
            while self.pacer.may_send(self.now) {
                self.send(size());
            }
            let ack = self.acks.front().map(|(at, _)| *at);
            let next = ack.into_iter().chain(self.pacer.next_wakeup(self.now)).min().unwrap();
            assert!(next > self.now, "the pacer sleeps and does not let send");
            self.advance(next);
        }
    }

    /// Wants to send one update at every `every`.
    fn frames(&mut self, time: Duration, every: Duration, mut size: impl FnMut() -> usize) {
        let end = self.now + time;
        while self.now < end {
            if self.pacer.may_send(self.now) {
                self.send(size());
            } else {
                self.held_back += 1;
            }
            self.advance(self.now + every);
        }
    }

    fn utilisation(&self) -> f64 {
        self.link.busy.as_secs_f64() / (self.now - self.start).as_secs_f64()
    }
}

const LINKS: [(u32, f64); 6] = [
    (64_000, 50.0),
    (64_000, 300.0),
    (1_000_000, 100.0),
    (20_000_000, 40.0),
    (100_000_000, 200.0),
    (1_000_000_000, 0.2),
];

#[test]
fn a_busy_screen_fills_the_link_and_queues_almost_nothing() {
    for (bits, rtt) in LINKS {
        for mean in [1_000, 20_000, 200_000] {
            for varied in [false, true] {
                let mut rng = StdRng::seed_from_u64(1);
                let size = || if varied { rng.random_range(mean / 10..mean * 2) } else { mean };
                let mut run = Run::new(bits, rtt);
                run.warm_up = Duration::from_secs(2);
                run.always_damage(Duration::from_secs(60), size);
                println!(
                    "{bits:>10} {rtt:>5} {mean:>6} {varied:>5}: queue {:?} use {:.3} {:?}",
                    run.worst_queue,
                    run.utilisation(),
                    run.pacer.stats(run.now)
                );
            }
        }
    }
}

#[test]
fn small_updates_are_never_held_back() {
    for (bits, rtt) in [(1_000_000_000, 0.2), (100_000_000, 20.0), (20_000_000, 40.0), (20_000_000, 100.0)] {
        let mut rng = StdRng::seed_from_u64(2);
        let mut run = Run::new(bits, rtt);
        run.frames(Duration::from_secs(1), Duration::from_micros(16_667), || 200);
        run.held_back = 0;
        run.frames(Duration::from_secs(20), Duration::from_micros(16_667), || rng.random_range(100..2000));
        println!("{bits} {rtt}: {} held {}", run.sent, run.held_back);
    }
}
