//! The engine: everything that runs behind the window or without one.
//!
//! One current-thread tokio runtime carries every session of a process; [`host`] and [`viewer`] are one
//! task each that owns its state, with a task for each stream below it. Threads of their own are only where
//! the system or the processor would stall packets: reading the screen, injecting input, decoding.

pub mod host;
pub mod outlook;
pub mod registration;
mod sentences;
pub mod status;
pub mod viewer;

use tagio_transport::{
    RecvStream, SendStream, StreamError,
    lane::{Lane, LaneReceiver},
    relay::{Relay, RelayEvent},
};
use tagio_wire::{DecodeError, decode, encode, session::CONTROL_FRAME_BYTES_MAX};
use thiserror::Error;
use tokio::sync::mpsc;

/// A stream of messages broke, or its other end broke the protocol.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The stream or its connection is over.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A frame is no message.
    #[error("the other side sent something that is not understood: {0}")]
    Message(#[from] DecodeError),
}

/// Sends one message as a frame of the control stream.
async fn send_message<T: serde::Serialize>(stream: &mut SendStream, message: &T) -> Result<(), StreamError> {
    stream.write_frame(&encode(message)).await
}

/// Waits for the next message of the control stream.
async fn read_message<T: serde::de::DeserializeOwned>(stream: &mut RecvStream) -> Result<T, ControlError> {
    let frame = stream.read_frame(CONTROL_FRAME_BYTES_MAX).await?;
    Ok(decode(&frame)?)
}

/// Sends one message after the viewer was let in.
async fn say<T: serde::Serialize>(lane: &Lane, message: &T) -> Result<(), StreamError> {
    lane.send(encode(message)).await
}

/// Reads the messages of a lane; the last one may be an error of the other side's.
async fn read_messages<T: serde::de::DeserializeOwned>(
    mut lane: LaneReceiver,
    messages: mpsc::Sender<Result<T, ControlError>>,
) {
    loop {
        let message = match lane.next().await {
            Ok(frame) => decode(&frame).map_err(ControlError::from),
            Err(StreamError::Lost(_)) => return,
            Err(error) => Err(error.into()),
        };
        let last = message.is_err();
        if messages.send(message).await.is_err() || last {
            return;
        }
    }
}

/// The relay's next event; never, where there is no relay.
async fn next_relay_event(relay: &mut Option<Relay>) -> Option<RelayEvent> {
    match relay {
        Some(relay) => relay.event().await,
        None => std::future::pending().await,
    }
}

/// A runtime for [`host::run`] or [`viewer::run`].
///
/// # Errors
/// The system has no event queue left.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
