//! Frames of a trunk: one connection between a relay and a tunnel's client that many visitors share for small pieces.
//!
//! Each is `u8 kind`, `u64be visit`, `u16be length` and as many bytes:
//!
//! | kind | from | bytes |
//! |---|---|---|
//! | 0 open | relay | bincode: the visitor's address |
//! | 1 data | both | at most [`TRUNK_DATA_BYTES_MAX`] |
//! | 2 credit | both | `u32be`: so many bytes of the other direction were passed on |
//! | 3 end | both | none: nothing more comes in this direction |
//! | 4 moved | both | none: the rest of this direction is on the visit's data connection |
//! | 5 reset | both | none: the visit is broken |
//!
//! `visit` is the number of [`Visit::request`](crate::tunnel::Visit). A direction has [`TRUNK_WINDOW_BYTES`] to begin
//! with.

use std::net::SocketAddr;

use crate::{DecodeError, decode, encode};

/// Bytes of a frame before its own.
pub const TRUNK_HEADER_BYTES: usize = 11;
/// Most bytes of data in one frame: what is longer than a page of text does not hold others up.
pub const TRUNK_DATA_BYTES_MAX: usize = 16 * 1024;
/// Bytes that a direction of a visit may have under way: what its receiver keeps when it cannot pass them on.
pub const TRUNK_WINDOW_BYTES: usize = 64 * 1024;

/// See the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table says it")]
pub enum TrunkFrame<'a> {
    Open(SocketAddr),
    Data(&'a [u8]),
    Credit(u32),
    End,
    Moved,
    Reset,
}

impl<'a> TrunkFrame<'a> {
    /// Puts the frame of a visit behind what `buffer` has. Data is not longer than [`TRUNK_DATA_BYTES_MAX`].
    pub fn put(self, visit: u64, buffer: &mut Vec<u8>) {
        match self {
            Self::Open(from) => put(0, visit, &encode(&from), buffer),
            Self::Data(data) => put(1, visit, data, buffer),
            Self::Credit(bytes) => put(2, visit, &bytes.to_be_bytes(), buffer),
            Self::End => put(3, visit, &[], buffer),
            Self::Moved => put(4, visit, &[], buffer),
            Self::Reset => put(5, visit, &[], buffer),
        }
    }

    /// The first frame of `bytes`: its visit, itself, and how long it is there. `None`: some of it is missing.
    ///
    /// # Errors
    /// The bytes spell no frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(u64, Self, usize)>, DecodeError> {
        let Some(([kind, visit @ .., high, low], rest)) = bytes.split_first_chunk::<TRUNK_HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len > TRUNK_DATA_BYTES_MAX {
            return Err(DecodeError::TooLong(len));
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let frame = match (kind, body) {
            (0, from) => Self::Open(decode(from)?),
            (1, data) => Self::Data(data),
            (2, &[a, b, c, d]) => Self::Credit(u32::from_be_bytes([a, b, c, d])),
            (3, []) => Self::End,
            (4, []) => Self::Moved,
            (5, []) => Self::Reset,
            _ => return Err(DecodeError::Malformed),
        };
        let visit = visit.first_chunk().map_or(0, |visit| u64::from_be_bytes(*visit));
        Ok(Some((visit, frame, TRUNK_HEADER_BYTES + len)))
    }
}

fn put(kind: u8, visit: u64, body: &[u8], buffer: &mut Vec<u8>) {
    let len = u16::try_from(body.len()).expect("data is cut to its limit, the others are shorter");
    buffer.push(kind);
    buffer.extend_from_slice(&visit.to_be_bytes());
    buffer.extend_from_slice(&len.to_be_bytes());
    buffer.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_and_not_before_they_are_whole() {
        let from = "[2001:db8::1]:70".parse().expect("an address");
        let frames = [
            TrunkFrame::Open(from),
            TrunkFrame::Data(&[7; TRUNK_DATA_BYTES_MAX]),
            TrunkFrame::Credit(70_000),
            TrunkFrame::End,
            TrunkFrame::Moved,
            TrunkFrame::Reset,
        ];
        for frame in frames {
            let mut bytes = Vec::new();
            frame.put(1 << 40, &mut bytes);
            let len = bytes.len();
            bytes.push(9);
            assert_eq!(TrunkFrame::parse(&bytes), Ok(Some((1 << 40, frame, len))));
            assert_eq!(TrunkFrame::parse(&bytes[..len - 1]), Ok(None));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let header = |kind, len: usize| {
            let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0, 1];
            bytes.extend_from_slice(&u16::try_from(len).expect("it fits").to_be_bytes());
            bytes.resize(TRUNK_HEADER_BYTES + len, 0);
            bytes
        };
        for bad in
            [header(6, 0), header(3, 1), header(2, 3), header(0, 0), header(1, TRUNK_DATA_BYTES_MAX + 1)]
        {
            assert!(TrunkFrame::parse(&bad).is_err(), "{:?}", &bad[..TRUNK_HEADER_BYTES]);
        }
    }
}
