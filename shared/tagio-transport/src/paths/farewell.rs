//! Paths that were left while something may still be under way on them. Pure: fed with counters and time.
//!
//! QUIC sends what was under way on a path again only once it has given that path up, which takes it seconds. So both
//! sides ask for signs of life on a path that they leave. A side that hears of one which was sent after its own last
//! packets should have got through knows that its end of the path lives; the peer knows the same of the other end. A
//! side that hears nothing closes the path, as it would close one in use.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::selector::{OWN_GAP, Sample, dead_after};

/// How much longer than two round trips signs of life are sent: the peer leaves the path half a round trip later or
/// earlier, and needs one that was sent a round trip after that.
const ASK_LONGER: Duration = Duration::from_millis(150);

/// What is to be done to a path that was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell<K> {
    /// Ask for a sign of life.
    Ping(K),
    /// Give it up.
    Close(K),
}

#[derive(Debug)]
struct Left {
    since: Instant,
    rtt: Duration,
    /// What had come by a round trip later: that may have passed ours on its way.
    received: Option<u64>,
    /// Something has come in time: it lives.
    lives: bool,
}

/// The paths that were left a moment ago. INVARIANT: as few as QUIC's paths.
#[derive(Debug)]
pub(super) struct Farewells<K> {
    left: BTreeMap<K, Left>,
    looked: Option<Instant>,
}

impl<K: Ord + Copy> Farewells<K> {
    pub(super) fn new() -> Self {
        Self { left: BTreeMap::new(), looked: None }
    }

    /// A path that stands is not in use any more.
    pub(super) fn leave(&mut self, id: K, sample: Sample, now: Instant) {
        let left = Left { since: now, rtt: sample.rtt, received: None, lives: false };
        self.left.insert(id, left);
    }

    /// A path is in use again, or gone.
    pub(super) fn forget(&mut self, id: K) {
        self.left.remove(&id);
    }

    /// Looks at the counters.
    pub(super) fn look(&mut self, now: Instant, counters: impl Fn(K) -> Option<Sample>) -> Vec<Farewell<K>> {
        let gap = self.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        self.looked = Some(now);
        let own_gap = if gap > OWN_GAP { gap } else { Duration::ZERO };
        let mut farewells = Vec::new();
        self.left.retain(|id, left| {
            let Some(sample) = counters(*id) else { return false };
            left.since = (left.since + own_gap).min(now);
            left.rtt = left.rtt.max(sample.rtt);
            let age = now.saturating_duration_since(left.since);
            if age >= left.rtt {
                left.lives |= sample.received != *left.received.get_or_insert(sample.received);
            }
            let asks = age <= left.rtt * 2 + ASK_LONGER;
            if !left.lives && age >= left.rtt + dead_after(left.rtt) {
                farewells.push(Farewell::Close(*id));
            } else if asks {
                farewells.push(Farewell::Ping(*id));
            }
            asks || !left.lives
        });
        farewells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sample(received: u64) -> Sample {
        Sample { sent: 0, received, lost: 0, rtt: 80 * MS }
    }

    /// Leaves path 1 and looks every 50 ms, with what has been received by then; until it is closed or over.
    fn watch(received: impl Fn(Duration) -> u64) -> Option<Duration> {
        let (mut farewells, start) = (Farewells::new(), Instant::now());
        farewells.leave(1, sample(received(Duration::ZERO)), start);
        for age in (1..40).map(|look| 50 * MS * look) {
            let done = farewells.look(start + age, |_| Some(sample(received(age))));
            if done.contains(&Farewell::Close(1)) {
                return Some(age);
            }
        }
        None
    }

    #[test]
    fn a_path_that_answers_is_left_in_peace() {
        assert_eq!(watch(|age| age.as_millis() as u64 / 40), None);
    }

    #[test]
    fn what_came_before_ours_can_have_got_through_proves_nothing() {
        assert_eq!(watch(|age| (age.as_millis() as u64).min(60)), Some(350 * MS));
    }

    #[test]
    fn a_machine_that_slept_gives_the_path_its_time() {
        let (mut farewells, start) = (Farewells::new(), Instant::now());
        farewells.look(start, |_| None);
        farewells.leave(1, sample(5), start);
        let woke = start + 3000 * MS;
        assert_eq!(farewells.look(woke, |_| Some(sample(5))), [Farewell::Ping(1)]);
    }

    #[test]
    fn a_path_that_is_gone_is_forgotten() {
        let (mut farewells, start) = (Farewells::<u32>::new(), Instant::now());
        farewells.leave(1, sample(5), start);
        assert_eq!(farewells.look(start + 50 * MS, |_| None), []);
        assert!(farewells.left.is_empty());
    }
}
