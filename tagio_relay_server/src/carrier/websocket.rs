//! A WebSocket as a stream of bytes: binary messages, whose boundaries mean nothing.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tagio_relay_core::{Denial, Denials};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::carrier::{Rewound, Socket};

/// A WebSocket at the front door.
pub(crate) type WebSocket = WebSocketStream<Rewound<Socket>>;

/// Longest message to a client: what is lost by a copy of it is less than a system call.
const SENT_BYTES_MAX: usize = 64 * 1024;
/// Longest message from a client, fragments together; it is kept whole until it is complete.
const RECEIVED_BYTES_MAX: usize = 64 * 1024;
/// Held all the time by each WebSocket, so as small as a control message asks for.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// See the module.
pub(crate) struct WebSocketCarrier {
    socket: WebSocket,
    /// Of the message that is being read.
    rest: Bytes,
    /// A text message came: the client is told so and hears no more.
    is_refusing: bool,
    /// What carries only fails; here is known why.
    denials: Arc<Denials>,
}

impl WebSocketCarrier {
    /// `socket` should have been made with [`WebSocketCarrier::config`].
    pub(crate) fn new(socket: WebSocket, denials: Arc<Denials>) -> Self {
        Self { socket, rest: Bytes::new(), is_refusing: false, denials }
    }

    /// What a WebSocket for this purpose may hold.
    pub(crate) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            // One message at a time, and the close after it.
            .max_write_buffer_size(2 * SENT_BYTES_MAX)
            .max_message_size(Some(RECEIVED_BYTES_MAX))
            .max_frame_size(Some(RECEIVED_BYTES_MAX))
    }

    /// The next message; `None` at the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Message>>> {
        let message = ready!(Pin::new(&mut self.socket).poll_next(cx)).transpose();
        let is_broken = match &message {
            Ok(message) => matches!(message, Some(Message::Text(_))),
            // A client that leaves without a close has had enough, no more.
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => false,
            Err(error) => matches!(error, Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_)),
        };
        if is_broken {
            self.denials.count(Denial::WebSocket);
        }
        Poll::Ready(message.map_err(into_io))
    }

    /// Closes with 1003, then fails.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The error of the refusal is the one that counts.
        let _ = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a text message")))
    }
}

impl AsyncRead for WebSocketCarrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            if this.is_refusing {
                return this.poll_refuse(cx);
            }
            match ready!(this.poll_message(cx))? {
                None | Some(Message::Close(_)) => return Poll::Ready(Ok(())),
                Some(Message::Binary(bytes)) => this.rest = bytes,
                // Answered by the library.
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Some(Message::Text(_)) => {
                    let reason = CloseFrame { code: CloseCode::Unsupported, reason: "binary only".into() };
                    Pin::new(&mut this.socket).start_send(Message::Close(Some(reason))).map_err(into_io)?;
                    this.is_refusing = true;
                }
            }
        }
        let len = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..len]);
        this.rest.advance(len);
        if this.rest.is_empty() {
            // Else the last message would be kept for as long as the client is silent.
            this.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocketCarrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = &mut self.get_mut().socket;
        ready!(Pin::new(&mut *socket).poll_ready(cx)).map_err(into_io)?;
        let len = buf.len().min(SENT_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&buf[..len]));
        Pin::new(socket).start_send(message).map_err(into_io)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(into_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx).map_err(into_io)
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
