//! A stream over HTTP, between the requests that name it and the connection that it carries.
//!
//! Requests come and go; the stream stays, with at most a piece of bytes in either direction. Both sides wait for each
//! other: a `POST` for room or for the one before it, the relay's writer for a `GET` that says that bytes have arrived.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tagio_wire::carrier::{HTTP_IDLE, HTTP_PIECE_BYTES_MAX, HTTP_POSTS_MAX};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use super::pieces::{Gap, Inbound, Outbound};
use crate::lock::lock;

/// How long the last bytes of a stream wait to be fetched.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// How long a `POST` waits for the bytes before its own: as long as a request before it, which was lost, takes to be
/// asked again.
const GAP_WAIT: Duration = Duration::from_secs(2);

/// How far the bytes of a `POST` may be ahead: by what others bring at the same time.
const AHEAD_MAX: u64 = HTTP_POSTS_MAX * HTTP_PIECE_BYTES_MAX as u64;

/// Why a request got nothing done.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// The client is at another offset.
    #[error("expected offset {0}")]
    Gap(u64),
    /// A newer request of the same kind came, or as many as may be under way; the offset that the next one may name.
    #[error("a newer request came")]
    Superseded(u64),
    /// What the stream carried has ended.
    #[error("the stream is over")]
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Something is carried.
    Open,
    /// It has ended; what it sent last can be fetched.
    Ending,
    /// Nothing is left, or the client wants no more.
    Over,
}

struct State {
    inbound: Inbound,
    outbound: Outbound,
    stage: Stage,
    /// Of the carried connection.
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Of each kind the number of the newest request: older ones step back, of `POST`s those that are too many.
    posts: u64,
    gets: u64,
    /// When it is over unless a request comes.
    expiry: Instant,
}

/// What requests see of a stream.
pub(crate) struct Exchange {
    state: Mutex<State>,
    /// For `POST`s that wait for room, or for bytes before theirs.
    progress: Notify,
    /// For the `GET` that waits for bytes.
    bytes: Notify,
    /// For the stream's owner.
    over: Notify,
}

/// A new stream: for requests, and as the carrier.
pub(crate) fn open() -> (Arc<Exchange>, HttpStream) {
    let exchange = Arc::new(Exchange {
        state: Mutex::new(State {
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            stage: Stage::Open,
            reader: None,
            writer: None,
            posts: 0,
            gets: 0,
            expiry: Instant::now() + HTTP_IDLE,
        }),
        progress: Notify::new(),
        bytes: Notify::new(),
        over: Notify::new(),
    });
    (Arc::clone(&exchange), HttpStream(exchange))
}

impl Exchange {
    /// A `POST` comes with bytes from `offset` on: its number, and the offset up to which the relay has bytes.
    pub(crate) fn begin_post(&self, offset: u64) -> Result<(u64, u64), Trouble> {
        let mut state = lock(&self.state);
        state.touch()?;
        let end = state.inbound.end();
        if offset.saturating_sub(end) > AHEAD_MAX {
            return Err(Trouble::Gap(end));
        }
        state.posts += 1;
        self.progress.notify_waiters();
        Ok((state.posts, end))
    }

    /// Takes the bytes of `POST` number `post`, waiting until `deadline` for room and a moment for those before them,
    /// which another one may bring; the offset up to which the relay has them then.
    pub(crate) async fn accept(
        &self,
        post: u64,
        mut offset: u64,
        mut bytes: Bytes,
        deadline: Instant,
    ) -> Result<u64, Trouble> {
        let gap_deadline = deadline.min(Instant::now() + GAP_WAIT);
        loop {
            let progress = self.progress.notified();
            let gap = {
                let mut state = lock(&self.state);
                state.touch()?;
                if state.posts >= post + HTTP_POSTS_MAX {
                    return Err(Trouble::Superseded(state.inbound.end()));
                }
                match state.inbound.accept(offset, &bytes) {
                    Ok(done) => {
                        wake(&mut state.reader);
                        self.progress.notify_waiters();
                        offset += done as u64;
                        drop(bytes.split_to(done));
                        if bytes.is_empty() {
                            return Ok(offset);
                        }
                        None
                    }
                    Err(gap) => Some(gap),
                }
            };
            let waited = timeout_at(if gap.is_some() { gap_deadline } else { deadline }, progress).await;
            match gap {
                _ if waited.is_ok() => {}
                Some(gap) => return Err(gap.into()),
                None => return Ok(offset),
            }
        }
    }

    /// A `GET` comes, whose client has everything before `offset`: its number.
    pub(crate) fn begin_get(&self, offset: u64) -> Result<u64, Trouble> {
        let mut state = lock(&self.state);
        state.outbound.arrived(offset)?;
        wake(&mut state.writer);
        state.gets += 1;
        self.bytes.notify_waiters();
        Ok(state.gets)
    }

    /// The client says beside something else that it has everything before `offset`. What it said before may come
    /// later, which does no harm.
    pub(crate) fn arrived(&self, offset: u64) {
        let mut state = lock(&self.state);
        if state.outbound.arrived(offset).is_ok() {
            wake(&mut state.writer);
        }
    }

    /// Bytes for `GET` number `get` from `offset` on; `None` when there are none until `deadline`, or never again.
    pub(crate) async fn fetch(
        &self,
        get: u64,
        offset: u64,
        deadline: Instant,
    ) -> Result<Option<Bytes>, Trouble> {
        loop {
            let more = self.bytes.notified();
            {
                let mut state = lock(&self.state);
                if state.gets != get {
                    return Err(Trouble::Superseded(state.outbound.start()));
                }
                let piece = state.outbound.bytes_from(offset)?;
                if !piece.is_empty() {
                    // Its end may be near, and it has as much time as it says.
                    let _ = state.touch();
                    return Ok(Some(piece));
                }
                if state.stage != Stage::Open {
                    if !state.outbound.is_empty() {
                        return Ok(None);
                    }
                    self.end(&mut state, Stage::Over);
                }
                state.touch()?;
            }
            if timeout_at(deadline, more).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The client wants no more.
    pub(crate) fn delete(&self) {
        self.end(&mut lock(&self.state), Stage::Over);
    }

    /// Returns when the client has deleted it, was silent for too long, or has fetched everything after the end.
    pub(crate) async fn wait_over(&self) {
        loop {
            let over = self.over.notified();
            let expiry = {
                let mut state = lock(&self.state);
                if state.stage == Stage::Over {
                    return;
                }
                if state.expiry <= Instant::now() {
                    self.end(&mut state, Stage::Over);
                    return;
                }
                state.expiry
            };
            tokio::select! {
                () = over => {}
                () = sleep_until(expiry) => {}
            }
        }
    }

    fn end(&self, state: &mut State, stage: Stage) {
        state.stage = stage;
        wake(&mut state.reader);
        wake(&mut state.writer);
        self.progress.notify_waiters();
        self.bytes.notify_waiters();
        self.over.notify_waiters();
    }
}

impl State {
    /// A request came; fails at the end.
    fn touch(&mut self) -> Result<(), Trouble> {
        if self.stage != Stage::Open {
            return Err(Trouble::Over);
        }
        self.expiry = Instant::now() + HTTP_IDLE;
        Ok(())
    }
}

impl From<Gap> for Trouble {
    fn from(gap: Gap) -> Self {
        Self::Gap(gap.expected)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The relay's end of a stream. What was written can be fetched for a while after it is dropped.
pub(crate) struct HttpStream(Arc<Exchange>);

impl Drop for HttpStream {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        if state.stage == Stage::Open {
            let stage = if state.outbound.is_empty() { Stage::Over } else { Stage::Ending };
            state.expiry = Instant::now() + LAST_BYTES;
            self.0.end(&mut state, stage);
        }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        let read = state.inbound.read(buf.initialize_unfilled());
        buf.advance(read);
        if read > 0 {
            self.0.progress.notify_waiters();
        } else if state.stage == Stage::Open {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0.state);
        if state.stage != Stage::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = state.outbound.write(buf);
        if written == 0 && !buf.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.0.bytes.notify_waiters();
        Poll::Ready(Ok(written))
    }

    /// What is written waits for requests; there is nothing to hurry.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end is told when the stream is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
