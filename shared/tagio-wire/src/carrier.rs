//! What carries a TCP connection's bytes to a relay where plain TCP does not get through.
//!
//! A carrier is an ordered stream of bytes, and what travels in it is what would travel over TCP, preface first:
//! TLS (no name is checked: the relay's key is, by Noise), WebSocket (RFC 6455; binary messages whose boundaries mean
//! nothing), or HTTP/1.1, where each direction is fetched in pieces that are named by their offset. The last two may
//! travel inside TLS, and all of them through an HTTP proxy's CONNECT.

use std::time::Duration;

/// Path of the WebSocket that carries a connection.
pub const WEBSOCKET_PATH: &str = "/tagio";
/// Its subprotocol, which tells it from the messages of other clients.
pub const WEBSOCKET_PROTOCOL: &str = "tagio";

/// `PATH/NAME/OFFSET` is a stream over HTTP from OFFSET on: a `POST` adds bytes, a `GET` fetches some; `DELETE PATH/NAME`
/// ends it. The client makes the name up, 32 hexadecimal digits that nobody can guess.
pub const HTTP_STREAM_PATH: &str = "/tagio/stream";
/// Key in the query of a stream's first requests: a `POST` at offset 0 opens the stream where there is none of that name,
/// and a `GET` waits a moment for that.
pub const HTTP_OPEN_KEY: &str = "open";
/// Key in the query of a `GET`: its answer goes on as bytes come, and ends when there were none for so many milliseconds.
pub const HTTP_LINGER_KEY: &str = "linger";
/// Key in the query of a `POST`: up to which offset the client has what the relay has sent.
pub const HTTP_ARRIVED_KEY: &str = "arrived";
/// `POST`s of a stream under way at most: where each takes two round trips, one begins every half round trip.
pub const HTTP_POSTS_MAX: u64 = 4;
/// Most bytes in one piece of a stream over HTTP: a leg's round trip at 20 Mb/s and 100 ms.
pub const HTTP_PIECE_BYTES_MAX: usize = 256 * 1024;
/// How long a `GET` waits for bytes at most: proxies give up after 30 s or 60 s.
pub const HTTP_WAIT: Duration = Duration::from_secs(25);
/// A stream over HTTP without any request for this long is over.
pub const HTTP_IDLE: Duration = Duration::from_secs(60);
