//! A trunk: one connection between relay and client that carries many visitors' small pieces.
//!
//! What is ready at one time leaves in one write and is taken in by one read, and a visitor that comes costs a frame
//! instead of a connection. A visit has a [`Lane`] in it, with windows of its own, so that one that stands still holds
//! nobody up. Where much flows, a visit goes on by a data connection of its own: see [`crate::pipe::join_lane`].

mod lane;
mod outbox;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tagio_wire::{DecodeError, trunk::TrunkFrame};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, oneshot},
    task::yield_now,
};

use lane::{LaneState, Overrun};
use outbox::Outbox;

pub use lane::{Lane, Received};

/// Bytes that are taken in at once: a few of the longest frames.
const READ_BYTES: usize = 64 * 1024;
/// Lanes that a client has at once, more than a relay gives visitors to one; the next ones are reset.
const LANES_MAX: usize = 32 * 1024;
/// Visitors that have come and are not served yet: each takes a moment. The trunk waits with the next one.
pub const VISITORS_QUEUE: usize = 64;

/// Why a trunk ended.
#[derive(Debug, Error)]
pub enum TrunkError {
    /// The connection broke or ended.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    /// Its bytes are no frames.
    #[error("the other end does not speak this protocol: {0}")]
    Malformed(#[from] DecodeError),
    /// A frame that only a relay may send.
    #[error("the other end opens visits, and may not")]
    Opened,
    /// More bytes of a visit than it has a window for.
    #[error(transparent)]
    Overrun(#[from] Overrun),
}

/// A visitor that has come by a trunk.
pub struct Visitor {
    /// The number that relay and client have in their logs.
    pub request: u64,
    /// The visitor's address.
    pub from: SocketAddr,
    /// The visitor's bytes.
    pub lane: Lane,
    /// The connection by which they go on, once there is one.
    pub rest: oneshot::Receiver<TcpStream>,
}

/// One end of a trunk.
#[derive(Clone, Default)]
pub struct Trunk(Arc<State>);

#[derive(Default)]
struct State {
    outbox: Outbox,
    lanes: Mutex<HashMap<u64, Arc<LaneState>>>,
}

impl Trunk {
    /// At the relay: a way to the client for a visitor. `None`: the trunk has ended.
    pub fn open(&self, request: u64, from: SocketAddr) -> Option<Lane> {
        let state = Arc::new(LaneState::new(None));
        self.0.lanes().insert(request, Arc::clone(&state));
        let lane = Lane::new(Arc::clone(&self.0), request, state);
        // After the lane is there: whoever closes the trunk either finds it, or has closed the outbox before.
        self.0.outbox.put(request, TrunkFrame::Open(from)).then_some(lane)
    }

    /// At the client: a data connection has come on which a visit goes on. That of a visit that is over is closed.
    pub fn hand_over(&self, request: u64, data: TcpStream) {
        let lane = self.0.lanes().get(&request).cloned();
        if let Some(rest) = lane.and_then(|lane| lane.take_rest()) {
            // The visit may have ended this moment.
            let _ = rest.send(data);
        }
    }

    /// Ends it: all visits in it are reset.
    pub fn close(&self) {
        self.0.outbox.close();
        let lanes = std::mem::take(&mut *self.0.lanes());
        lanes.values().for_each(|lane| lane.reset());
    }

    /// Moves frames until the connection breaks or the trunk is closed. Who comes is given to `visitors`; a relay has
    /// nobody there.
    ///
    /// # Errors
    /// Why it ended, where it was not closed here.
    pub async fn run(
        &self,
        mut stream: TcpStream,
        visitors: Option<mpsc::Sender<Visitor>>,
    ) -> Result<(), TrunkError> {
        let _closing = Closing(self);
        let (read, write) = stream.split();
        tokio::select! {
            ended = self.read(read, visitors) => ended,
            ended = self.write(write) => Ok(ended?),
            // Also while a write waits for somebody who does not read.
            () = self.0.outbox.closed() => Ok(()),
        }
    }

    async fn read(
        &self,
        mut read: ReadHalf<'_>,
        visitors: Option<mpsc::Sender<Visitor>>,
    ) -> Result<(), TrunkError> {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            if read.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let mut used = 0;
            while let Some((request, frame, len)) = TrunkFrame::parse(&buffer[used..])? {
                match (frame, &visitors) {
                    (TrunkFrame::Open(from), Some(visitors)) => self.receive(request, from, visitors).await,
                    (frame, _) => self.0.take(request, frame)?,
                }
                used += len;
            }
            buffer.drain(..used);
        }
    }

    async fn receive(&self, request: u64, from: SocketAddr, visitors: &mpsc::Sender<Visitor>) {
        let (sender, rest) = oneshot::channel();
        let state = Arc::new(LaneState::new(Some(sender)));
        let lane = Lane::new(Arc::clone(&self.0), request, Arc::clone(&state));
        {
            let mut lanes = self.0.lanes();
            if lanes.len() >= LANES_MAX {
                return;
            }
            lanes.insert(request, state);
        }
        // Nobody serves any more: the lane is reset.
        let _ = visitors.send(Visitor { request, from, lane, rest }).await;
    }

    async fn write(&self, mut write: WriteHalf<'_>) -> io::Result<()> {
        let mut batch = Vec::new();
        while self.0.outbox.is_filled().await {
            // Who is ready now adds what it has.
            yield_now().await;
            self.0.outbox.swap(&mut batch);
            write.write_all(&batch).await?;
            self.0.outbox.written(&mut batch);
        }
        Ok(())
    }
}

impl State {
    fn lanes(&self) -> MutexGuard<'_, HashMap<u64, Arc<LaneState>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame in. Whose visit has left is nobody's.
    fn take(&self, request: u64, frame: TrunkFrame<'_>) -> Result<(), TrunkError> {
        if matches!(frame, TrunkFrame::Open(_)) {
            return Err(TrunkError::Opened);
        }
        let lane = self.lanes().get(&request).cloned();
        Ok(lane.map_or(Ok(()), |lane| lane.take(frame))?)
    }
}

/// Closes a trunk when its connection is let go of.
struct Closing<'a>(&'a Trunk);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where a session has its trunk, once it has one.
#[derive(Default)]
pub struct TrunkSlot(Mutex<Option<Trunk>>);

impl TrunkSlot {
    /// At the relay: as [`Trunk::open`].
    pub fn open(&self, request: u64, from: SocketAddr) -> Option<Lane> {
        self.lock().clone()?.open(request, from)
    }

    /// At the client: as [`Trunk::hand_over`].
    pub fn hand_over(&self, request: u64, data: TcpStream) {
        if let Some(trunk) = self.lock().clone() {
            trunk.hand_over(request, data);
        }
    }

    /// A new one, which ends the one before.
    pub fn renew(&self) -> Trunk {
        let new = Trunk::default();
        let old = self.lock().replace(new.clone());
        old.into_iter().for_each(|old| old.close());
        new
    }

    /// Ends it.
    pub fn close(&self) {
        let old = self.lock().take();
        old.into_iter().for_each(|old| old.close());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trunk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
