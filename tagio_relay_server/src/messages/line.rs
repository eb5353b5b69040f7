//! The way to one client: its mailbox, and who is to be woken when something comes.
//!
//! Whoever pushes never waits. One task writes, or one request at a time fetches.

use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tagio_relay_core::{
    Denial,
    messages::{Bounds, Budget, Framing, Mailbox, mailbox::Refused},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    lock::lock,
    outbox::{WriteError, write_all},
};

/// A WebSocket ping without contents (RFC 6455, 5.5.2), not masked.
const WEBSOCKET_PING: [u8; 2] = [0x89, 0];
/// A WebSocket close frame with the code 1001, "going away" (RFC 6455, 7.4.1).
const WEBSOCKET_GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// How long, and how often, a refused client is listened to: a round trip and what was under way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_READS_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What is in it is still written.
    Finishing,
    /// What is in it is lost.
    Over,
}

struct State {
    mailbox: Mailbox,
    stage: Stage,
    /// Of whoever takes what comes.
    taker: Option<Waker>,
    /// The number of the newest request that fetches: an older one steps back.
    fetches: u64,
}

/// See the module.
pub(crate) struct Line {
    state: Mutex<State>,
    bounds: Bounds,
}

impl Line {
    pub(crate) fn new(framing: Framing, budget: Arc<Budget>, bounds: Bounds) -> Arc<Self> {
        let mailbox = Mailbox::new(framing, budget);
        let state = State { mailbox, stage: Stage::Open, taker: None, fetches: 0 };
        Arc::new(Self { state: Mutex::new(state), bounds })
    }

    /// Adds a message from another client, in parts.
    pub(crate) fn push(&self, parts: &[&[u8]]) -> Result<(), Refused> {
        self.add(|mailbox, bounds| mailbox.push(parts, bounds))
    }

    /// Adds what the relay itself says.
    pub(crate) fn answer(&self, message: &[u8]) -> Result<(), Refused> {
        self.add(|mailbox, bounds| mailbox.answer(message, bounds))
    }

    /// Adds bytes of the transport itself.
    pub(crate) fn push_raw(&self, bytes: &[u8]) -> Result<(), Refused> {
        self.add(|mailbox, bounds| mailbox.push_raw(bytes, bounds))
    }

    /// Asks for a sign of life, where the transport can.
    pub(crate) fn ask(&self) {
        let framing = lock(&self.state).mailbox.framing();
        if framing == Framing::WebSocket {
            // A full mailbox is a question already: whoever reads it shows to be alive.
            let _ = self.push_raw(&WEBSOCKET_PING);
        }
    }

    /// The relay stops: says so, where the transport can.
    pub(crate) fn go_away(&self) {
        if lock(&self.state).mailbox.framing() == Framing::WebSocket {
            // Where it does not fit, nobody reads.
            let _ = self.push_raw(&WEBSOCKET_GOING_AWAY);
        }
        self.finish();
    }

    /// Nothing more comes; what is in it is still written.
    pub(crate) fn finish(&self) {
        self.end(Stage::Finishing);
    }

    /// It is over at once.
    pub(crate) fn cut(&self) {
        self.end(Stage::Over);
    }

    /// Writes everything to `stream` until the end.
    pub(crate) async fn write_to(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        stall: Duration,
    ) -> Result<(), WriteError> {
        let mut buffer = Vec::new();
        while let Some(bytes) = poll_fn(|cx| self.poll_take_all(cx, &mut buffer)).await {
            write_all(stream, &bytes, stall).await?;
            // TLS may have kept some of it.
            timeout(stall, stream.flush()).await.map_err(|_| WriteError::Stalled)??;
            buffer = bytes;
        }
        // The other side learns that this was all; it may be gone already.
        let _ = timeout(stall, stream.shutdown()).await;
        Ok(())
    }

    /// What waits, or comes until `deadline`: one message as it is, or all with their lengths. `None` when nothing
    /// comes, the line is over, or a newer request fetches.
    pub(crate) async fn fetch(&self, all: bool, deadline: Instant) -> Option<Vec<u8>> {
        let number = {
            let mut state = lock(&self.state);
            state.fetches += 1;
            if let Some(older) = state.taker.take() {
                older.wake();
            }
            state.fetches
        };
        let fetched = poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.fetches != number || state.stage == Stage::Over {
                return Poll::Ready(None);
            }
            if state.mailbox.is_empty() && state.stage != Stage::Open {
                return Poll::Ready(None);
            }
            if state.mailbox.is_empty() {
                state.taker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let mailbox = &mut state.mailbox;
            if !all {
                return Poll::Ready(mailbox.take_one());
            }
            let messages = mailbox.take_all(Vec::new());
            // Whether the answer arrives is not known here: HTTP has no word for that.
            mailbox.written();
            Poll::Ready(Some(messages))
        });
        timeout_at(deadline, fetched).await.ok().flatten()
    }

    fn add(&self, add: impl FnOnce(&mut Mailbox, Bounds) -> Result<(), Refused>) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if state.stage != Stage::Open {
            return Ok(());
        }
        add(&mut state.mailbox, self.bounds)?;
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        Ok(())
    }

    fn end(&self, stage: Stage) {
        let mut state = lock(&self.state);
        if state.stage != Stage::Over {
            state.stage = stage;
        }
        if let Some(taker) = state.taker.take() {
            taker.wake();
        }
    }

    /// Everything that waits; `None` after the end. `buffer` was written, and its memory is used again.
    fn poll_take_all(&self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<Option<Vec<u8>>> {
        let mut state = lock(&self.state);
        state.mailbox.written();
        if state.stage == Stage::Over {
            return Poll::Ready(None);
        }
        if !state.mailbox.is_empty() {
            return Poll::Ready(Some(state.mailbox.take_all(mem::take(buffer))));
        }
        if state.stage == Stage::Finishing {
            return Poll::Ready(None);
        }
        // Most clients are idle most of the time.
        *buffer = Vec::new();
        state.taker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Reads what a refused client still sends, for a moment: a system that closes a connection with unread bytes takes
/// the last words back.
pub(crate) async fn linger(stream: &mut (impl AsyncRead + Unpin)) {
    let reading = async {
        let mut buffer = [0; 1024];
        for _ in 0..LINGER_READS_MAX {
            if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                return;
            }
        }
    };
    // Who neither reads nor closes gets no more time.
    let _ = timeout(LINGER, reading).await;
}

/// Says why somebody is not let in, and closes.
pub(crate) async fn turn_away(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    last_words: &[u8],
    stall: Duration,
) {
    let told = async {
        write.write_all(last_words).await?;
        write.shutdown().await
    };
    if let Ok(Ok(())) = timeout(stall, told).await {
        linger(&mut read).await;
    }
}

/// How a connection ended that was written to.
pub(crate) fn stalled(written: Result<(), WriteError>) -> Result<(), Denial> {
    match written {
        Err(WriteError::Stalled) => Err(Denial::WriteStalled),
        Ok(()) | Err(WriteError::Io(_)) => Ok(()),
    }
}
