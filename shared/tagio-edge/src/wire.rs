//! The messages: Protocol Buffers (proto3), one in each binary WebSocket message. Pure.

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

/// Longest session ID: a UUID as text has 36 bytes.
pub const SESSION_ID_BYTES_MAX: usize = 64;
/// Longest target: a host name with its port.
pub const ADDR_BYTES_MAX: usize = 262;
/// Longest message that is taken: programs in use send 32 KiB of data at most.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most data in one message that is sent: small, so that sessions take turns.
pub const DATA_BYTES_MAX: usize = 16 * 1024;

/// The version of the protocol that TagIO's nodes name: from 1.0.0 on, POPs send data without waiting and tell when a
/// direction is shut.
pub const NODE_VERSION: &str = "1.0.0";

/// Header of the WebSocket's handshake by which each end tells how many bytes of a session it holds. Where both do,
/// neither sends more before the other has said that it has passed some on. Others do not know it, and are sent what
/// there is.
pub const FLOW_HEADER: &str = "x-tagio-flow";

/// What a [`Message`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum MessageType {
    /// Nothing.
    Unknown = 0,
    /// Between two ends that speak of [`FLOW_HEADER`]: bytes that were passed on, `u32be`.
    Command = 1,
    /// To the node: a [`DestAddr`]. To the POP: a [`CreateSessionReply`].
    ProxySessionCreate = 2,
    /// Bytes of a session.
    ProxySessionData = 3,
    /// The session is over.
    ProxySessionClose = 4,
    /// To the node: a [`UdpData`]. To the POP: a datagram.
    ProxyUdpData = 5,
    /// No more bytes in this direction.
    ProxySessionHalfClose = 6,
}

/// The one message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Message {
    /// What it is.
    #[prost(enumeration = "MessageType", tag = "1")]
    pub kind: i32,
    /// Whose it is; chosen by the POP.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// What belongs to it.
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

/// Where a session goes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DestAddr {
    /// `host:port`.
    #[prost(string, tag = "2")]
    pub addr: String,
}

/// A datagram and where it goes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UdpData {
    /// `host:port`.
    #[prost(string, tag = "1")]
    pub addr: String,
    /// The datagram.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

/// Whether a session's target answers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CreateSessionReply {
    /// Whether it does.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// Why not.
    #[prost(string, tag = "2")]
    pub err_msg: String,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a message of the edge protocol")]
pub struct Malformed;

impl Message {
    /// A message of this kind.
    pub fn new(kind: MessageType, session_id: &str, payload: impl Into<Bytes>) -> Self {
        Self { kind: kind.into(), session_id: session_id.to_owned(), payload: payload.into() }
    }

    /// The answer to a session that was asked for; `Err` says why there is none.
    pub fn reply(session_id: &str, outcome: Result<(), String>) -> Self {
        let reply =
            CreateSessionReply { success: outcome.is_ok(), err_msg: outcome.err().unwrap_or_default() };
        Self::new(MessageType::ProxySessionCreate, session_id, reply.encode_to_vec())
    }

    /// Word that `bytes` of a session were passed on.
    pub fn credit(session_id: &str, bytes: u32) -> Self {
        Self::new(MessageType::Command, session_id, bytes.to_be_bytes().to_vec())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Where it is none, or its session ID is too long.
    pub fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let len = bytes.len();
        let mut message = Self::decode(bytes).map_err(|_| Malformed)?;
        // What waits is counted by its own length: fields that nobody knows must not be kept alive with it.
        if message.payload.len() < len / 2 {
            message.payload = Bytes::copy_from_slice(&message.payload);
        }
        if message.session_id.len() > SESSION_ID_BYTES_MAX { Err(Malformed) } else { Ok(message) }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// Reads what is in a message's payload.
///
/// # Errors
/// Where it is something else.
pub fn read<T: prost::Message + Default>(payload: Bytes) -> Result<T, Malformed> {
    T::decode(payload).map_err(|_| Malformed)
}

/// A node's version, as far as it says what the node can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeVersion([u32; 3]);

impl NodeVersion {
    /// Reads `1.2.3`, with or without a `v` before it and anything behind a `-` or `+`. What is no version is the oldest.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('v').unwrap_or(text);
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut parts = core.split('.').map(|part| part.parse().ok());
        let mut next = || parts.next().flatten();
        match (next(), next(), next()) {
            (Some(major), Some(minor), patch) => Self([major, minor, patch.unwrap_or(0)]),
            _ => Self::default(),
        }
    }

    /// Whether the node knows that one direction may end before the other.
    pub fn knows_half_close(self) -> bool {
        self >= Self([1, 0, 0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_description() {
        let dest = DestAddr { addr: "a:1".to_owned() };
        let create = Message::new(MessageType::ProxySessionCreate, "s", dest.encode_to_vec());
        assert_eq!(&create.bytes()[..], b"\x08\x02\x12\x01s\x1a\x05\x12\x03a:1");
        let udp = UdpData { addr: "a:1".to_owned(), data: Bytes::from_static(b"x") };
        assert_eq!(udp.encode_to_vec(), b"\x0a\x03a:1\x12\x01x");
        assert_eq!(&Message::reply("s", Ok(())).bytes()[..], b"\x08\x02\x12\x01s\x1a\x02\x08\x01");
        assert_eq!(Message::read(create.bytes()), Ok(create));
    }

    #[test]
    fn unknown_fields_are_passed_over_and_nonsense_is_refused() {
        let read = Message::read(Bytes::from_static(b"\x08\x63\x12\x01s\x22\x01x")).expect("a message");
        assert_eq!((read.kind, read.session_id.as_str()), (99, "s"));
        assert_eq!(Message::read(Bytes::from_static(b"\x08")), Err(Malformed));
        assert_eq!(Message::read(Bytes::from_static(b"\x12\x02\xff\xfe")), Err(Malformed));
        let long = Message::new(MessageType::ProxySessionData, &"s".repeat(65), Bytes::new());
        assert_eq!(Message::read(long.bytes()), Err(Malformed));
    }

    #[test]
    fn a_payload_keeps_nothing_alive_that_came_with_it() {
        let message = Message::new(MessageType::ProxySessionData, "s", vec![7; 3000]);
        let plain = message.bytes();
        // Field 15, 100 000 bytes.
        let padded: Bytes = [&plain[..], b"\x7a\xa0\x8d\x06", &[0; 100_000]].concat().into();
        for (bytes, is_shared) in [(plain, true), (padded, false)] {
            let read = Message::read(bytes.clone()).expect("a message");
            assert_eq!(read, message);
            assert_eq!(bytes.as_ptr_range().contains(&read.payload.as_ptr()), is_shared);
        }
    }

    #[test]
    fn versions_say_who_knows_half_closed_sessions() {
        for new in ["1.0.0", "v1.0.0", "1.0", "2.3.4-beta", "1.0.0+x"] {
            assert!(NodeVersion::parse(new).knows_half_close(), "{new}");
        }
        for old in ["0.1.1", "0.9.9", "", "1", "one.two", "999999999999.0.0"] {
            assert!(!NodeVersion::parse(old).knows_half_close(), "{old}");
        }
    }
}
