//! Waiting for something with a limit, by looking again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(15);

/// The first `Some` of `look`, or `None` when the limit has passed.
pub fn eventually<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

/// Waits until `holds`.
///
/// # Panics
/// When the limit passes first, with what was awaited.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let held = eventually(limit, || holds().then_some(()));
    assert!(held.is_some(), "waited {limit:?} in vain for: {what}");
}
