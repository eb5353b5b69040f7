//! Reads WebSocket frames (RFC 6455, 5) out of whatever bytes have come.
//!
//! Headers are the library's. Its `WebSocketStream` keeps the memory of the longest message for as long as a client
//! is connected, so the payload is ours: unmasked and handed on where it was read, copied only when a message is cut.

use std::{io::Cursor, mem, sync::Arc};

use tagio_relay_core::messages::Budget;
use thiserror::Error;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// So much of a message that is not complete is free; what is longer counts against what all may hold.
const FREE_BYTES: usize = 16 * 1024;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'f> {
    /// A whole binary message.
    Message(&'f [u8]),
    /// To be answered with the same bytes.
    Ping(&'f [u8]),
    /// A sign of life.
    Pong,
    /// The client's last word.
    Close,
}

/// Why a client is not listened to any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Trouble {
    /// Against the RFC: not masked, reserved bits, fragments out of order.
    #[error("no WebSocket frame")]
    Protocol,
    /// Not a binary message.
    #[error("a text message")]
    Text,
    /// Longer than messages may be.
    #[error("message too long")]
    TooLong,
    /// Too much has come in part, for all clients together.
    #[error("too many messages in part")]
    NoRoom,
}

impl Trouble {
    pub(super) fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol => CloseCode::Protocol,
            Self::Text => CloseCode::Unsupported,
            Self::TooLong => CloseCode::Size,
            Self::NoRoom => CloseCode::Again,
        }
    }
}

/// See the module.
pub(super) struct Frames {
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// Fragments of a message whose last one has not come.
    fragments: Option<Vec<u8>>,
    message_bytes_max: usize,
    budget: Arc<Budget>,
    all_bytes_max: usize,
    /// INVARIANT: taken from `budget`.
    charged: usize,
}

impl Frames {
    pub(super) fn new(message_bytes_max: usize, budget: Arc<Budget>, all_bytes_max: usize) -> Self {
        Self { partial: Vec::new(), fragments: None, message_bytes_max, budget, all_bytes_max, charged: 0 }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_within_message(&self) -> bool {
        self.fragments.is_some() || !self.partial.is_empty()
    }

    /// Takes what has come, and hands on every frame that is whole.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        mut handle: impl FnMut(Frame<'_>),
    ) -> Result<(), Trouble> {
        if self.partial.is_empty() {
            let done = self.split(bytes, &mut handle)?;
            self.partial.extend_from_slice(&bytes[done..]);
        } else {
            self.partial.extend_from_slice(bytes);
            let mut partial = mem::take(&mut self.partial);
            let done = self.split(&mut partial, &mut handle)?;
            // What stays shall not keep the memory of what went.
            self.partial = if done == 0 { partial } else { partial.split_off(done) };
        }
        self.charge()
    }

    /// Hands on the whole frames at the beginning of `bytes`; how long they are together.
    fn split(&mut self, bytes: &mut [u8], handle: &mut impl FnMut(Frame<'_>)) -> Result<usize, Trouble> {
        let mut done = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[done..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Trouble::Protocol)?;
            let Some((header, len)) = parsed else { return Ok(done) };
            let mask = self.check(&header, len)?;
            // Both fit: a header has 14 bytes, and `check` has seen the length.
            let start = done + cursor.position() as usize;
            let end = start + len as usize;
            let Some(payload) = bytes.get_mut(start..end) else { return Ok(done) };
            unmask(payload, mask);
            self.take(&header, payload, handle);
            done = end;
        }
    }

    /// Judges a frame by its header, before its payload is waited for; its mask.
    fn check(&self, header: &FrameHeader, len: u64) -> Result<[u8; 4], Trouble> {
        let mask = header.mask.ok_or(Trouble::Protocol)?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Trouble::Protocol);
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => Err(Trouble::Protocol),
            OpCode::Control(_) if !header.is_final || len > CONTROL_BYTES_MAX => Err(Trouble::Protocol),
            OpCode::Control(_) => Ok(mask),
            OpCode::Data(Data::Text) => Err(Trouble::Text),
            OpCode::Data(Data::Binary) if self.fragments.is_some() => Err(Trouble::Protocol),
            OpCode::Data(Data::Continue) if self.fragments.is_none() => Err(Trouble::Protocol),
            OpCode::Data(Data::Binary | Data::Continue) => {
                let before = self.fragments.as_ref().map_or(0, Vec::len);
                let fits = len.saturating_add(before as u64) <= self.message_bytes_max as u64;
                if fits { Ok(mask) } else { Err(Trouble::TooLong) }
            }
        }
    }

    fn take(&mut self, header: &FrameHeader, payload: &[u8], handle: &mut impl FnMut(Frame<'_>)) {
        match header.opcode {
            OpCode::Control(Control::Ping) => handle(Frame::Ping(payload)),
            OpCode::Control(Control::Pong) => handle(Frame::Pong),
            OpCode::Control(Control::Close | Control::Reserved(_)) => handle(Frame::Close),
            OpCode::Data(_) => match (self.fragments.take(), header.is_final) {
                (None, true) => handle(Frame::Message(payload)),
                (fragments, is_final) => {
                    let mut fragments = fragments.unwrap_or_default();
                    fragments.extend_from_slice(payload);
                    if is_final {
                        handle(Frame::Message(&fragments));
                    } else {
                        self.fragments = Some(fragments);
                    }
                }
            },
        }
    }

    /// Pays for what is held.
    fn charge(&mut self) -> Result<(), Trouble> {
        let held = self.partial.len() + self.fragments.as_ref().map_or(0, Vec::len);
        let due = held.saturating_sub(FREE_BYTES);
        if due > self.charged {
            self.budget.take(due - self.charged, self.all_bytes_max).map_err(|_| Trouble::NoRoom)?;
        } else {
            self.budget.give(self.charged - due);
        }
        self.charged = due;
        Ok(())
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.budget.give(self.charged);
    }
}

/// RFC 6455, 5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(max: usize) -> (Frames, Arc<Budget>) {
        let budget = Arc::new(Budget::default());
        (Frames::new(max, Arc::clone(&budget), 64 * 1024), budget)
    }

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            len @ 0..126 => out.push(0x80 | len as u8),
            len @ 126..65_536 => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    /// All messages in `bytes`, which come in pieces of `step`.
    fn read(frames: &mut Frames, bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut messages = Vec::new();
        for piece in bytes.chunks(step) {
            frames.read(&mut piece.to_vec(), |frame| match frame {
                Frame::Message(message) => messages.push(message.to_vec()),
                Frame::Ping(bytes) => messages.push([b"ping ", bytes].concat()),
                Frame::Pong => messages.push(b"pong".to_vec()),
                Frame::Close => messages.push(b"close".to_vec()),
            })?;
        }
        Ok(messages)
    }

    #[test]
    fn messages_of_every_length_come_whole_however_they_are_cut() {
        let lens = [0, 1, 125, 126, 1000, 65_535, 65_536, 70_000];
        let sent: Vec<_> = lens.iter().map(|len| (0..*len).map(|n| n as u8).collect::<Vec<_>>()).collect();
        let bytes = sent.iter().flat_map(|message| frame(0x82, message)).collect::<Vec<_>>();
        for step in [1, 7, 4096, 65_536, bytes.len()] {
            let (mut frames, budget) = frames(100_000);
            assert_eq!(read(&mut frames, &bytes, step).unwrap(), sent, "{step}");
            assert!(!frames.is_within_message());
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let bytes = [
            frame(0x02, b"one "),
            frame(0x89, b"x"),
            frame(0x00, b"two "),
            frame(0x8a, b""),
            frame(0x80, b"three"),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        let (mut frames, _budget) = frames(100);
        let expected = [&b"ping x"[..], b"pong", b"one two three", b"close"];
        assert_eq!(read(&mut frames, &bytes, 3).unwrap(), expected);
    }

    #[test]
    fn what_the_rfc_forbids_is_refused_by_its_header() {
        for (bytes, trouble) in [
            (vec![0x82, 5, b'h'], Trouble::Protocol),
            (frame(0xc2, b"compressed"), Trouble::Protocol),
            (frame(0x81, b"text"), Trouble::Text),
            (frame(0x80, b"continues nothing"), Trouble::Protocol),
            ([frame(0x02, b"begun"), frame(0x82, b"begun again")].concat(), Trouble::Protocol),
            (frame(0x09, b"a ping in part"), Trouble::Protocol),
            (frame(0x89, &[0; 126]), Trouble::Protocol),
            (frame(0x83, b"unknown"), Trouble::Protocol),
            // Lengths that nobody will send: refused without waiting for them.
            (vec![0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], Trouble::TooLong),
            (vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], Trouble::TooLong),
            ([frame(0x02, &[0; 60]), frame(0x80, &[0; 60])].concat(), Trouble::TooLong),
        ] {
            let (mut frames, _budget) = frames(100);
            assert_eq!(read(&mut frames, &bytes, bytes.len()), Err(trouble), "{bytes:?}");
        }
    }

    #[test]
    fn long_messages_in_part_are_paid_for_by_all() {
        let budget = Arc::new(Budget::default());
        let mut many: Vec<_> = (0..8).map(|_| Frames::new(1 << 20, Arc::clone(&budget), 64 * 1024)).collect();
        let long = frame(0x82, &[0; 40_000]);
        let half = &long[..30_000];
        let refused = many.iter_mut().filter_map(|frames| read(frames, half, 4096).err()).collect::<Vec<_>>();
        assert!(!refused.is_empty() && refused.len() < 8, "{refused:?}");
        let mut other = Frames::new(1 << 20, Arc::clone(&budget), 64 * 1024);
        assert!(read(&mut other, &long[..10_000], 100).is_ok(), "short ones are free");
        drop((many, other));
        assert_eq!(budget.used(), 0);
    }
}
