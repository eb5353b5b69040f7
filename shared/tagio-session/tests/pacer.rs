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

/// A host, a viewer and the link between them.
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

/// Longest queue that a new update may find before it: the pacer's 20 ms, and what its estimate is off.
const QUEUE_MAX: Duration = Duration::from_millis(30);

/// Updates a second beyond which it does not matter that the link could carry more.
const PLENTY_PER_SECOND: f64 = 100.0;

#[test]
fn a_busy_screen_fills_the_link_and_queues_almost_nothing() {
    let time = Duration::from_secs(20);
    for (bits, rtt) in LINKS {
        for mean in [500, 5_000, 50_000] {
            for varied in [false, true] {
                let mut rng = StdRng::seed_from_u64(1);
                let size = || if varied { rng.random_range(mean / 10..mean * 2) } else { mean };
                let mut run = Run::new(bits, rtt);
                run.warm_up = Duration::from_secs(2);
                run.always_damage(time, size);

                let case = format!("{bits} b/s, {rtt} ms, updates of {mean} bytes, varied: {varied}");
                assert!(run.worst_queue <= QUEUE_MAX, "{case}: {:?} queued", run.worst_queue);
                let per_second = run.sent as f64 / time.as_secs_f64();
                let used = run.utilisation();
                assert!(used >= 0.8 || per_second >= PLENTY_PER_SECOND, "{case}: {used} of the link used");
            }
        }
    }
}

#[test]
fn small_updates_are_never_held_back() {
    let frame = Duration::from_micros(16_667);
    for (bits, rtt) in [(1_000_000_000, 0.2), (100_000_000, 20.0), (20_000_000, 40.0), (20_000_000, 100.0)] {
        let mut rng = StdRng::seed_from_u64(2);
        let mut run = Run::new(bits, rtt);
        // The first update is alone on its way, whatever it is.
        run.frames(Duration::from_secs(1), frame, || 200);
        run.held_back = 0;
        run.frames(Duration::from_secs(20), frame, || rng.random_range(100..2000));
        assert_eq!(run.held_back, 0, "{bits} b/s, {rtt} ms");
    }
}

#[test]
fn letters_that_share_an_acknowledgement_do_not_wait_for_it() {
    let (start, letter) = (Instant::now(), Duration::from_millis(33));
    let mut pacer = Pacer::new(Duration::from_micros(200), start);
    for number in 1..=900 {
        let now = start + letter * number;
        assert!(pacer.may_send(now), "letter {number}");
        pacer.on_sent(number, 90, now);
        if number == 1 || number % 3 == 0 {
            // Decoding takes longer than the way: nothing ever confirms how short that is.
            pacer.on_ack(number, now + Duration::from_millis(2));
        }
    }
}

#[test]
fn a_link_that_slows_down_is_noticed_at_once() {
    let mut run = Run::new(20_000_000, 40.0);
    run.always_damage(Duration::from_secs(5), || 10_000);
    run.link.bytes_per_second = 1_000_000.0 / 8.0;
    // What is in the air by then takes its time: 60 ms of the fast link are 1.2 s of the slow one.
    run.always_damage(Duration::from_secs(3), || 10_000);
    run.worst_queue = Duration::ZERO;
    run.always_damage(Duration::from_secs(10), || 10_000);
    assert!(run.worst_queue <= QUEUE_MAX, "{:?} queued", run.worst_queue);
}

#[test]
fn a_link_that_slows_down_a_thousandfold_gets_little_more() {
    let mut run = Run::new(100_000_000, 1.0);
    run.always_damage(Duration::from_secs(5), || 13_000);
    run.link.bytes_per_second = 64_000.0 / 8.0;
    run.frames(Duration::from_secs(10), Duration::from_millis(100), || 13_000);
    // What was in the air, and what came before an acknowledgement was missed.
    assert!(run.pacer.stats(run.now).flight_bytes <= 4 * 13_000, "{:?}", run.pacer.stats(run.now));
}

#[test]
fn a_thin_link_does_not_pass_for_a_long_way() {
    let mut run = Run::new(64_000, 1.0);
    run.warm_up = Duration::from_secs(5);
    for _ in 0..60 {
        run.always_damage(Duration::from_secs(1), || 2_500);
        // QUIC measures its own queue.
        run.pacer.on_path_rtt(Duration::from_millis(350), run.now);
    }
    assert!(run.worst_queue <= QUEUE_MAX, "{:?} queued", run.worst_queue);
}

#[test]
fn a_link_that_speeds_up_is_used() {
    let mut run = Run::new(1_000_000, 40.0);
    run.always_damage(Duration::from_secs(5), || 10_000);
    run.link.bytes_per_second = 20_000_000.0 / 8.0;
    let before = run.link.busy;
    run.always_damage(Duration::from_secs(10), || 10_000);
    assert!(run.link.busy - before >= Duration::from_secs(8), "{:?}", run.link.busy - before);
}

#[test]
fn a_way_that_gets_longer_is_noticed() {
    let mut run = Run::new(20_000_000, 10.0);
    run.always_damage(Duration::from_secs(5), || 50_000);
    run.link.rtt = Duration::from_millis(150);
    for _ in 0..20 {
        run.pacer.on_path_rtt(run.link.rtt, run.now);
        run.always_damage(Duration::from_secs(1), || 50_000);
    }
    let before = run.link.busy;
    run.always_damage(Duration::from_secs(5), || 50_000);
    assert!(run.link.busy - before >= Duration::from_secs(4), "{:?}", run.link.busy - before);
}

#[test]
fn a_new_path_starts_afresh() {
    let mut run = Run::new(64_000, 300.0);
    run.always_damage(Duration::from_secs(20), || 2_000);
    run.link.bytes_per_second = 100_000_000.0 / 8.0;
    run.link.rtt = Duration::from_millis(5);
    run.pacer.on_path_changed(run.link.rtt, run.now);
    run.frames(Duration::from_secs(1), Duration::from_micros(16_667), || 2_000);
    run.held_back = 0;
    run.frames(Duration::from_secs(5), Duration::from_micros(16_667), || 2_000);
    assert_eq!(run.held_back, 0);
    assert_eq!(run.pacer.stats(run.now).latency_min, run.link.rtt);
}

#[test]
fn a_dead_link_is_not_fed() {
    for (bits, rtt) in LINKS {
        let mut run = Run::new(bits, rtt);
        run.always_damage(Duration::from_secs(10), || 5_000);
        run.acks.clear();
        let carried = run.link.bytes_per_second * (run.link.rtt.as_secs_f64() + 0.02);
        for _ in 0..100_000 {
            run.now += Duration::from_millis(1);
            if run.pacer.may_send(run.now) {
                run.send(5_000);
            }
        }
        let flight = run.pacer.stats(run.now).flight_bytes as f64;
        assert!(flight <= (carried * 1.1).max(32.0 * 1024.0) + 10_000.0, "{bits} b/s, {rtt} ms: {flight}");
    }
}

#[test]
fn one_update_is_always_allowed_and_a_second_waits_for_the_first_word_of_the_link() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Duration::from_millis(10), now);
    assert!(pacer.may_send(now));
    pacer.on_sent(1, 100_000_000, now);
    assert!(!pacer.may_send(now + Duration::from_secs(60)));
    assert_eq!(pacer.next_wakeup(now), None);
    assert!(pacer.on_ack(1, now + Duration::from_secs(60)));
    assert!(pacer.may_send(now + Duration::from_secs(60)));
}

#[test]
fn acknowledgements_are_cumulative_and_lies_are_ignored() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Duration::from_millis(10), now);
    for number in [u32::MAX - 1, u32::MAX, 0, 1] {
        pacer.on_sent(number, 1000, now);
    }
    let later = now + Duration::from_millis(30);
    assert!(!pacer.on_ack(2, later));
    assert!(pacer.on_ack(0, later));
    assert!(!pacer.on_ack(u32::MAX, later));
    let stats = pacer.stats(later);
    assert_eq!((stats.flight_bytes, stats.updates_per_second), (1000, 3));
    assert_eq!(stats.latency, Some(Duration::from_millis(30)));
    assert_eq!(pacer.stats(later + Duration::from_secs(1)).updates_per_second, 0);
}
