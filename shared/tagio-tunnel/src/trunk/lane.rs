//! One visit in a trunk: two directions, each with a window.

use std::{
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tagio_wire::trunk::{TRUNK_DATA_BYTES_MAX, TRUNK_WINDOW_BYTES, TrunkFrame};
use thiserror::Error;
use tokio::{
    net::TcpStream,
    sync::{Notify, oneshot},
};

use super::State;

/// Bytes that were passed on before the sender hears of it: half a window, so that it need not wait for that.
const CREDIT_BYTES: usize = TRUNK_WINDOW_BYTES / 2;

/// The other end sends more than it has a window for.
#[derive(Debug, Error)]
#[error("the other end does not keep to the window")]
pub struct Overrun;

/// What comes next in the direction to here.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes, as many as there were.
    Data(Vec<u8>),
    /// Nothing more.
    End,
    /// The rest, by the visit's data connection.
    Moved,
}

/// How far a direction is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Flowing,
    Ended,
    Moved,
}

/// What trunk and visit share.
pub(super) struct LaneState {
    inner: Mutex<Inner>,
    /// For the one who receives.
    arrived: Notify,
    /// For the one who sends.
    credited: Notify,
}

struct Inner {
    /// Arrived and not yet received.
    inbox: Vec<u8>,
    /// Bytes that may still arrive.
    window: usize,
    /// Bytes that were passed on, and that the sender has not heard of.
    passed_on: usize,
    inward: Stage,
    /// Bytes that may be sent.
    credit: usize,
    outward: Stage,
    is_reset: bool,
    /// For the connection by which the visit goes on, at a client.
    rest: Option<oneshot::Sender<TcpStream>>,
}

impl LaneState {
    pub(super) fn new(rest: Option<oneshot::Sender<TcpStream>>) -> Self {
        let inner = Inner {
            inbox: Vec::new(),
            window: TRUNK_WINDOW_BYTES,
            passed_on: 0,
            inward: Stage::default(),
            credit: TRUNK_WINDOW_BYTES,
            outward: Stage::default(),
            is_reset: false,
            rest,
        };
        Self { inner: Mutex::new(inner), arrived: Notify::new(), credited: Notify::new() }
    }

    /// Takes in a frame of the other end.
    pub(super) fn take(&self, frame: TrunkFrame<'_>) -> Result<(), Overrun> {
        let mut inner = self.lock();
        match frame {
            TrunkFrame::Data(data) => {
                inner.window = inner.window.checked_sub(data.len()).ok_or(Overrun)?;
                inner.inbox.extend_from_slice(data);
            }
            TrunkFrame::Credit(bytes) => {
                inner.credit = inner.credit.saturating_add(bytes as usize);
                drop(inner);
                self.credited.notify_one();
                return Ok(());
            }
            TrunkFrame::End => inner.inward = Stage::Ended,
            TrunkFrame::Moved => inner.inward = Stage::Moved,
            TrunkFrame::Reset | TrunkFrame::Open(_) => {
                drop(inner);
                self.reset();
                return Ok(());
            }
        }
        drop(inner);
        self.arrived.notify_one();
        Ok(())
    }

    /// The visit is broken.
    pub(super) fn reset(&self) {
        let mut inner = self.lock();
        inner.is_reset = true;
        inner.rest = None;
        drop(inner);
        self.arrived.notify_one();
        self.credited.notify_one();
    }

    pub(super) fn take_rest(&self) -> Option<oneshot::Sender<TcpStream>> {
        self.lock().rest.take()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A visit's place in a trunk. One that is dropped before both directions have ended or moved is reset.
pub struct Lane {
    trunk: Arc<State>,
    request: u64,
    state: Arc<LaneState>,
}

impl Lane {
    pub(super) fn new(trunk: Arc<State>, request: u64, state: Arc<LaneState>) -> Self {
        Self { trunk, request, state }
    }

    /// Sends bytes, as the window allows.
    ///
    /// # Errors
    /// The visit is broken.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.spend(bytes.len()).await?);
            self.trunk.outbox.put_data(self.request, piece).await?;
            bytes = rest;
        }
        Ok(())
    }

    /// Waits until at least one of so many bytes may be sent; how many may.
    async fn spend(&self, len: usize) -> io::Result<usize> {
        loop {
            {
                let mut inner = self.state.lock();
                if inner.is_reset {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                let allowed = len.min(inner.credit).min(TRUNK_DATA_BYTES_MAX);
                if allowed > 0 {
                    inner.credit -= allowed;
                    return Ok(allowed);
                }
            }
            self.state.credited.notified().await;
        }
    }

    /// Says that nothing more comes from here, and waits until that is on its way.
    ///
    /// # Errors
    /// The visit is broken.
    pub async fn end(&self) -> io::Result<()> {
        if !self.close_outward(Stage::Ended, TrunkFrame::End) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.trunk.outbox.flush().await
    }

    /// Says that the rest comes by the visit's data connection.
    pub fn moved(&self) {
        self.close_outward(Stage::Moved, TrunkFrame::Moved);
    }

    /// Whether the trunk still stands.
    fn close_outward(&self, stage: Stage, frame: TrunkFrame<'_>) -> bool {
        self.state.lock().outward = stage;
        self.trunk.outbox.put(self.request, frame)
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// The visit is broken.
    pub async fn receive(&self) -> io::Result<Received> {
        loop {
            {
                let mut inner = self.state.lock();
                // What came to its end before is whole.
                if inner.is_reset && inner.inward == Stage::Flowing {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if !inner.inbox.is_empty() {
                    return Ok(Received::Data(mem::take(&mut inner.inbox)));
                }
                match inner.inward {
                    Stage::Flowing => {}
                    Stage::Ended => return Ok(Received::End),
                    Stage::Moved => return Ok(Received::Moved),
                }
            }
            self.state.arrived.notified().await;
        }
    }

    /// So many bytes that were received have left for the socket: as many more may come.
    pub fn passed_on(&self, len: usize) {
        let mut inner = self.state.lock();
        inner.passed_on += len;
        if inner.passed_on < CREDIT_BYTES || inner.inward != Stage::Flowing {
            return;
        }
        let bytes = mem::take(&mut inner.passed_on);
        inner.window += bytes;
        drop(inner);
        let bytes = u32::try_from(bytes).expect("no more than the window was received");
        self.trunk.outbox.put(self.request, TrunkFrame::Credit(bytes));
    }

    /// Waits until the visit is broken, while nothing is received.
    pub async fn broken(&self) {
        while !self.state.lock().is_reset {
            self.state.arrived.notified().await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.trunk.lanes().remove(&self.request);
        let inner = self.state.lock();
        let is_over = inner.inward != Stage::Flowing && inner.outward != Stage::Flowing;
        if !is_over && !inner.is_reset {
            self.trunk.outbox.put(self.request, TrunkFrame::Reset);
        }
    }
}
