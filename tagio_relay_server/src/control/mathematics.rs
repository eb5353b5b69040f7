//! The threads that do the mathematics of handshakes: one core short of all, so that packets keep flowing.
//!
//! Who is half done goes before newcomers: where more come than there is time for, everybody would else be begun and
//! nobody finished. The threads take one piece after the other, without a word with the runtime in between.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::available_parallelism,
};

use tokio::sync::oneshot;

use crate::lock::lock;

/// Whose piece it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody's first.
    Newcomer,
    /// Somebody's for whom work was done before.
    HalfDone,
}

type Piece = Box<dyn FnOnce() + Send>;

/// The way to the threads. When it is dropped, they end.
pub(crate) struct Mathematics(Arc<Desk>);

/// What waits. A connection waits for one piece at a time, so the limits of connections bound what is wanted; what was
/// given up waits for its turn at no cost but its memory, for half of an opening's time or little more.
#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    /// Tells an idle thread that there is something.
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    half_done: VecDeque<Piece>,
    newcomers: VecDeque<Piece>,
    idle: usize,
    over: bool,
}

impl Mathematics {
    /// Starts as many threads as there are cores but one, and one at least.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        let this = Self(Arc::default());
        for _ in 0..cores.saturating_sub(1).max(1) {
            let desk = Arc::clone(&this.0);
            tagio_process::spawn_named("handshakes", move || desk.work())?;
        }
        Ok(this)
    }

    /// Has `piece` done; whoever stops waiting gives it up as long as it is not begun. `None` if it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        piece: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.put(
            turn,
            Box::new(move || {
                if !answer.is_closed() {
                    // Nobody hears it when the client has left meanwhile.
                    let _ = answer.send(piece());
                }
            }),
        );
        answered.await.ok()
    }
}

impl Drop for Mathematics {
    fn drop(&mut self) {
        lock(&self.0.waiting).over = true;
        self.0.more.notify_all();
    }
}

impl Desk {
    fn put(&self, turn: Turn, piece: Piece) {
        let mut waiting = lock(&self.waiting);
        match turn {
            Turn::Newcomer => waiting.newcomers.push_back(piece),
            Turn::HalfDone => waiting.half_done.push_back(piece),
        }
        if waiting.idle > 0 {
            self.more.notify_one();
        }
    }

    fn work(&self) {
        while let Some(piece) = self.take() {
            // The handshake that panicked fails; the others go on.
            let _ = catch_unwind(AssertUnwindSafe(piece));
        }
    }

    /// The next piece, waited for; `None` at the end.
    fn take(&self) -> Option<Piece> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.over {
                return None;
            }
            let next = waiting.half_done.pop_front();
            if let Some(piece) = next.or_else(|| waiting.newcomers.pop_front()) {
                return Some(piece);
            }
            waiting.idle += 1;
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A desk whose thread starts when it is called.
    fn desk() -> Mathematics {
        Mathematics(Arc::default())
    }

    fn note(desk: &Mathematics, turn: Turn, name: &'static str, to: &mpsc::Sender<&'static str>) {
        let to = to.clone();
        desk.0.put(turn, Box::new(move || to.send(name).unwrap()));
    }

    #[test]
    fn who_is_half_done_goes_first() {
        let desk = desk();
        let (to, notes) = mpsc::channel();
        note(&desk, Turn::Newcomer, "first newcomer", &to);
        note(&desk, Turn::Newcomer, "second newcomer", &to);
        note(&desk, Turn::HalfDone, "half done", &to);
        for _ in 0..3 {
            desk.0.take().unwrap()();
        }
        assert_eq!(notes.try_iter().collect::<Vec<_>>(), ["half done", "first newcomer", "second newcomer"]);
    }

    #[tokio::test]
    async fn a_piece_that_nobody_waits_for_is_not_begun() {
        let desk = desk();
        let (to, notes) = mpsc::channel();
        let mut given_up = Box::pin(desk.run(Turn::Newcomer, move || to.send(()).unwrap()));
        assert!(futures_util::poll!(given_up.as_mut()).is_pending());
        drop(given_up);
        desk.0.take().unwrap()();
        assert!(notes.recv().is_err(), "it was dropped without a note");
    }

    #[tokio::test]
    async fn a_panic_ends_one_handshake() {
        let desk = Mathematics::start().unwrap();
        for turn in [Turn::Newcomer, Turn::HalfDone] {
            assert_eq!(desk.run(turn, || panic!("a test")).await, None::<()>);
            assert_eq!(desk.run(turn, || 5).await, Some(5));
        }
    }

    #[test]
    fn threads_end_with_their_owner() {
        let desk = desk();
        let thread = std::thread::spawn({
            let desk = Arc::clone(&desk.0);
            move || desk.work()
        });
        drop(desk);
        thread.join().unwrap();
    }
}
