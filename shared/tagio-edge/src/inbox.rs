//! What the other end of a link has sent in one session and nobody has taken yet.
//!
//! [`Inbound`] is the pure part; [`Inbox`] is it with a task that waits.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// What an entry counts beside its bytes, so that empty ones have a bound too.
const ENTRY_BYTES: usize = 64;
/// Shorter pieces of a stream are gathered: each would keep alive the buffer that it was read into, which has 16 KiB.
const SMALL_BYTES: usize = 8 * 1024;
/// So much is gathered in one entry.
const GATHERED_BYTES: usize = 16 * 1024;

/// Bytes that wait in many inboxes together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// Room for this many.
    pub fn new(bytes_max: usize) -> Self {
        Self { used: AtomicUsize::new(0), bytes_max }
    }

    /// Bytes that wait now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// How many bytes an inbox may hold, alone and with others.
#[derive(Clone, Debug)]
pub struct Room {
    /// Alone.
    pub bytes_max: usize,
    /// With others.
    pub budget: Arc<Budget>,
}

/// Why something could not be put into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// As much waits as may.
    #[error("the other side does not take what it is sent")]
    Full,
    /// The other end had said that nothing would come any more.
    #[error("data after the end")]
    AfterEnd,
}

/// What comes next in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes.
    Data(Bytes),
    /// Nothing any more in this direction.
    Finished,
    /// Nothing any more at all: the other end has closed the session.
    Closed,
    /// Nothing any more, and something is missing.
    Lost,
}

/// How far the other end has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Open,
    Finished,
    Closed,
    Lost,
}

/// One entry.
#[derive(Debug)]
enum Piece {
    Whole(Bytes),
    Gathered(BytesMut),
}

/// What waits, in order. Pure.
#[derive(Debug)]
pub struct Inbound {
    queue: VecDeque<Piece>,
    /// With [`ENTRY_BYTES`] for each. INVARIANT: as much is taken from the budget.
    bytes: usize,
    progress: Progress,
    room: Room,
}

impl Inbound {
    /// An empty one.
    pub fn new(room: Room) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, progress: Progress::Open, room }
    }

    /// Appends a datagram.
    ///
    /// # Errors
    /// Where it does not fit, or comes too late; it is dropped then.
    pub fn push(&mut self, data: Bytes) -> Result<(), Refused> {
        self.reserve(data.len() + ENTRY_BYTES)?;
        self.queue.push_back(Piece::Whole(data));
        Ok(())
    }

    /// Appends bytes of a stream.
    ///
    /// # Errors
    /// As [`Inbound::push`].
    pub fn extend(&mut self, data: Bytes) -> Result<(), Refused> {
        if data.len() > SMALL_BYTES {
            return self.push(data);
        }
        let has_room =
            matches!(self.queue.back(), Some(Piece::Gathered(last)) if last.len() < GATHERED_BYTES);
        self.reserve(if has_room { data.len() } else { data.len() + ENTRY_BYTES })?;
        match self.queue.back_mut() {
            Some(Piece::Gathered(last)) if has_room => last.extend_from_slice(&data),
            _ => self.queue.push_back(Piece::Gathered(BytesMut::from(&data[..]))),
        }
        Ok(())
    }

    fn reserve(&mut self, cost: usize) -> Result<(), Refused> {
        if self.progress != Progress::Open {
            return Err(Refused::AfterEnd);
        }
        if self.bytes + cost > self.room.bytes_max.max(cost) || !self.room.budget.take(cost) {
            return Err(Refused::Full);
        }
        self.bytes += cost;
        Ok(())
    }

    /// The other end sends no more data.
    pub fn finish(&mut self) {
        if self.progress == Progress::Open {
            self.progress = Progress::Finished;
        }
    }

    /// The session is over once what waits was taken.
    pub fn close(&mut self) {
        if self.progress != Progress::Lost {
            self.progress = Progress::Closed;
        }
    }

    /// The session is over at once: what waits is dropped.
    pub fn lose(&mut self) {
        self.progress = Progress::Lost;
        self.queue.clear();
        self.room.budget.give_back(std::mem::take(&mut self.bytes));
    }

    /// What is next, if it is known.
    pub fn take(&mut self) -> Option<Step> {
        if let Some(piece) = self.queue.pop_front() {
            let data = match piece {
                Piece::Whole(data) => data,
                Piece::Gathered(data) => data.freeze(),
            };
            let cost = data.len() + ENTRY_BYTES;
            self.bytes -= cost;
            self.room.budget.give_back(cost);
            return Some(Step::Data(data));
        }
        match self.progress {
            Progress::Open => None,
            Progress::Finished => Some(Step::Finished),
            Progress::Closed => Some(Step::Closed),
            Progress::Lost => Some(Step::Lost),
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.room.budget.give_back(self.bytes);
    }
}

/// An [`Inbound`] that one task waits for.
#[derive(Debug)]
pub struct Inbox(Mutex<(Inbound, Option<Waker>)>);

impl Inbox {
    /// An empty one.
    pub fn new(room: Room) -> Self {
        Self(Mutex::new((Inbound::new(room), None)))
    }

    /// Changes it and wakes who waits.
    pub fn change<T>(&self, change: impl FnOnce(&mut Inbound) -> T) -> T {
        let (changed, waker) = {
            let (inbound, waker) = &mut *self.lock();
            (change(inbound), waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }

    /// What comes next.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Step> {
        let (inbound, waker) = &mut *self.lock();
        match inbound.take() {
            Some(step) => Poll::Ready(step),
            None => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Inbound, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(bytes_max: usize, all_bytes_max: usize) -> Room {
        Room { bytes_max, budget: Arc::new(Budget::new(all_bytes_max)) }
    }

    fn data(bytes: &'static [u8]) -> Step {
        Step::Data(Bytes::from_static(bytes))
    }

    #[test]
    fn what_came_before_the_end_is_taken_before_it() {
        let mut inbound = Inbound::new(room(1000, 1000));
        assert_eq!(inbound.take(), None);
        inbound.push(Bytes::from_static(b"one")).expect("room");
        inbound.push(Bytes::from_static(b"two")).expect("room");
        inbound.finish();
        assert_eq!(inbound.push(Bytes::from_static(b"three")), Err(Refused::AfterEnd));
        assert_eq!((inbound.take(), inbound.take()), (Some(data(b"one")), Some(data(b"two"))));
        assert_eq!(inbound.take(), Some(Step::Finished));
        inbound.close();
        inbound.finish();
        assert_eq!(inbound.take(), Some(Step::Closed));
    }

    #[test]
    fn one_session_and_all_together_have_bounds() {
        let room = room(ENTRY_BYTES * 2 + 10, ENTRY_BYTES * 3 + 10);
        let (mut first, mut second) = (Inbound::new(room.clone()), Inbound::new(room.clone()));
        first.push(Bytes::from_static(b"0123456789")).expect("room");
        first.push(Bytes::new()).expect("room");
        assert_eq!(first.push(Bytes::new()), Err(Refused::Full));
        second.push(Bytes::new()).expect("room");
        assert_eq!(second.push(Bytes::new()), Err(Refused::Full), "the budget is used up");
        first.lose();
        first.close();
        assert_eq!(first.take(), Some(Step::Lost));
        second.push(Bytes::new()).expect("the other's room");
        drop(second);
        assert_eq!(room.budget.used(), 0);
    }

    #[test]
    fn small_pieces_of_a_stream_come_together_and_cost_what_they_are() {
        let mut inbound = Inbound::new(room(100_000, 100_000));
        for _ in 0..20_000 {
            inbound.extend(Bytes::from_static(b"x")).expect("room for their bytes");
        }
        inbound.extend(Bytes::from_static(&[b'y'; SMALL_BYTES + 1])).expect("room");
        inbound.extend(Bytes::from_static(b"x")).expect("room");
        let lens: Vec<_> = std::iter::from_fn(|| inbound.take())
            .map(|step| if let Step::Data(data) = step { data.len() } else { 0 })
            .collect();
        assert_eq!(lens, [GATHERED_BYTES, 20_000 - GATHERED_BYTES, SMALL_BYTES + 1, 1]);
        assert_eq!(inbound.room.budget.used(), 0);
    }

    #[test]
    fn what_is_longer_than_the_bound_passes_alone() {
        let mut inbound = Inbound::new(room(10, 1000));
        inbound.push(Bytes::from_static(&[0; 100])).expect("nothing else waits");
        assert_eq!(inbound.push(Bytes::from_static(b"x")), Err(Refused::Full));
    }
}
