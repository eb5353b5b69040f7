//! What the picture thread is told: merged as it comes in, so that it is never more than one entry a viewer.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tagio_wire::{picture::UpdateNumber, session::ViewWish};

use super::{Audience, PathNews, stage::Viewer};
use crate::engine::status::ViewerId;

const LOCK: &str = "no thread panics while it holds the mailbox";

/// Everything that happened since the thread looked last.
#[derive(Debug, Default)]
pub(super) struct Letters {
    pub(super) joined: Vec<(ViewerId, Audience)>,
    pub(super) left: Vec<ViewerId>,
    pub(super) acked: BTreeMap<ViewerId, (UpdateNumber, Duration)>,
    pub(super) refresh: BTreeSet<ViewerId>,
    pub(super) wishes: BTreeMap<ViewerId, ViewWish>,
    pub(super) watching: BTreeMap<ViewerId, bool>,
    pub(super) paths: BTreeMap<ViewerId, (Duration, PathNews)>,
    /// Something on the screen may have changed.
    pub(super) woken: bool,
    stop: bool,
}

impl Letters {
    fn any(&self) -> bool {
        self.woken
            || self.stop
            || !self.joined.is_empty()
            || !self.left.is_empty()
            || !self.acked.is_empty()
            || !self.wishes.is_empty()
            || !self.refresh.is_empty()
            || !self.watching.is_empty()
            || !self.paths.is_empty()
    }
}

/// Why the thread went on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mail {
    Go,
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    ready: Condvar,
    /// Viewers while the screen is away.
    parked: Mutex<BTreeMap<ViewerId, Viewer>>,
}

impl Mailbox {
    fn post(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters.lock().expect(LOCK));
        self.ready.notify_one();
    }

    pub(super) fn wake(&self) {
        self.post(|letters| letters.woken = true);
    }

    pub(super) fn stop(&self) {
        self.post(|letters| letters.stop = true);
    }

    pub(super) fn join(&self, viewer: ViewerId, audience: Audience) {
        self.post(|letters| letters.joined.push((viewer, audience)));
    }

    pub(super) fn leave(&self, viewer: ViewerId) {
        self.post(|letters| letters.left.push(viewer));
    }

    pub(super) fn acked(&self, viewer: ViewerId, number: UpdateNumber, held: Duration) {
        self.post(|letters| {
            letters.acked.insert(viewer, (number, held));
        });
    }

    pub(super) fn refresh(&self, viewer: ViewerId) {
        self.post(|letters| {
            letters.refresh.insert(viewer);
        });
    }

    pub(super) fn wish(&self, viewer: ViewerId, wish: ViewWish) {
        self.post(|letters| {
            letters.wishes.insert(viewer, wish);
        });
    }

    pub(super) fn watching(&self, viewer: ViewerId, watching: bool) {
        self.post(|letters| {
            letters.watching.insert(viewer, watching);
        });
    }

    pub(super) fn path(&self, viewer: ViewerId, rtt: Duration, news: PathNews) {
        self.post(|letters| {
            let entry = letters.paths.entry(viewer).or_insert((rtt, news));
            // That the path changed must not be forgotten over a later measurement of it.
            let news = if entry.1 == PathNews::Changed { PathNews::Changed } else { news };
            *entry = (rtt, news);
        });
    }

    pub(super) fn parked(&self) -> MutexGuard<'_, BTreeMap<ViewerId, Viewer>> {
        self.parked.lock().expect(LOCK)
    }

    /// Waits for letters, at most for `patience`, and takes them.
    pub(super) fn take(&self, patience: Option<Duration>) -> (Mail, Letters) {
        let letters = self.letters.lock().expect(LOCK);
        let mut letters = match patience {
            None => self.ready.wait_while(letters, |letters| !letters.any()).expect(LOCK),
            Some(patience) => {
                self.ready.wait_timeout_while(letters, patience, |letters| !letters.any()).expect(LOCK).0
            }
        };
        let mail = if letters.stop { Mail::Stop } else { Mail::Go };
        (mail, mem::take(&mut letters))
    }

    /// Waits for `patience`, or until the thread is to stop; letters stay.
    pub(super) fn pause(&self, patience: Duration) -> Mail {
        let until = Instant::now() + patience;
        let mut letters = self.letters.lock().expect(LOCK);
        while !letters.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Mail::Go;
            }
            letters = self.ready.wait_timeout(letters, left).expect(LOCK).0;
        }
        Mail::Stop
    }
}
