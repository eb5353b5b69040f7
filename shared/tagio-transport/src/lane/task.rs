//! A lane with a task of its own, for frames that come one at a time.

use std::time::Duration;

use tagio_wire::session::StreamKind;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{LaneSender, Memory};
use crate::{
    connection::Connection,
    error::{Lost, StreamError},
};

/// How long the peer may take for last words; a little longer than for the end of a stream.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Frames that wait; when full, whoever sends waits for the peer.
const QUEUE: usize = 64;

/// Sends small frames. Dropped, it sends no more.
#[derive(Debug)]
pub struct Lane {
    frames: mpsc::Sender<Vec<u8>>,
    task: JoinSet<()>,
}

impl Lane {
    /// Starts a lane of this kind to the peer.
    pub fn spawn(connection: &Connection, kind: StreamKind) -> Self {
        let (frames, mut waiting) = mpsc::channel::<Vec<u8>>(QUEUE);
        let mut sender = LaneSender::new(connection, kind, Memory::Recent);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                tokio::select! {
                    frame = waiting.recv(), if sender.is_idle() => match frame {
                        Some(frame) => drop(sender.push(&frame, Vec::new())),
                        None => return sender.finish().await,
                    },
                    worked = sender.work() => if worked.is_err() {
                        return;
                    },
                }
            }
        });
        Self { frames, task }
    }

    /// Sends a frame; waits while the peer takes no more. Cancel safe.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send(&self, frame: Vec<u8>) -> Result<(), StreamError> {
        self.frames.send(frame).await.map_err(|_| Lost::ByUs.into())
    }

    /// Says that nothing more comes, and waits until the peer has it all, but not for long: this is for last words.
    pub async fn finish(mut self) {
        drop(self.frames);
        timeout(LAST_WORDS, self.task.join_next()).await.ok();
    }
}
