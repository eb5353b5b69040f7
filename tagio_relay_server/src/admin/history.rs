//! The last half hour of the relay in numbers, for plots. Pure: fed with counters and time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Samples that are kept: half an hour.
pub(super) const SAMPLES_MAX: usize = 360;
/// Samples in a minute.
const MINUTE: usize = 12;

/// Counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    /// In packets that were forwarded, since the start.
    pub(super) bytes: u64,
    pub(super) clients: usize,
    pub(super) sessions: usize,
    /// What was refused since the start, by reason, always in the same order.
    pub(super) refused: Vec<u64>,
}

/// What was measured in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) bits_per_second: f64,
    pub(super) clients: usize,
    pub(super) sessions: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<(Instant, Counters)>,
    /// Oldest first, at most [`SAMPLES_MAX`].
    samples: VecDeque<Sample>,
    /// Counts of refusals, oldest first, at most [`MINUTE`].
    refused: VecDeque<Vec<u64>>,
}

impl History {
    /// Whether the next sample is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.last.as_ref().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SAMPLE_EVERY)
    }

    /// Takes a sample.
    pub(super) fn add(&mut self, now: Instant, counters: Counters) {
        if let Some((at, before)) = &self.last {
            let seconds = now.saturating_duration_since(*at).as_secs_f64().max(f64::EPSILON);
            let bits = counters.bytes.saturating_sub(before.bytes) as f64 * 8.0;
            push(
                &mut self.samples,
                SAMPLES_MAX,
                Sample {
                    bits_per_second: bits / seconds,
                    clients: counters.clients,
                    sessions: counters.sessions,
                },
            );
        }
        push(&mut self.refused, MINUTE, counters.refused.clone());
        self.last = Some((now, counters));
    }

    /// All samples, oldest first.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// The newest sample.
    pub(super) fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// How much of `total` came within the last minute; `reason` is its place in [`Counters::refused`].
    pub(super) fn refused_last_minute(&self, reason: usize, total: u64) -> u64 {
        let before = self.refused.front().and_then(|counts| counts.get(reason)).copied();
        total.saturating_sub(before.unwrap_or_default())
    }
}

fn push<T>(queue: &mut VecDeque<T>, max: usize, value: T) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(bytes: u64, refused: u64) -> Counters {
        Counters { bytes, clients: 3, sessions: 1, refused: vec![0, refused] }
    }

    #[test]
    fn it_keeps_rates_of_half_an_hour_and_refusals_of_a_minute() {
        let (mut history, start) = (History::default(), Instant::now());
        assert!(history.is_due(start));
        for step in 0..1000u64 {
            let now = start + SAMPLE_EVERY * u32::try_from(step).expect("a small number");
            assert!(history.is_due(now));
            history.add(now, counters(1000 * step, step));
            assert!(!history.is_due(now + SAMPLE_EVERY / 2));
        }
        assert_eq!(history.samples().count(), SAMPLES_MAX);
        let sample = Sample { bits_per_second: 1600.0, clients: 3, sessions: 1 };
        assert!(history.samples().all(|other| other == sample), "{:?}", history.latest());
        assert_eq!(history.refused_last_minute(1, 1000), 12);
        assert_eq!(history.refused_last_minute(0, 0), 0);
    }
}
