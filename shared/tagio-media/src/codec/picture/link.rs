//! What the way to the viewer asks of an update: how large it may be, and how hard to compress it.

use tagio_wire::limits;

/// zstd's levels for links on which encoding takes as long as sending, and for slower ones. Below the first nothing
/// is faster; 3 saves hardly a byte; 9 saves a fifth, for two to five times the time.
const LEVELS: [i32; 2] = [1, 9];

/// Bytes a second below which the higher level saves more time on the link than it takes: a scrolled page has about
/// 2 kB less for 7 ms more, a first picture 48 kB less for 60 ms more.
const SLOW_BYTES_PER_SECOND: f64 = 250_000.0;

/// What is known of the way to the viewer.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// How fast it carries, once that is known.
    pub bytes_per_second: Option<f64>,
    /// How large one update may be: what is bigger comes in pieces, so that something small never waits long.
    pub update_bytes_max: usize,
}

impl Default for Link {
    /// Nothing is known, and all may go at once.
    fn default() -> Self {
        Self { bytes_per_second: None, update_bytes_max: limits::UPDATE_BYTES_MAX }
    }
}

impl Link {
    /// zstd's level for exact bands, where encoding takes `load` of the time, 0 to 1: bytes cost time on a slow
    /// link, and encoding does on a machine that has none to spare.
    pub fn level(self, load: f64) -> i32 {
        let worth = SLOW_BYTES_PER_SECOND * (1.0 - load.clamp(0.0, 1.0));
        let is_slow = self.bytes_per_second.is_some_and(|rate| rate < worth);
        LEVELS[usize::from(is_slow)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(megabits: f64) -> Link {
        Link { bytes_per_second: Some(megabits * 125_000.0), ..Link::default() }
    }

    #[test]
    fn only_a_slow_link_is_worth_the_work_and_only_on_a_machine_that_has_time() {
        let [fast, thorough] = LEVELS;
        assert_eq!(Link::default().level(0.0), fast);
        assert_eq!([1000.0, 20.0, 2.1].map(|rate| link(rate).level(0.0)), [fast; 3]);
        assert_eq!([1.9, 1.0, 0.064].map(|rate| link(rate).level(0.0)), [thorough; 3]);
        // The busier the machine, the slower the link has to be.
        assert_eq!([0.3, 0.6, 1.0].map(|load| link(1.0).level(load)), [thorough, fast, fast]);
        assert_eq!(link(0.064).level(0.9), thorough);
    }
}
