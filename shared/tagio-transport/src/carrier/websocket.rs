//! A WebSocket as a stream of bytes (RFC 6455).

use std::{future::ready, io};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use tagio_wire::carrier::{WEBSOCKET_PATH, WEBSOCKET_PROTOCOL};
use tokio::io::join;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        Error, Message, client::IntoClientRequest as _, http::HeaderValue, protocol::WebSocketConfig,
    },
};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::{BoxedStream, CarrierError, address::HostPort};

/// Longest message that a relay may send; it sends what it has read at once, which is much less.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Longest message to a relay, which keeps one whole until it is complete.
const SENT_BYTES_MAX: usize = 32 * 1024;
/// Unsent bytes at most: writers wait. A few times what a leg writes at once.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// What is read at once.
const READ_BYTES: usize = 32 * 1024;

/// Opens a WebSocket over `stream` and makes its messages one stream.
pub(super) async fn open(stream: BoxedStream, relay: &HostPort) -> Result<BoxedStream, CarrierError> {
    let mut request = format!("ws://{relay}{WEBSOCKET_PATH}").into_client_request()?;
    let protocol = HeaderValue::from_static(WEBSOCKET_PROTOCOL);
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    let (sink, messages) = socket.split();
    let pieces = messages.filter_map(|message| ready(piece(message)));
    let sink = sink.sink_map_err(broken).with_flat_map(|bytes| stream::iter(messages_of(bytes).map(Ok)));
    Ok(Box::new(join(StreamReader::new(pieces), SinkWriter::new(CopyToBytes::new(sink)))))
}

/// `bytes` in messages that the relay takes.
fn messages_of(mut bytes: Bytes) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(SENT_BYTES_MAX));
        (!piece.is_empty()).then_some(Message::Binary(piece))
    })
}

/// The bytes of a message; none where it carries none.
fn piece(message: Result<Message, Error>) -> Option<io::Result<Bytes>> {
    match message {
        Ok(Message::Binary(piece)) => Some(Ok(piece)),
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => None,
        Ok(Message::Text(_)) => Some(Err(io::Error::new(io::ErrorKind::InvalidData, "a text message"))),
        Err(Error::ConnectionClosed | Error::AlreadyClosed) => None,
        Err(error) => Some(Err(broken(error))),
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
