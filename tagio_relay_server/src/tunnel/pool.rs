//! Data connections of one session: those that wait for visitors, and visitors that wait for one.

use std::{collections::VecDeque, io, sync::Mutex, time::Duration};

use tagio_relay_core::Denial;
use tagio_tunnel::stream::Stream;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use crate::lock::lock;

/// Data connections that a client is asked to keep waiting: a browser opens six at once, and there is a second one.
pub(super) const POOL_WANTED: u16 = 16;
/// Most that may wait; a client that brings more is mistaken.
const POOL_MAX: usize = 128;

#[derive(Default)]
struct State {
    /// The freshest last: it is the likeliest to be alive, and surplus ones grow old and go.
    idle: Vec<Stream>,
    /// First come, first served; some may have given up.
    waiting: VecDeque<oneshot::Sender<Stream>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// For the control connection: visitors have begun to wait.
    pub(super) wanted: Notify,
}

impl Pool {
    /// A data connection has come.
    pub(super) fn put(&self, mut stream: Stream) -> Result<(), Denial> {
        let mut state = lock(&self.state);
        while let Some(waiting) = state.waiting.pop_front() {
            match waiting.send(stream) {
                Ok(()) => {
                    if !state.waiting.is_empty() {
                        // The client makes only some at once.
                        self.wanted.notify_one();
                    }
                    return Ok(());
                }
                Err(returned) => stream = returned,
            }
        }
        if state.idle.len() >= POOL_MAX {
            return Err(Denial::TunnelPoolFull);
        }
        state.idle.push(stream);
        Ok(())
    }

    /// One for a visitor, who waits if need be.
    pub(super) async fn take(&self, waiting_max: u32, wait: Duration) -> Result<Stream, Denial> {
        let receiver = {
            let mut state = lock(&self.state);
            while let Some(stream) = state.idle.pop() {
                if is_waiting(&stream) {
                    return Ok(stream);
                }
            }
            state.waiting.retain(|sender| !sender.is_closed());
            if state.waiting.len() >= waiting_max as usize {
                return Err(Denial::TunnelWaitingFull);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            receiver
        };
        self.wanted.notify_one();
        timeout(wait, receiver).await.ok().and_then(Result::ok).ok_or(Denial::TunnelWait)
    }

    /// Visitors that wait now.
    pub(super) fn waiting(&self) -> u16 {
        let waiting = lock(&self.state).waiting.iter().filter(|sender| !sender.is_closed()).count();
        u16::try_from(waiting).unwrap_or(u16::MAX)
    }

    /// Closes what waits, on either side.
    pub(super) fn clear(&self) {
        let mut state = lock(&self.state);
        state.idle.clear();
        state.waiting.clear();
    }
}

/// Whether the client's end is still open and silent, as it has to be.
fn is_waiting(stream: &Stream) -> bool {
    stream.socket().is_some_and(
        |socket| matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock),
    )
}
