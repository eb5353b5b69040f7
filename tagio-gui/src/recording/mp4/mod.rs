//! The file: fragmented MP4 (ISO/IEC 14496-12) with one H.264 track (ISO/IEC 14496-15).
//!
//! A header that says how to decode, then fragments of about two seconds, each whole in itself: whatever ends a
//! recording, all fragments before that can be played.

mod fragment;
mod header;
mod index;
mod reader;
mod tables;
mod writer;

pub use index::{Index, ReadError, Sample};
pub use reader::Reader;
pub use writer::{Mp4Writer, WriteError};

use std::time::Duration;

/// Ticks in a second, as usual for video.
pub const TIMESCALE: u32 = 90_000;

/// The only track.
const TRACK_ID: u32 = 1;

/// Flags of a sample that others refer to and that refers to none (14496-12, 8.8.3.1).
const FLAGS_KEY: u32 = 0x0200_0000;
/// Flags of a sample that refers to others, and so is no place to start.
const FLAGS_DELTA: u32 = 0x0101_0000;
/// The bit that says "no place to start".
const FLAG_NO_SYNC: u32 = 0x0001_0000;

/// A time in ticks, rounded to the nearest.
pub fn ticks(time: Duration) -> u64 {
    let nanos = time.as_nanos() * u128::from(TIMESCALE) + 500_000_000;
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

/// The time that so many ticks of a timescale take.
pub fn time_of(ticks: u64, timescale: u32) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_times_agree() {
        for ms in [0, 1, 33, 999, 3_600_000] {
            let time = Duration::from_millis(ms);
            assert_eq!(time_of(ticks(time), TIMESCALE), time);
        }
        assert_eq!(time_of(5, 0), Duration::from_secs(5), "a timescale of 0 divides nothing");
    }
}
