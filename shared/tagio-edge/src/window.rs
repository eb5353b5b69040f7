//! How many bytes of a session may still be sent before the other end has passed some on.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Smallest window that is believed: less would be a message at a time.
const SMALLEST: u32 = 64 * 1024;
/// Largest.
const LARGEST: u32 = 64 * 1024 * 1024;

/// Reads what the other end holds of a session; `None` where it said nothing of use.
pub(crate) fn parse(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|bytes| *bytes >= SMALLEST).map(|bytes: u32| bytes.min(LARGEST))
}

/// See the module. One task spends.
#[derive(Debug)]
pub(crate) struct Window(Mutex<State>);

#[derive(Debug)]
struct State {
    free: u32,
    /// INVARIANT: `free` never exceeds it, whatever the other end grants.
    size: u32,
    waker: Option<Waker>,
}

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self(Mutex::new(State { free: size, size, waker: None }))
    }

    /// Takes leave to send up to `wanted` bytes, and at least one.
    pub(crate) fn poll_spend(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let mut state = self.lock();
        if state.free == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let spent = state.free.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        state.free -= spent;
        Poll::Ready(spent as usize)
    }

    /// The other end has passed these on.
    pub(crate) fn grant(&self, bytes: u32) {
        let waker = {
            let mut state = self.lock();
            state.free = state.free.saturating_add(bytes).min(state.size);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whoever waits shall look whether the session is over.
    pub(crate) fn wake(&self) {
        self.grant(0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_sent_than_the_other_end_holds() {
        let (window, mut cx) = (Window::new(100), Context::from_waker(Waker::noop()));
        assert_eq!(window.poll_spend(&mut cx, 70), Poll::Ready(70));
        assert_eq!(window.poll_spend(&mut cx, 70), Poll::Ready(30));
        assert_eq!(window.poll_spend(&mut cx, 1), Poll::Pending);
        window.grant(10);
        assert_eq!(window.poll_spend(&mut cx, 70), Poll::Ready(10));
        window.grant(u32::MAX);
        window.grant(u32::MAX);
        assert_eq!(window.poll_spend(&mut cx, 1000), Poll::Ready(100));
    }

    #[test]
    fn useless_windows_are_none() {
        assert_eq!(parse(" 65536 "), Some(65536));
        assert_eq!(parse("4294967295"), Some(LARGEST));
        for useless in ["", "0", "1000", "-1", "many", "99999999999"] {
            assert_eq!(parse(useless), None, "{useless}");
        }
    }
}
