//! How often one key or address may do something: a burst, then one per interval; and how many bytes it may move.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// So much of a [`ByteRate`] may go at once after a pause: pages and short files are not slowed down.
const BYTE_BURST: Duration = Duration::from_secs(1);

/// A burst and the interval after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once. At least one is always allowed.
    pub burst: u32,
    /// One more per this time.
    pub interval: Duration,
}

impl Rate {
    /// `burst` at once, then one per `interval_ms`.
    pub fn new(burst: u32, interval_ms: u32) -> Self {
        Self { burst, interval: Duration::from_millis(interval_ms.into()) }
    }

    /// Spends one from `full_at`, the time at which all of the burst is there again; the wait if none is left.
    ///
    /// This is the generic cell rate algorithm: one time stamp is the whole state of a bucket.
    pub fn spend(self, full_at: &mut Instant, now: Instant) -> Result<(), Duration> {
        let next = (*full_at).max(now) + self.interval;
        let excess = (next - now).saturating_sub(self.interval * self.burst.max(1));
        if excess > Duration::ZERO {
            return Err(excess);
        }
        *full_at = next;
        Ok(())
    }
}

/// Bytes per second, and the bytes of one second at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(NonZeroU32);

impl ByteRate {
    /// So many bytes per second; `None` where it is 0, which means no limit.
    pub fn new(bytes_per_sec: u32) -> Option<Self> {
        NonZeroU32::new(bytes_per_sec).map(Self)
    }

    /// Spends `bytes` from `full_at`, the time at which all of the burst is there again; how long they have to wait.
    ///
    /// Nothing is refused: a token bucket that lends, so whoever asks first goes first. Who waits before asking again
    /// owes one piece at most.
    pub fn spend(self, full_at: &mut Instant, bytes: usize, now: Instant) -> Duration {
        *full_at = (*full_at).max(now) + self.time(bytes);
        (*full_at - now).saturating_sub(BYTE_BURST)
    }

    /// The time that `bytes` take.
    fn time(self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / f64::from(self.0.get()))
    }
}

/// One bucket for each key that was heard of lately.
#[derive(Debug)]
pub struct RateTable<K> {
    full_at: BTreeMap<K, Instant>,
    entries_max: usize,
}

impl<K: Ord> RateTable<K> {
    /// An empty table that never holds more than `entries_max` keys.
    pub fn new(entries_max: u32) -> Self {
        Self { full_at: BTreeMap::new(), entries_max: entries_max as usize }
    }

    /// Spends one from the bucket of `key`; the wait if there is none.
    pub fn spend(&mut self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        if let Some(full_at) = self.full_at.get_mut(&key) {
            return rate.spend(full_at, now);
        }
        if self.full_at.len() >= self.entries_max {
            return Err(rate.interval);
        }
        let mut full_at = now;
        rate.spend(&mut full_at, now)?;
        self.full_at.insert(key, full_at);
        Ok(())
    }

    /// Whether the bucket of `key` holds at least one, without spending it.
    pub fn allows(&self, key: &K, rate: Rate, now: Instant) -> bool {
        self.full_at.get(key).is_none_or(|full_at| rate.spend(&mut full_at.clone(), now).is_ok())
    }

    /// Spends bytes from the bucket of `key`; how long they have to wait. One for whom there is no place has no burst.
    pub fn spend_bytes(&mut self, key: &K, rate: ByteRate, bytes: usize, now: Instant) -> Duration
    where
        K: Clone,
    {
        if let Some(full_at) = self.full_at.get_mut(key) {
            return rate.spend(full_at, bytes, now);
        }
        if self.full_at.len() >= self.entries_max {
            return rate.time(bytes);
        }
        let mut full_at = now;
        let wait = rate.spend(&mut full_at, bytes, now);
        self.full_at.insert(key.clone(), full_at);
        wait
    }

    /// Whether bytes of `key` would not have to wait, without spending them.
    pub fn allows_bytes(&self, key: &K, rate: ByteRate, bytes: usize, now: Instant) -> bool {
        let full_at = self.full_at.get(key).copied().unwrap_or(now);
        rate.spend(&mut full_at.clone(), bytes, now).is_zero()
    }

    /// Forgets every bucket that is full again. Called once per tick, so that an attacker pays for the
    /// sweep at most once per tick.
    pub fn forget_full(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
    }

    /// How many keys it remembers.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }
}
