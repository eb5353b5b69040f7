//! The two directions of a stream over HTTP, each a run of bytes with an offset: what may be kept, and what was
//! missed. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use tagio_wire::carrier::HTTP_PIECE_BYTES_MAX;

/// The other side is at another offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The offset that would do.
    pub(super) expected: u64,
}

/// Bytes from the client that wait to be read, one piece of them at most.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// No memory while it is empty.
    waiting: VecDeque<u8>,
    /// How many came in all.
    end: u64,
}

impl Inbound {
    /// Takes bytes that stand at `offset`, and says how many of them are dealt with: those that came before are
    /// skipped, those for which there is no room are left.
    pub(super) fn accept(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Gap> {
        let known = self.end.checked_sub(offset).ok_or(Gap { expected: self.end })?;
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
        let taken = (bytes.len() - known).min(HTTP_PIECE_BYTES_MAX - self.waiting.len());
        self.waiting.extend(&bytes[known..known + taken]);
        self.end += taken as u64;
        Ok(known + taken)
    }

    /// Fills `buf` with what waits, from its start; how much that was.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        take_front(&mut self.waiting, buf)
    }

    /// How many bytes came in all.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

/// Bytes to the client that it has not said to have, one piece of them at most.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// No memory while it is empty.
    kept: VecDeque<u8>,
    /// Offset of the first of them.
    start: u64,
}

impl Outbound {
    /// Adds as many of `bytes` as there is room for; how many that was.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HTTP_PIECE_BYTES_MAX - self.kept.len());
        self.kept.extend(&bytes[..taken]);
        taken
    }

    /// Everything before `offset` has arrived and is forgotten.
    pub(super) fn arrived(&mut self, offset: u64) -> Result<(), Gap> {
        let arrived = self.index(offset)?;
        self.kept.drain(..arrived);
        self.start = offset;
        release(&mut self.kept);
        Ok(())
    }

    /// Everything from `offset` on, which may be nothing.
    pub(super) fn bytes_from(&self, offset: u64) -> Result<Bytes, Gap> {
        let (first, second) = self.kept.as_slices();
        let index = self.index(offset)?;
        let in_first = index.min(first.len());
        Ok([&first[in_first..], &second[index - in_first..]].concat().into())
    }

    fn index(&self, offset: u64) -> Result<usize, Gap> {
        let index = offset.checked_sub(self.start).ok_or(Gap { expected: self.start })?;
        let index = usize::try_from(index).ok().filter(|index| *index <= self.kept.len());
        index.ok_or_else(|| Gap { expected: self.start + self.kept.len() as u64 })
    }

    /// Whether the client has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The offset that a client which lost count may ask for.
    pub(super) fn start(&self) -> u64 {
        self.start
    }
}

fn take_front(bytes: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let (first, second) = bytes.as_slices();
    let from_first = first.len().min(buf.len());
    let from_second = second.len().min(buf.len() - from_first);
    buf[..from_first].copy_from_slice(&first[..from_first]);
    buf[from_first..from_first + from_second].copy_from_slice(&second[..from_second]);
    bytes.drain(..from_first + from_second);
    release(bytes);
    from_first + from_second
}

/// A silent stream keeps no buffer.
fn release(bytes: &mut VecDeque<u8>) {
    if bytes.is_empty() {
        *bytes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(inbound: &mut Inbound) -> Vec<u8> {
        let mut buf = [0; 64];
        let len = inbound.read(&mut buf);
        buf[..len].to_vec()
    }

    #[test]
    fn bytes_that_came_before_are_skipped_and_a_gap_is_refused() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.accept(0, b"abc"), Ok(3));
        assert_eq!(inbound.accept(1, b"bcde"), Ok(4));
        assert_eq!(inbound.accept(0, b"abcde"), Ok(5));
        assert_eq!(inbound.accept(6, b"g"), Err(Gap { expected: 5 }));
        assert_eq!(inbound.accept(u64::MAX, b""), Err(Gap { expected: 5 }));
        assert_eq!(read_all(&mut inbound), b"abcde");
        assert_eq!((inbound.accept(5, b"f"), read_all(&mut inbound)), (Ok(1), b"f".to_vec()));
    }

    #[test]
    fn a_full_direction_takes_no_more_than_there_is_room_for() {
        let piece = vec![7; HTTP_PIECE_BYTES_MAX];
        let (mut inbound, mut outbound) = (Inbound::default(), Outbound::default());
        assert_eq!(inbound.accept(0, &piece[1..]), Ok(HTTP_PIECE_BYTES_MAX - 1));
        assert_eq!(inbound.accept(inbound.end(), b"xyz"), Ok(1));
        assert_eq!(inbound.read(&mut [0; 2]), 2);
        assert_eq!(inbound.accept(inbound.end(), b"yz"), Ok(2));
        assert_eq!(outbound.write(&piece[1..]), HTTP_PIECE_BYTES_MAX - 1);
        assert_eq!(outbound.write(b"xyz"), 1);
        assert_eq!(outbound.write(b"yz"), 0);
    }

    #[test]
    fn bytes_can_be_asked_for_until_they_have_arrived() {
        let mut outbound = Outbound::default();
        outbound.write(b"abc");
        assert_eq!(outbound.bytes_from(0), Ok(Bytes::from_static(b"abc")));
        outbound.write(b"de");
        assert_eq!(outbound.bytes_from(0), Ok(Bytes::from_static(b"abcde")));
        assert_eq!(outbound.arrived(3), Ok(()));
        assert_eq!(outbound.bytes_from(3), Ok(Bytes::from_static(b"de")));
        assert_eq!(outbound.bytes_from(4), Ok(Bytes::from_static(b"e")));
        for (gone_or_unknown, expected) in [(2, 3), (6, 5), (u64::MAX, 5)] {
            assert_eq!(outbound.bytes_from(gone_or_unknown), Err(Gap { expected }));
            assert_eq!(outbound.arrived(gone_or_unknown), Err(Gap { expected }));
        }
        assert!(!outbound.is_empty());
        assert_eq!((outbound.arrived(5), outbound.is_empty()), (Ok(()), true));
        assert_eq!(outbound.bytes_from(5), Ok(Bytes::new()));
    }

    #[test]
    fn bytes_of_a_ring_that_has_gone_round_are_in_order() {
        let mut outbound = Outbound::default();
        outbound.write(&[0; 5]);
        for round in 1..100_u8 {
            outbound.write(&[round; 3]);
            let start = outbound.start();
            outbound.arrived(start + 3).unwrap();
            let bytes = outbound.bytes_from(start + 4).unwrap();
            assert!(bytes.len() == 4 && bytes.is_sorted(), "{bytes:?}");
        }
    }
}
