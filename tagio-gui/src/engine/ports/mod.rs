//! Ports through a session, as both ends have them: how much may be under way, and how bytes move.

mod budget;
mod pipe;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tagio_transport::{Connection, RecvStream, SendStream, StreamError};
use tagio_wire::{
    decode, encode,
    port::{PORT_FRAME_BYTES_MAX, PORT_STREAM_BYTES_MIN, PORT_STREAMS_MAX, PORT_WINDOW_BYTES, PortReply},
    session::StreamKind,
};

use super::ControlError;
use budget::Budget;
pub(super) use pipe::join;

/// What all ports of one session share on this side.
#[derive(Clone, Debug)]
pub(super) struct PortFlow {
    budget: Arc<Budget>,
    /// What came and has not left for a socket here, in bytes.
    waiting: Arc<AtomicUsize>,
}

/// Most bytes that an honest peer has under way; one that sends more loses the stream.
const WAITING_BYTES_MAX: usize = PORT_WINDOW_BYTES + PORT_STREAM_BYTES_MIN * PORT_STREAMS_MAX as usize;

impl PortFlow {
    pub(super) fn new() -> Self {
        Self { budget: Arc::new(Budget::new(PORT_WINDOW_BYTES)), waiting: Arc::default() }
    }

    /// Whether there is room for so many bytes that came; then they count as waiting.
    fn has_room(&self, bytes: usize) -> bool {
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if waiting > WAITING_BYTES_MAX {
            self.left(bytes);
        }
        waiting <= WAITING_BYTES_MAX
    }

    fn left(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of one target, counted while they go.
#[derive(Debug, Default)]
pub(super) struct PortMeter {
    /// From the socket here to the peer.
    pub(super) sent: AtomicU64,
    /// From the peer to the socket here.
    pub(super) received: AtomicU64,
}

/// A stream of a port.
pub(super) struct PortStream {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl PortStream {
    /// Opens one and sends its first frame. Waits while there are [`PORT_STREAMS_MAX`].
    pub(super) async fn open(
        connection: &Connection,
        request: &impl serde::Serialize,
    ) -> Result<Self, StreamError> {
        let (mut send, recv) = connection.open_bi().await?;
        send.set_priority(StreamKind::Port.priority());
        send.write(&[StreamKind::Port.byte()]).await?;
        send.write_frame(&encode(request)).await?;
        Ok(Self { send, recv })
    }

    pub(super) async fn reply(&mut self, reply: PortReply) -> Result<(), StreamError> {
        self.send.write_frame(&encode(&reply)).await
    }
}

/// The next frame at the beginning of a port's stream.
pub(super) async fn read_frame<T: serde::de::DeserializeOwned>(
    recv: &mut RecvStream,
) -> Result<T, ControlError> {
    Ok(decode(&recv.read_frame(PORT_FRAME_BYTES_MAX).await?)?)
}
