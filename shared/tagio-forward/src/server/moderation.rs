//! What network cards call interrupt moderation: where targets' datagrams come fast, a thread of the runtime that has
//! nothing to do pauses for a moment before it asks the system again. It then finds many of them, which cost less
//! together. A thread that is always busy finds many anyway, and does not pause.

use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};

/// How long a thread pauses; the system adds about 50 µs. Meanwhile a target that sends a million datagrams a second does
/// not fill its socket's buffer, even the one of 416 KB that Linux gives by itself.
const PAUSE: Duration = Duration::from_micros(100);
/// Datagrams a millisecond from which on they come fast: at fewer, a pause finds none.
const FAST_PER_MS: u128 = 20;
/// The rate is looked at so often.
const WINDOW: Duration = Duration::from_millis(1);

thread_local! {
    static PACE: RefCell<Pace> = RefCell::new(Pace::new(Instant::now()));
}

/// A runtime that serves tunnels calls this on each thread that is about to wait for the system, as by tokio's
/// `on_thread_park`. Pauses where that makes datagrams cheaper.
pub fn moderate() {
    if let Some(pause) = PACE.with_borrow_mut(|pace| pace.park(Instant::now())) {
        thread::sleep(pause);
    }
}

/// So many datagrams were taken from a target by this thread.
pub(super) fn heard(datagrams: usize) {
    PACE.with_borrow_mut(|pace| pace.heard(datagrams));
}

/// How fast datagrams come to one thread. Pure.
struct Pace {
    /// Datagrams since `start`.
    window: u32,
    start: Instant,
    is_fast: bool,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { window: 0, start: now, is_fast: false }
    }

    fn heard(&mut self, datagrams: usize) {
        self.window = self.window.saturating_add(u32::try_from(datagrams).unwrap_or(u32::MAX));
    }

    /// The thread is about to wait; how long it pauses before.
    fn park(&mut self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.start);
        if age >= WINDOW {
            self.is_fast = u128::from(self.window) * 1000 >= FAST_PER_MS * age.as_micros();
            (self.window, self.start) = (0, now);
        }
        self.is_fast.then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of so many datagrams, each so long; how many of them ended with a pause.
    fn pauses(turns: u32, datagrams: usize, each: Duration) -> usize {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let paused = (1..=turns).filter(|turn| {
            pace.heard(datagrams);
            pace.park(start + each * *turn).is_some()
        });
        paused.count()
    }

    #[test]
    fn a_thread_pauses_where_datagrams_come_fast() {
        let micros = Duration::from_micros;
        // The first window only tells how fast they come.
        assert_eq!(pauses(1000, 3, micros(40)), 1000 - 24);
        assert_eq!(pauses(1000, 1, micros(100)), 0, "too slow for a pause to find another one");
        assert_eq!(pauses(1000, 0, micros(40)), 0, "something else keeps the thread busy");
        assert_eq!(pauses(1000, 256, Duration::from_secs(1)), 0, "now and then a burst");
    }

    #[test]
    fn what_was_fast_before_a_silence_is_not_so_after_it() {
        let mut pace = Pace::new(Instant::now());
        let mut now = pace.start;
        for _ in 0..100 {
            pace.heard(3);
            now += Duration::from_micros(40);
            pace.park(now);
        }
        assert!(pace.is_fast);
        pace.heard(1);
        assert_eq!(pace.park(now + Duration::from_millis(20)), None);
    }
}
