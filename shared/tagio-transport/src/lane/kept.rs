//! Frames that may not have arrived. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// How long a recent frame may be needed again: a path is given up for a silence of two round trips, and what was
/// unanswered then had been sent a round trip earlier.
const RECENT: Duration = Duration::from_secs(3);
/// Most recent frames: what a person's hands do in that time, with room.
const RECENT_MAX: usize = 512;
/// Most bytes of either memory; QUIC shares them until they are acknowledged. More than what a picture has in flight.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which frames of a lane are kept, in case that they are lost with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Those of the last seconds: for small ones, of which a few too many cost nothing.
    Recent,
    /// All until [`super::LaneSender::forget_below`] says that they have arrived.
    UntilForgotten,
}

/// One frame as it is written: its length and its beginning, and the rest.
pub(super) type Frame = [Bytes; 2];

/// The newest frames of a lane.
#[derive(Debug)]
pub(super) struct Kept {
    memory: Memory,
    frames: VecDeque<(Instant, Frame)>,
    /// Number of the first of them.
    first: u64,
    bytes: usize,
}

impl Kept {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, frames: VecDeque::new(), first: 0, bytes: 0 }
    }

    /// Keeps a frame, and drops what is too old or too much. The newest one stays in any case.
    pub(super) fn push(&mut self, frame: Frame, now: Instant) {
        self.bytes += len(&frame);
        self.frames.push_back((now, frame));
        self.trim(now);
    }

    /// Drops the frames before this one.
    pub(super) fn forget_below(&mut self, number: u64) {
        while self.first < number && !self.frames.is_empty() {
            self.pop();
        }
    }

    /// Number of the first frame that may be needed again, and all from it on.
    pub(super) fn all(&mut self, now: Instant) -> (u64, impl Iterator<Item = &Frame>) {
        self.trim(now);
        (self.first, self.frames.iter().map(|(_, frame)| frame))
    }

    /// Number of the next frame.
    pub(super) fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn trim(&mut self, now: Instant) {
        while self.frames.len() > 1 && self.has_too_much(now) {
            self.pop();
        }
    }

    fn has_too_much(&self, now: Instant) -> bool {
        let is_old = |(at, _): &(Instant, Frame)| now.saturating_duration_since(*at) > RECENT;
        let is_past = self.memory == Memory::Recent
            && (self.frames.len() > RECENT_MAX || self.frames.front().is_some_and(is_old));
        is_past || self.bytes > BYTES_MAX
    }

    fn pop(&mut self) {
        if let Some((_, frame)) = self.frames.pop_front() {
            self.first += 1;
            self.bytes -= len(&frame);
        }
    }
}

fn len(frame: &Frame) -> usize {
    frame.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Frame {
        [Bytes::from(vec![7; bytes]), Bytes::new()]
    }

    fn numbers(kept: &mut Kept, now: Instant) -> (u64, usize) {
        let (first, frames) = kept.all(now);
        (first, frames.count())
    }

    #[test]
    fn recent_frames_go_with_time_and_number() {
        let (mut kept, start) = (Kept::new(Memory::Recent), Instant::now());
        (0..3).for_each(|_| kept.push(frame(10), start));
        assert_eq!(numbers(&mut kept, start + RECENT), (0, 3));
        let later = start + RECENT + Duration::from_millis(1);
        assert_eq!(numbers(&mut kept, later), (2, 1), "the newest stays");
        kept.push(frame(10), later);
        assert_eq!(numbers(&mut kept, later), (3, 1));
        (0..2 * RECENT_MAX).for_each(|_| kept.push(frame(10), later));
        assert_eq!(numbers(&mut kept, later), (4 + RECENT_MAX as u64, RECENT_MAX));
        assert_eq!(kept.end(), 4 + 2 * RECENT_MAX as u64);
    }

    #[test]
    fn other_frames_go_when_they_have_arrived() {
        let (mut kept, start) = (Kept::new(Memory::UntilForgotten), Instant::now());
        (0..5).for_each(|second| kept.push(frame(10), start + second * RECENT));
        let late = start + 100 * RECENT;
        assert_eq!(numbers(&mut kept, late), (0, 5));
        kept.forget_below(3);
        assert_eq!(numbers(&mut kept, late), (3, 2));
        kept.forget_below(2);
        kept.forget_below(100);
        assert_eq!((numbers(&mut kept, late), kept.end()), ((5, 0), 5));
    }

    #[test]
    fn the_newest_stays_however_large_it_is() {
        let (mut kept, start) = (Kept::new(Memory::UntilForgotten), Instant::now());
        kept.push(frame(10), start);
        kept.push(frame(BYTES_MAX), start);
        assert_eq!(numbers(&mut kept, start), (1, 1));
    }
}
