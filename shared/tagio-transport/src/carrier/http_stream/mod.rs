//! A stream of bytes in requests and answers of HTTP/1.1, see docs/PROTOCOL.md: for networks that let nothing else out.
//!
//! A task moves the bytes between the requests and an in-memory pipe, whose bound is the back-pressure to the writer:
//! who must not wait drops, as a leg does. The first bytes open the stream at the relay, and its answer is fetched at the
//! same time: what a proxy needs long for is a request.

mod offset;
mod pump;
mod requests;

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tagio_wire::carrier::{HTTP_PIECE_BYTES_MAX, HTTP_STREAM_PATH};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::oneshot,
    task::JoinSet,
};

use super::{BoxedStream, CarrierError, road::Road};
use requests::Requests;

/// The near end. The task behind it says goodbye to the relay when this goes, for two seconds at most.
struct HttpStream {
    near: DuplexStream,
    /// Why it ended, once it has.
    end: Arc<Mutex<Option<CarrierError>>>,
    /// Its end tells the task.
    _owner: oneshot::Sender<()>,
    task: JoinSet<()>,
}

/// A stream of a name that nobody can guess. Whether a relay answers shows when bytes are sent.
pub(super) fn open(road: &Road) -> BoxedStream {
    let path = format!("{HTTP_STREAM_PATH}/{:032x}", rand::random::<u128>());
    // A piece's worth in either direction.
    let (near, far) = duplex(HTTP_PIECE_BYTES_MAX);
    let (owner, gone) = oneshot::channel();
    let end = Arc::new(Mutex::new(None));
    let mut task = JoinSet::new();
    task.spawn(pump::run(Requests::new(road.clone()), path, far, gone, Arc::clone(&end)));
    Box::new(HttpStream { near, end, _owner: owner, task })
}

impl HttpStream {
    /// What the reader is told at the end: why, once.
    fn end(&self) -> io::Result<()> {
        let end = self.end.lock().expect("no thread panics while it holds the end").take();
        end.map_or(Ok(()), |error| Err(io::Error::other(error)))
    }
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
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.near).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(self.end())
            }
            polled => polled,
        }
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
