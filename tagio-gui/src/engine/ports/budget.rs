//! Who may have how much under way: bytes that were sent on a port's stream and that the socket at its other end has
//! not taken.
//!
//! Each stream may have as much as is free for all the others (dynamic thresholds after Choudhury and Hahne, 1998). So
//! one alone gets half of everything, streams that stand still leave room for those that move, and a newcomer always
//! gets some.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

use tagio_wire::port::{PORT_PIECE_BYTES_MAX, PORT_STREAM_BYTES_MIN};
use tokio::sync::Notify;

const LOCK: &str = "no task panics while it holds the budget";

/// Less room than this is not worth a piece.
const ROOM_MIN: usize = 4 * 1024;

/// What all streams of a session have to share.
#[derive(Debug)]
pub(super) struct Budget {
    /// Below zero when streams use what each may have in any case.
    free: Mutex<isize>,
    returned: Notify,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: Mutex::new(bytes.cast_signed()), returned: Notify::new() }
    }

    fn free(&self) -> MutexGuard<'_, isize> {
        self.free.lock().expect(LOCK)
    }
}

/// What one stream has of it; given back when it ends.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    held: AtomicUsize,
}

impl Share {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), held: AtomicUsize::new(0) }
    }

    /// How many bytes may be sent now, at most a piece; waits until it is worth one.
    pub(super) async fn room(&self) -> usize {
        loop {
            let returned = self.budget.returned.notified();
            let room = self.room_now();
            if room >= ROOM_MIN {
                return room.min(PORT_PIECE_BYTES_MAX);
            }
            returned.await;
        }
    }

    fn room_now(&self) -> usize {
        let held = self.held.load(Ordering::Relaxed);
        let of_free = (*self.budget.free() - held.cast_signed()).max(0).unsigned_abs() / 2;
        of_free.max(PORT_STREAM_BYTES_MIN.saturating_sub(held))
    }

    /// So many bytes are sent.
    pub(super) fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        *self.budget.free() -= bytes.cast_signed();
    }

    /// So many bytes were taken at the other end. False if that is more than was sent.
    pub(super) fn give_back(&self, bytes: usize) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let is_honest = bytes <= held;
        if is_honest {
            self.held.store(held - bytes, Ordering::Relaxed);
            *self.budget.free() += bytes.cast_signed();
            self.budget.returned.notify_waiters();
        }
        is_honest
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let held = self.held.load(Ordering::Relaxed);
        self.give_back(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 1024 * 1024;

    /// Sends until there is no room; how much is under way then.
    fn fill(share: &Share) -> usize {
        while share.room_now() >= ROOM_MIN {
            share.take(share.room_now().min(PORT_PIECE_BYTES_MAX));
        }
        share.held.load(Ordering::Relaxed)
    }

    #[test]
    fn one_alone_gets_half_and_a_newcomer_half_of_the_rest() {
        let budget = Arc::new(Budget::new(ALL));
        let [first, second] = [(); 2].map(|()| Share::new(&budget));
        assert!(fill(&first) > ALL / 2 - 2 * ROOM_MIN);
        assert!(fill(&second) > ALL / 4 - 2 * ROOM_MIN);
        drop(first);
        assert!(fill(&second) > ALL / 2 - 2 * ROOM_MIN);
    }

    #[test]
    fn however_many_stand_still_the_next_one_moves() {
        let budget = Arc::new(Budget::new(ALL));
        let still: Vec<_> = (0..128).map(|_| Share::new(&budget)).collect();
        for share in &still {
            assert!(fill(share) >= PORT_STREAM_BYTES_MIN - ROOM_MIN);
        }
        let held: usize = still.iter().map(|share| share.held.load(Ordering::Relaxed)).sum();
        assert!(held <= ALL + still.len() * PORT_STREAM_BYTES_MIN);
    }

    #[test]
    fn credit_for_what_was_never_sent_is_a_lie() {
        let share = Share::new(&Arc::new(Budget::new(ALL)));
        share.take(10);
        assert!(share.give_back(10));
        assert!(!share.give_back(1));
    }
}
