//! What waits for one client: messages in the form in which its transport takes them, bounded in bytes.
//!
//! They stand back to back in one buffer, so that a writer takes all of them at once and a message that comes in
//! costs no allocation of its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use thiserror::Error;

/// How messages are told apart on a client's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each in a binary frame of its own, from server to client and so not masked (RFC 6455, 5.2).
    WebSocket,
    /// Each behind its length, u32be.
    Length,
    /// Not at all: each begins with its magic.
    Bare,
}

/// FIN and the opcode of a binary frame.
const BINARY: u8 = 0x82;

impl Framing {
    /// Puts what stands in front of a message of `len` bytes.
    fn put_head(self, out: &mut Vec<u8>, len: usize) {
        match self {
            Self::WebSocket => {
                out.push(BINARY);
                match (u8::try_from(len), u16::try_from(len)) {
                    (Ok(len @ ..126), _) => out.push(len),
                    (_, Ok(len)) => {
                        out.push(126);
                        out.extend_from_slice(&len.to_be_bytes());
                    }
                    _ => {
                        out.push(127);
                        out.extend_from_slice(&(len as u64).to_be_bytes());
                    }
                }
            }
            Self::Length => {
                let len = u32::try_from(len).expect("a message is shorter than a mailbox, which u32 bounds");
                out.extend_from_slice(&len.to_be_bytes());
            }
            Self::Bare => {}
        }
    }

    /// The longest that [`Self::put_head`] puts.
    const HEAD_LEN_MAX: usize = 10;
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// As much waits for this client as may.
    #[error("mailbox full")]
    Full,
    /// As much waits for all clients together as may.
    #[error("all mailboxes full")]
    AllFull,
}

/// Bytes that are held for all clients together.
#[derive(Debug, Default)]
pub struct Budget(AtomicUsize);

impl Budget {
    /// How many there are now.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes some of what `bytes_max` leaves.
    pub fn take(&self, bytes: usize, bytes_max: usize) -> Result<(), Refused> {
        // Two that come at once may both be refused where one had room; nobody gets more than there is.
        if self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > bytes_max {
            self.give(bytes);
            return Err(Refused::AllFull);
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What the relay itself may add to a mailbox that others have filled: answers to what the client says, so that
/// nobody can take them away from it.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For one client.
    pub own_bytes_max: usize,
    /// For all together.
    pub all_bytes_max: usize,
}

impl Bounds {
    /// For what the relay itself says.
    fn for_answers(self) -> Self {
        Self { own_bytes_max: self.own_bytes_max + ANSWER_BYTES_MAX, all_bytes_max: usize::MAX }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Mailbox {
    framing: Framing,
    /// Messages, framed. No memory while there are none: most clients are idle.
    waiting: Vec<u8>,
    /// So many bytes of `waiting` were taken one message at a time.
    taken: usize,
    /// INVARIANT: as much of `budget` as `waiting` and what is being written have.
    charged: usize,
    budget: Arc<Budget>,
}

impl Mailbox {
    /// An empty one.
    pub fn new(framing: Framing, budget: Arc<Budget>) -> Self {
        Self { framing, waiting: Vec::new(), taken: 0, charged: 0, budget }
    }

    /// Adds a message that comes in parts, as a whole or not at all.
    pub fn push(&mut self, parts: &[&[u8]], bounds: Bounds) -> Result<(), Refused> {
        let len = parts.iter().map(|part| part.len()).sum();
        if self.charged + len + Framing::HEAD_LEN_MAX > bounds.own_bytes_max {
            return Err(Refused::Full);
        }
        self.budget.take(len + Framing::HEAD_LEN_MAX, bounds.all_bytes_max)?;
        let before = self.waiting.len();
        self.framing.put_head(&mut self.waiting, len);
        parts.iter().for_each(|part| self.waiting.extend_from_slice(part));
        let added = self.waiting.len() - before;
        self.budget.give(len + Framing::HEAD_LEN_MAX - added);
        self.charged += added;
        Ok(())
    }

    /// Adds what the relay itself says. When even that is refused, the client reads nothing.
    pub fn answer(&mut self, message: &[u8], bounds: Bounds) -> Result<(), Refused> {
        self.push(&[message], bounds.for_answers())
    }

    /// Adds bytes that belong to the transport itself, such as a pong, as they are.
    pub fn push_raw(&mut self, bytes: &[u8], bounds: Bounds) -> Result<(), Refused> {
        let bounds = bounds.for_answers();
        if self.charged + bytes.len() > bounds.own_bytes_max {
            return Err(Refused::Full);
        }
        self.budget.take(bytes.len(), bounds.all_bytes_max)?;
        self.waiting.extend_from_slice(bytes);
        self.charged += bytes.len();
        Ok(())
    }

    /// How its messages are told apart.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Takes everything that waits, and gives `buffer`, whose capacity is used again. It counts as waiting until
    /// [`Self::written`].
    pub fn take_all(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        std::mem::swap(&mut self.waiting, &mut buffer);
        buffer.drain(..std::mem::take(&mut self.taken));
        buffer
    }

    /// What was taken is written, or will never be. An empty mailbox gives its memory back.
    pub fn written(&mut self) {
        if self.is_empty() {
            (self.waiting, self.taken) = (Vec::new(), 0);
        }
        self.release(self.charged - (self.waiting.len() - self.taken));
    }

    /// Takes the oldest message without its length. For [`Framing::Length`] only; others give `None`.
    pub fn take_one(&mut self) -> Option<Vec<u8>> {
        if self.framing != Framing::Length {
            return None;
        }
        let (len, rest) = self.waiting[self.taken..].split_first_chunk::<4>()?;
        let message = rest[..u32::from_be_bytes(*len) as usize].to_vec();
        let bytes = len.len() + message.len();
        self.taken += bytes;
        if self.taken == self.waiting.len() {
            (self.waiting, self.taken) = (Vec::new(), 0);
        } else if self.taken > self.waiting.len() / 2 {
            // No byte moves more often than once for each that was taken.
            self.waiting.drain(..std::mem::take(&mut self.taken));
        }
        self.release(bytes);
        Some(message)
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.waiting.len() == self.taken
    }

    fn release(&mut self, bytes: usize) {
        self.charged -= bytes;
        self.budget.give(bytes);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.budget.give(self.charged);
    }
}
