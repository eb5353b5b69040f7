//! Cuts the bytes of a plain TCP connection into TAGIO messages, which have no length.
//!
//! `PING` and `CONN` end where they must. What else there is ends where the next message begins, or where the
//! client pauses. So it is good for greetings and short messages; others belong in a WebSocket.

use super::message::{HEADER, HEADER_LEN, ID_LEN};

/// Bytes that have come and are no whole message yet.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// There is no second message before here.
    searched: usize,
}

impl Stream {
    /// More has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is known to be whole; with `paused`, whatever there is.
    pub fn take(&mut self, paused: bool) -> Option<Vec<u8>> {
        let len =
            self.first_len().or_else(|| (paused && !self.bytes.is_empty()).then_some(self.bytes.len()))?;
        let rest = self.bytes.split_off(len);
        self.searched = 0;
        Some(std::mem::replace(&mut self.bytes, rest))
    }

    /// Bytes that wait for the end of their message.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn first_len(&mut self) -> Option<usize> {
        let fixed = match self.bytes.strip_prefix(&HEADER) {
            Some([b'P', b'I', b'N', b'G', ..]) => Some(HEADER_LEN + 4),
            Some([b'C', b'O', b'N', b'N', ..]) => Some(HEADER_LEN + 4 + ID_LEN),
            _ => None,
        };
        if let Some(len) = fixed {
            return (self.bytes.len() >= len).then_some(len);
        }
        let from = self.searched.max(1);
        let next = self.bytes.get(from..)?.windows(HEADER_LEN).position(|window| window == HEADER);
        // A header may be half there: look at its first bytes again.
        self.searched = self.bytes.len().saturating_sub(HEADER_LEN - 1);
        next.map(|at| from + at)
    }
}
