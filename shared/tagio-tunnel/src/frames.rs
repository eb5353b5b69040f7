//! Frames on a stream: `u16be length` + one bincode message.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tagio_wire::{decode, encode, tunnel::TUNNEL_FRAME_BYTES_MAX};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why there was no frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The connection broke or ended.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    /// Its bytes are no message of the expected kind.
    #[error("the other end does not speak this protocol")]
    Malformed,
}

/// Length and bytes of a message.
pub fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    let body = encode(message);
    let len = u16::try_from(body.len()).expect("messages of tunnels are short: their fields have limits");
    [&len.to_be_bytes()[..], &body].concat()
}

/// Writes a message at once.
pub async fn write<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    stream.write_all(&frame(message)).await?;
    stream.flush().await
}

/// Reads a message, and nothing behind it.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let first = stream.read_u8().await?;
    read_after(first, stream).await
}

/// As [`read`], when the first byte was read already.
pub async fn read_after<T: DeserializeOwned>(
    first: u8,
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<T, FrameError> {
    let len = usize::from(u16::from_be_bytes([first, stream.read_u8().await?]));
    if len > TUNNEL_FRAME_BYTES_MAX {
        return Err(FrameError::Malformed);
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    decode(&body).map_err(|_| FrameError::Malformed)
}
