//! Frames that wait to be written: everybody's, in one buffer, for one write.

use std::{
    io, mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tagio_wire::trunk::TrunkFrame;
use tokio::sync::Notify;

/// Bytes that may wait; who has data waits then. As many are being written meanwhile. Some writes' worth: more would
/// only make small pieces wait behind large ones.
const WAITING_BYTES_MAX: usize = 128 * 1024;
/// With the frames that wait for no room. Who lets so much pile up does not read: the trunk ends.
const PILE_BYTES_MAX: usize = 1024 * 1024;
/// A larger buffer is not kept for the next write.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// For the writer: the first bytes have come, or nobody wants it to go on.
    filled: Notify,
    /// For all who wait for room or for their end to be written.
    progress: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that were ever put in, and of these written.
    put: u64,
    written: u64,
    is_closed: bool,
}

impl Outbox {
    /// Puts in a frame that is no data, of which each visit has a few at most. Whether the trunk still stands.
    pub(super) fn put(&self, visit: u64, frame: TrunkFrame<'_>) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        if state.waiting.len() >= PILE_BYTES_MAX {
            drop(state);
            self.close();
            return false;
        }
        self.append(&mut state, visit, frame);
        true
    }

    /// Puts in data as soon as there is room.
    pub(super) async fn put_data(&self, visit: u64, data: &[u8]) -> io::Result<()> {
        loop {
            let progress = self.progress.notified();
            {
                let mut state = self.lock();
                if state.is_closed {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if state.waiting.len() < WAITING_BYTES_MAX {
                    self.append(&mut state, visit, TrunkFrame::Data(data));
                    return Ok(());
                }
            }
            progress.await;
        }
    }

    fn append(&self, state: &mut State, visit: u64, frame: TrunkFrame<'_>) {
        let before = state.waiting.len();
        frame.put(visit, &mut state.waiting);
        state.put += (state.waiting.len() - before) as u64;
        if before == 0 {
            self.filled.notify_one();
        }
    }

    /// Waits until all that is in now is written.
    pub(super) async fn flush(&self) -> io::Result<()> {
        let until = self.lock().put;
        loop {
            let progress = self.progress.notified();
            {
                let state = self.lock();
                if state.written >= until {
                    return Ok(());
                }
                if state.is_closed {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
            progress.await;
        }
    }

    /// For the writer: waits for bytes. `false`: closed.
    pub(super) async fn is_filled(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if state.is_closed || !state.waiting.is_empty() {
                    return !state.is_closed;
                }
            }
            self.filled.notified().await;
        }
    }

    /// For the writer: gives it what waits, for a batch that is empty.
    pub(super) fn swap(&self, batch: &mut Vec<u8>) {
        mem::swap(&mut self.lock().waiting, batch);
    }

    /// For the writer: a batch was written, and may be filled again.
    pub(super) fn written(&self, batch: &mut Vec<u8>) {
        self.lock().written += batch.len() as u64;
        self.progress.notify_waiters();
        batch.clear();
        batch.shrink_to(KEPT_BYTES_MAX);
    }

    /// Waits until it is closed.
    pub(super) async fn closed(&self) {
        loop {
            let progress = self.progress.notified();
            if self.lock().is_closed {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
        self.progress.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
