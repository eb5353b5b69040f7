//! Frames that wait for one TCP connection: bounded in bytes, written by one task, many at once.
//!
//! The bound covers what waits *and* what is being written. Whoever pushes never waits: a full outbox
//! refuses, and its owner decides what that means.

use std::{io, mem, sync::Mutex, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::lock::lock;

/// Length prefix of a frame.
const PREFIX_LEN: usize = 2;

/// The frame does not fit.
#[derive(Debug, Error)]
#[error("outbox full")]
pub(crate) struct Full;

/// Why a connection's writer ended.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    /// The other side takes nothing.
    #[error("write stalled")]
    Stalled,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What is in it is still written.
    Finishing,
    /// What is in it is lost.
    Aborted,
}

struct State {
    /// `u16be length` + bytes, repeated. No memory while it is empty: most clients are idle.
    frames: Vec<u8>,
    in_flight: usize,
    stage: Stage,
}

/// See the module.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// For the one writer.
    changed: Notify,
    /// For the connection's owner.
    aborted: Notify,
    bytes_max: usize,
}

impl Outbox {
    pub(crate) fn new(bytes_max: u32) -> Self {
        Self {
            state: Mutex::new(State { frames: Vec::new(), in_flight: 0, stage: Stage::Open }),
            changed: Notify::new(),
            aborted: Notify::new(),
            bytes_max: bytes_max as usize,
        }
    }

    /// Adds a frame. One that comes after the end is forgotten.
    pub(crate) fn push(&self, frame: &[u8]) -> Result<(), Full> {
        let Ok(len) = u16::try_from(frame.len()) else { return Err(Full) };
        let mut state = lock(&self.state);
        if state.stage != Stage::Open {
            return Ok(());
        }
        if state.in_flight + state.frames.len() + PREFIX_LEN + frame.len() > self.bytes_max {
            return Err(Full);
        }
        let was_empty = state.frames.is_empty();
        state.frames.extend_from_slice(&len.to_be_bytes());
        state.frames.extend_from_slice(frame);
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Adds frames with their prefixes, in order, until one does not fit; how many were left out.
    pub(crate) fn push_frames(&self, frames: &[u8]) -> u64 {
        let mut state = lock(&self.state);
        if state.stage != Stage::Open {
            return 0;
        }
        let room = self.bytes_max.saturating_sub(state.in_flight + state.frames.len());
        let fitting = frames_within(frames, room);
        let was_empty = state.frames.is_empty();
        state.frames.extend_from_slice(&frames[..fitting]);
        drop(state);
        if was_empty && fitting > 0 {
            self.changed.notify_one();
        }
        frames_of(&frames[fitting..]).count() as u64
    }

    /// Writes what is in it, then closes.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.state);
        if state.stage == Stage::Open {
            state.stage = Stage::Finishing;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Closes at once.
    pub(crate) fn abort(&self) {
        let mut state = lock(&self.state);
        state.stage = Stage::Aborted;
        state.frames = Vec::new();
        drop(state);
        self.changed.notify_one();
        self.aborted.notify_one();
    }

    /// Returns when it is closed at once.
    pub(crate) async fn wait_aborted(&self) {
        self.aborted.notified().await;
    }

    /// Whether everything is written.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.frames.is_empty() && state.in_flight == 0
    }

    /// All frames that wait; `None` after the end. The next ones are gathered in `spare`, which is empty, unless
    /// there is nothing to do: who waits keeps no memory.
    async fn take(&self, mut spare: Vec<u8>) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = lock(&self.state);
                state.in_flight = 0;
                if !state.frames.is_empty() {
                    let frames = mem::replace(&mut state.frames, spare);
                    state.in_flight = frames.len();
                    return Some(frames);
                }
                if state.stage != Stage::Open {
                    return None;
                }
                state.frames = Vec::new();
            }
            spare = Vec::new();
            self.changed.notified().await;
        }
    }

    /// Writes everything to `stream` until the end, each batch as `transform` makes it.
    pub(crate) async fn write_to(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        stall: Duration,
        mut transform: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Result<(), WriteError> {
        let mut spare = Vec::new();
        while let Some(frames) = self.take(spare).await {
            let mut batch = transform(frames);
            write_all(stream, &batch, stall).await?;
            // TLS and WebSocket may have kept some of it.
            timeout(stall, stream.flush()).await.map_err(|_| WriteError::Stalled)??;
            batch.clear();
            spare = batch;
        }
        // The other side learns that this was all; it may be gone already.
        let _ = timeout(stall, stream.shutdown()).await;
        Ok(())
    }
}

/// Writes `bytes` to a connection that must take some of them every `stall`.
pub(crate) async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    stall: Duration,
) -> Result<(), WriteError> {
    while !bytes.is_empty() {
        match timeout(stall, stream.write(bytes)).await {
            Err(_) => return Err(WriteError::Stalled),
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(Ok(written)) => bytes = &bytes[written..],
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How many bytes the frames at the start of a batch have that fit into `room`.
fn frames_within(batch: &[u8], room: usize) -> usize {
    if batch.len() <= room {
        return batch.len();
    }
    let ends = frames_of(batch).scan(0, |end, frame| {
        *end += PREFIX_LEN + frame.len();
        Some(*end)
    });
    ends.take_while(|end| *end <= room).last().unwrap_or_default()
}

/// The frames in a batch.
pub(crate) fn frames_of(mut batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (prefix, rest) = batch.split_first_chunk::<PREFIX_LEN>()?;
        let (frame, rest) = rest.split_at_checked(u16::from_be_bytes(*prefix).into())?;
        batch = rest;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_that_do_not_fit_are_left_out_whole() {
        let outbox = Outbox::new(8);
        let frames = [0, 1, 7, 0, 2, 8, 9, 0, 1, 6];
        assert_eq!(outbox.push_frames(&frames), 1);
        assert_eq!(outbox.push_frames(&frames[7..]), 1, "7 of 8 bytes are there");
        assert_eq!(outbox.take(Vec::new()).await.unwrap(), frames[..7]);
        assert_eq!(outbox.push_frames(&frames[7..]), 1, "and are being written");
        outbox.finish();
        assert_eq!(outbox.push_frames(&frames), 0, "nobody misses what comes after the end");
        assert_eq!(outbox.take(Vec::new()).await, None);
    }
}
