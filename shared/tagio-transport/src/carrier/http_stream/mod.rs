//! A stream of bytes in requests and answers of HTTP/1.1, see docs/PROTOCOL.md: for networks that let nothing else out.
//!
//! A task moves the bytes between the requests and an in-memory pipe, whose bound is the back-pressure to the writer:
//! who must not wait drops, as a leg does.

mod offset;
mod pump;
mod requests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use tagio_wire::carrier::{HTTP_PIECE_BYTES_MAX, HTTP_STREAM_PATH};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::oneshot,
    task::JoinSet,
};

use super::{BoxedStream, CarrierError, road::Road};
use requests::Requests;

/// Digits of a stream's name.
const NAME_LEN: usize = 32;

/// The near end. The task behind it says goodbye to the relay when this goes, for two seconds at most.
struct HttpStream {
    near: DuplexStream,
    /// Its end tells the task.
    _owner: oneshot::Sender<()>,
    task: JoinSet<()>,
}

/// Opens a stream.
pub(super) async fn open(road: &Road) -> Result<BoxedStream, CarrierError> {
    let (mut up, mut down) = (Requests::new(road.clone()), Requests::new(road.clone()));
    let named = up.ask_all(Method::POST, HTTP_STREAM_PATH, Bytes::new());
    // The other connection opens meanwhile.
    let (named, ()) = tokio::join!(named, down.prepare());
    let (status, body) = named?;
    if status != StatusCode::CREATED {
        return Err(CarrierError::Status(status.as_u16()));
    }
    let name = std::str::from_utf8(&body).unwrap_or_default().trim();
    if name.len() != NAME_LEN || !name.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(CarrierError::NotTheRelay);
    }
    let path = format!("{HTTP_STREAM_PATH}/{name}");
    // A piece's worth in either direction.
    let (near, far) = duplex(HTTP_PIECE_BYTES_MAX);
    let (owner, gone) = oneshot::channel();
    let mut task = JoinSet::new();
    task.spawn(pump::run(up, down, path, far, gone));
    Ok(Box::new(HttpStream { near, _owner: owner, task }))
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        // The relay would keep what nobody uses for a minute: the task ends by itself when it has said so.
        self.task.detach_all();
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_read(cx, buf)
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}
