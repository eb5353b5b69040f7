//! Where the streams of a lane meet: hands out every frame once. Pure; `S` is what a stream is read by.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

use super::LENGTH;
use crate::error::StreamError;

/// One stream of a lane, and what was read of it.
#[derive(Debug)]
pub(super) struct Inflow<S> {
    pub(super) stream: S,
    /// Later ones have a greater one.
    order: u64,
    /// Number of the next frame in it.
    at: u64,
    bytes: BytesMut,
    pub(super) is_over: bool,
}

/// The streams of a lane that may have what is missing.
#[derive(Debug)]
pub(super) struct Joint<S> {
    max: usize,
    /// Number of the next frame.
    next: u64,
    /// In order. Only the first is read, once it has what is next; no other has. QUIC bounds how many there are.
    inflows: VecDeque<Inflow<S>>,
}

impl<S> Joint<S> {
    /// A lane whose frames have at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, next: 0, inflows: VecDeque::new() }
    }

    /// The stream to be read.
    pub(super) fn current(&mut self) -> Option<&mut Inflow<S>> {
        self.inflows.front_mut().filter(|inflow| inflow.at <= self.next)
    }

    /// Another stream of the lane, which begins with frame `first`.
    pub(super) fn open(&mut self, stream: S, order: u64, first: u64) {
        let inflow = Inflow { stream, order, at: first, bytes: BytesMut::new(), is_over: false };
        let at = self.inflows.partition_point(|known| known.order < order);
        self.inflows.insert(at, inflow);
        self.change_over();
    }

    /// The next frame, if all of it is here.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn pop(&mut self) -> Result<Option<Bytes>, StreamError> {
        let max = self.max;
        while let Some(current) = self.current() {
            let Some(frame) = current.pop(max)? else { return Ok(None) };
            let at = current.at;
            if at > self.next {
                self.next = at;
                self.change_over();
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Goes on in the newest stream that has what is next.
    fn change_over(&mut self) {
        if let Some(newest) = self.inflows.iter().rposition(|inflow| inflow.at <= self.next) {
            self.inflows.drain(..newest);
        }
    }
}

impl<S> Inflow<S> {
    /// More of it.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn pop(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        let Some(length) = self.bytes.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > max {
            return Err(StreamError::TooLong(length));
        }
        if self.bytes.len() < LENGTH + length {
            return Ok(None);
        }
        self.bytes.advance(LENGTH);
        self.at += 1;
        Ok(Some(self.bytes.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of these numbers, as they are written.
    fn frames(numbers: std::ops::Range<u8>) -> Vec<u8> {
        numbers.flat_map(|number| [0, 0, 0, 1, number]).collect()
    }

    fn feed(joint: &mut Joint<&str>, bytes: &[u8]) -> Vec<u8> {
        let mut got = Vec::new();
        for byte in bytes {
            joint.current().expect("a stream").push(&[*byte]);
            while let Some(frame) = joint.pop().expect("sound") {
                got.extend_from_slice(&frame);
            }
        }
        got
    }

    #[test]
    fn what_is_sent_again_is_skipped() {
        let mut joint = Joint::new(8);
        joint.open("first", 0, 0);
        assert_eq!(feed(&mut joint, &frames(0..5)), [0, 1, 2, 3, 4]);
        joint.current().expect("it").push(&[0, 0, 0, 1]);
        joint.open("second", 1, 2);
        assert_eq!(joint.current().expect("it").stream, "second");
        assert_eq!(feed(&mut joint, &frames(2..8)), [5, 6, 7]);
    }

    #[test]
    fn a_stream_that_begins_later_waits_for_what_is_missing() {
        let mut joint = Joint::new(8);
        joint.open("first", 0, 0);
        assert_eq!(feed(&mut joint, &frames(0..2)), [0, 1]);
        joint.open("third", 2, 5);
        joint.open("second", 1, 3);
        assert_eq!(joint.current().expect("it").stream, "first");
        assert_eq!(feed(&mut joint, &frames(2..3)), [2]);
        assert_eq!(joint.current().expect("it").stream, "second");
        assert_eq!(feed(&mut joint, &frames(3..5)), [3, 4]);
        assert_eq!(joint.current().expect("it").stream, "third");
    }

    #[test]
    fn the_first_stream_may_come_last() {
        let mut joint = Joint::new(8);
        joint.open("second", 1, 2);
        assert!(joint.current().is_none(), "it has not what is first");
        joint.open("first", 0, 0);
        assert_eq!(feed(&mut joint, &frames(0..2)), [0, 1]);
        assert_eq!(feed(&mut joint, &frames(2..4)), [2, 3]);
    }

    #[test]
    fn a_stream_that_is_over_may_be_followed_by_one_that_is_under_way() {
        let mut joint = Joint::new(8);
        joint.open("first", 0, 0);
        assert_eq!(feed(&mut joint, &frames(0..2)), [0, 1]);
        joint.current().expect("it").is_over = true;
        joint.open("third", 2, 4);
        assert_eq!(joint.pop().expect("sound"), None);
        joint.open("second", 1, 1);
        assert_eq!(feed(&mut joint, &frames(1..4)), [2, 3]);
        assert_eq!(feed(&mut joint, &frames(4..5)), [4]);
    }

    #[test]
    fn a_long_frame_is_an_error() {
        let mut joint = Joint::new(8);
        joint.open("first", 0, 0);
        joint.current().expect("it").push(&[0xff; 4]);
        assert!(matches!(joint.pop(), Err(StreamError::TooLong(0xffff_ffff))));
    }
}
