//! The sending end of a lane.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use tagio_wire::session::StreamKind;

use super::{
    Memory,
    kept::{Frame, Kept},
};
use crate::{
    connection::{Connection, SendStream, Strandings},
    error::StreamError,
};

/// Sends the frames of a lane, as long as its owner calls [`Self::work`].
#[derive(Debug)]
pub struct LaneSender {
    connection: Connection,
    kind: StreamKind,
    strandings: Strandings,
    kept: Kept,
    /// Opened with the first frame.
    stream: Option<SendStream>,
    /// What is still to be written to it.
    unwritten: VecDeque<Bytes>,
    /// The stream before, until the peer needs it no more.
    before: Option<SendStream>,
}

impl LaneSender {
    /// A lane of this kind to the peer.
    pub fn new(connection: &Connection, kind: StreamKind, memory: Memory) -> Self {
        Self {
            connection: connection.clone(),
            kind,
            strandings: connection.strandings(),
            kept: Kept::new(memory),
            stream: None,
            unwritten: VecDeque::new(),
            before: None,
        }
    }

    /// Takes a frame, which consists of these two parts, and says its number. [`Self::work`] sends it.
    ///
    /// # Panics
    /// At 4 GiB and more.
    pub fn push(&mut self, head: &[u8], rest: Vec<u8>) -> u64 {
        let length = u32::try_from(head.len() + rest.len()).expect("a frame is short of 4 GiB");
        let frame: Frame = [[&length.to_be_bytes()[..], head].concat().into(), rest.into()];
        let number = self.kept.end();
        if self.stream.is_none() && self.unwritten.is_empty() {
            self.unwritten.push_back(self.head(number));
        }
        self.unwritten.extend(frame.iter().filter(|part| !part.is_empty()).cloned());
        self.kept.push(frame, Instant::now());
        number
    }

    /// The frames before this one have arrived.
    pub fn forget_below(&mut self, number: u64) {
        self.kept.forget_below(number);
    }

    /// Whether all frames are written; only then should another be pushed.
    pub fn is_idle(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Does a piece of the lane's work, or waits until there is some. Cancel safe.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn work(&mut self) -> Result<(), StreamError> {
        let (stream, unwritten, before) = (&mut self.stream, &mut self.unwritten, &mut self.before);
        tokio::select! {
            biased;
            () = self.strandings.next() => {
                self.start_again();
                Ok(())
            }
            () = stopped(before.as_ref()), if before.is_some() => {
                before.take().as_mut().map(SendStream::reset);
                Ok(())
            }
            written = write_some(&self.connection, self.kind, stream, unwritten), if !unwritten.is_empty() => written,
        }
    }

    /// Says that nothing more comes, and waits a little until the peer has it all.
    pub async fn finish(mut self) {
        while !self.is_idle() {
            if self.work().await.is_err() {
                return;
            }
        }
        if let Some(stream) = &mut self.stream {
            tokio::select! {
                () = stream.finish_soon() => {}
                () = self.strandings.next() => {
                    self.start_again();
                    Box::pin(self.finish()).await;
                }
            }
        }
    }

    /// Goes on in another stream, with what may not have arrived.
    fn start_again(&mut self) {
        let (first, frames) = self.kept.all();
        let parts: Vec<Bytes> = frames.flatten().filter(|part| !part.is_empty()).cloned().collect();
        if parts.is_empty() {
            return;
        }
        tracing::debug!(kind = ?self.kind, first, end = self.kept.end(), "frames sent again");
        let head = self.head(first);
        self.before = self.stream.take();
        self.unwritten = std::iter::once(head).chain(parts).collect();
    }

    /// How a stream begins whose first frame has this number.
    fn head(&self, first: u64) -> Bytes {
        [&[self.kind.byte()][..], &first.to_be_bytes()].concat().into()
    }
}

/// Waits until the peer needs no more of a stream.
async fn stopped(stream: Option<&SendStream>) {
    if let Some(stream) = stream {
        stream.stopped().await;
    }
}

async fn write_some(
    connection: &Connection,
    kind: StreamKind,
    stream: &mut Option<SendStream>,
    unwritten: &mut VecDeque<Bytes>,
) -> Result<(), StreamError> {
    let stream = match stream {
        Some(stream) => stream,
        None => stream.insert(connection.open_uni(kind.priority()).await?),
    };
    stream.write_chunks(unwritten).await
}
