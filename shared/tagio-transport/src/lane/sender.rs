//! The sending end of a lane.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use tagio_wire::session::StreamKind;
use tokio::task::JoinSet;

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
    /// The streams before, until the peer needs them no more. QUIC bounds how many there are.
    before: JoinSet<()>,
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
            before: JoinSet::new(),
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

    /// The frames before this one have arrived. While some are not written this is not looked at: the peer may have
    /// stopped the stream in which it would otherwise get them.
    pub fn forget_below(&mut self, number: u64) {
        if self.is_idle() {
            self.kept.forget_below(number);
        }
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
        let (stream, unwritten) = (&mut self.stream, &mut self.unwritten);
        tokio::select! {
            biased;
            () = self.strandings.next() => {
                self.start_again();
                Ok(())
            }
            written = write_some(&self.connection, self.kind, stream, unwritten), if !unwritten.is_empty() => written,
        }
    }

    /// Says that nothing more comes, and waits a little until the peer has it all.
    pub async fn finish(mut self) {
        loop {
            while !self.is_idle() {
                if self.work().await.is_err() {
                    return;
                }
            }
            let Some(stream) = &mut self.stream else { return };
            tokio::select! {
                () = stream.finish_soon() => return,
                () = self.strandings.next() => self.start_again(),
            }
        }
    }

    /// Goes on in another stream, with what may not have arrived.
    fn start_again(&mut self) {
        let (first, frames) = self.kept.all(Instant::now());
        let parts: Vec<Bytes> = frames.flatten().filter(|part| !part.is_empty()).cloned().collect();
        if parts.is_empty() {
            return;
        }
        tracing::debug!(kind = ?self.kind, first, end = self.kept.end(), "frames sent again");
        let head = self.head(first);
        while self.before.try_join_next().is_some() {}
        if let Some(mut stream) = self.stream.take() {
            self.before.spawn(async move {
                stream.stopped().await;
                stream.reset();
            });
        }
        self.unwritten = std::iter::once(head).chain(parts).collect();
    }

    /// How a stream begins whose first frame has this number.
    fn head(&self, first: u64) -> Bytes {
        [&[self.kind.byte()][..], &first.to_be_bytes()].concat().into()
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
