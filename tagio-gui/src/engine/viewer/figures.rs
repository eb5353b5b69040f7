//! The figures of a viewer's picture: samples of a second or two, and what they come to.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tagio_wire::picture::Timing;

use crate::engine::status::{Figures, Spread};

/// Samples that are kept: two seconds of 120 a second.
const SAMPLES_MAX: usize = 240;
/// The host's clock wraps around after so many tenths of a millisecond.
const CLOCK: i64 = 1 << 16;
/// How long the quickest way is believed: clocks drift apart by some milliseconds a minute, and paths change.
const QUICKEST_FOR: Duration = Duration::from_secs(10);

/// One update or video frame that came.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What the host says.
    pub timing: Timing,
    /// When its last byte was here.
    pub arrived: Instant,
    /// Decoding it.
    pub decode: Duration,
    /// Handing it to the window.
    pub display: Duration,
    /// Payload.
    pub bytes: usize,
}

/// Collects samples.
#[derive(Debug)]
pub(super) struct FigureBook {
    samples: VecDeque<(Sample, Duration)>,
    /// Zero of this side's clock.
    began: Instant,
    /// The least difference between the clocks so far, in tenths of a millisecond, and when it was seen.
    quickest: Option<(i64, Instant)>,
    rtt: Duration,
    updates: u32,
    bytes: u64,
    since: Instant,
}

impl FigureBook {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::new(),
            began: now,
            quickest: None,
            rtt: Duration::ZERO,
            updates: 0,
            bytes: 0,
            since: now,
        }
    }

    pub(super) fn note(&mut self, sample: Sample) {
        let network = self.network(&sample);
        self.updates += 1;
        self.bytes += sample.bytes as u64;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((sample, network));
    }

    /// Half of the round trip, and by how much longer than the quickest it took.
    fn network(&mut self, sample: &Sample) -> Duration {
        let here = sample.arrived.saturating_duration_since(self.began).as_micros() as i64 / 100;
        let apart = (here - i64::from(sample.timing.sent)).rem_euclid(CLOCK);
        let over = match self.quickest {
            // Of two numbers on a ring the one ahead is less than half of it away.
            Some((least, seen)) if sample.arrived < seen + QUICKEST_FOR => {
                let over = (apart - least).rem_euclid(CLOCK);
                if over < CLOCK / 2 { Some(over) } else { None }
            }
            _ => None,
        };
        if over.is_none_or(|over| over == 0) {
            self.quickest = Some((apart, sample.arrived));
        }
        self.rtt / 2 + Duration::from_micros(over.unwrap_or(0) as u64 * 100)
    }

    /// The figures since the last call, about a second ago.
    pub(super) fn sum_up(&mut self, rtt: Duration, now: Instant) -> Figures {
        self.rtt = rtt;
        let seconds = now.saturating_duration_since(self.since).as_secs_f32().max(0.001);
        let tenths = |tenths: u16| Duration::from_micros(u64::from(tenths) * 100);
        let figures = Figures {
            capture: self.spread(|sample, _| tenths(sample.timing.capture)),
            encode: self.spread(|sample, _| tenths(sample.timing.encode)),
            network: self.spread(|_, network| network),
            decode: self.spread(|sample, _| sample.decode),
            display: self.spread(|sample, _| sample.display),
            fps: (self.updates as f32 / seconds).round() as u32,
            megabits_per_second: self.bytes as f32 * 8.0 / 1e6 / seconds,
            ..Figures::default()
        };
        (self.updates, self.bytes, self.since) = (0, 0, now);
        self.samples.clear();
        figures
    }

    fn spread(&self, figure: impl Fn(&Sample, Duration) -> Duration) -> Spread {
        let mut times: Vec<Duration> =
            self.samples.iter().map(|(sample, network)| figure(sample, *network)).collect();
        times.sort_unstable();
        let at = |share: f64| {
            let last = times.len().saturating_sub(1);
            times.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
        };
        Spread { p50: at(0.5), p95: at(0.95) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_longer_than_the_quickest_is_the_networks() {
        let start = Instant::now();
        let mut book = FigureBook::new(start);
        book.sum_up(Duration::from_millis(20), start);
        for (i, late_ms) in [5, 0, 0, 30, 0, 0].into_iter().enumerate() {
            let sent = 65_500 + 100 * i as u32;
            let arrived = start + Duration::from_millis(1_000 + 10 * i as u64 + late_ms);
            let timing = Timing { capture: 3, encode: 7, sent: sent as u16 };
            let (decode, display) = (Duration::from_micros(200), Duration::ZERO);
            book.note(Sample { timing, arrived, decode, display, bytes: 1000 });
        }
        let figures = book.sum_up(Duration::from_millis(20), start + Duration::from_secs(2));
        assert_eq!(figures.network.p50, Duration::from_millis(10));
        assert_eq!(figures.network.p95, Duration::from_millis(40));
        assert_eq!(figures.encode.p50, Duration::from_micros(700));
        assert_eq!(figures.fps, 3);
        assert!((figures.megabits_per_second - 0.024).abs() < 1e-6);
        assert_eq!(book.sum_up(Duration::ZERO, start + Duration::from_secs(3)).fps, 0);
    }
}
