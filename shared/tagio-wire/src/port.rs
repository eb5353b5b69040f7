//! Ports through a session: TCP connections of the viewer's side that go on from the host's.
//!
//! The viewer opens a bidirectional stream for each. Its first byte is
//! [`StreamKind::Port`](crate::session::StreamKind), then a frame of `u16be length` + [`PortRequest`]. The host
//! answers with frames of [`PortReply`]. After [`PortReply::Ready`] to a [`PortRequest::Connect`] each side sends
//! [`PortPiece`]s.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::tunnel::HOST_NAME_BYTES_MAX;

/// Longest frame of a request or a reply in bytes: the longest name, its port, and the encoding around them.
pub const PORT_FRAME_BYTES_MAX: usize = 512;

/// Most bytes in one piece: a credit for each costs little, and one that is under way holds nothing else up.
pub const PORT_PIECE_BYTES_MAX: usize = 32 * 1024;

/// Streams for ports in one session at a time: more than a browser opens to one site. A viewer waits with the next.
pub const PORT_STREAMS_MAX: u32 = 128;

/// Bytes that one side may have under way, on all ports of a session together, and not yet taken by the socket at the
/// other end: within half of the connection's window, so that the picture always has the other half.
pub const PORT_WINDOW_BYTES: usize = 3 * 1024 * 1024;

/// What each stream may have under way however many there are; the sum over all of them comes on top.
pub const PORT_STREAM_BYTES_MIN: usize = 16 * 1024;

/// Where a connection is to go on from the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortTarget {
    /// Name or IP address, as the host understands it.
    pub host: String,
    /// TCP port; never 0.
    pub port: u16,
}

impl PortTarget {
    /// Whether it can be one at all: not too long, and of nothing but what names and addresses are made of, so that
    /// it can be shown to a person.
    pub fn is_sound(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        let len = self.host.len();
        self.port != 0 && (1..=HOST_NAME_BYTES_MAX).contains(&len) && self.host.bytes().all(is_plain)
    }

    /// Whether it is the host itself, by an address that no resolver can turn into another.
    pub fn is_own(&self) -> bool {
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for PortTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Viewer → host: the beginning of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortRequest {
    /// Connections to this target will follow for as long as this stream is open. The host ends the stream when it
    /// does not want them any more.
    Announce(PortTarget),
    /// A connection to a target that was announced. Pieces may follow at once.
    Connect(PortTarget),
}

/// Host → viewer: the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortReply {
    /// The host's user is being asked; another answer follows.
    Asking,
    /// The target may be connected to, or is connected.
    Ready,
    /// No; the stream is over.
    Refused(PortRefusal),
}

/// Why a host opens no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortRefusal {
    /// It lets nobody use ports, or not this one.
    NotAllowed,
    /// Its user said no, or nothing.
    Declined,
    /// This viewer may look only.
    ViewOnly,
    /// The target is none.
    BadTarget,
    /// Nobody knows the target's name.
    UnknownName,
    /// The target refuses the connection: nothing listens there.
    Refused,
    /// The target does not answer, or there is no way to it.
    Unreachable,
}

/// What travels on the stream of a connection, each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortPiece {
    /// So many bytes follow, at most [`PORT_PIECE_BYTES_MAX`].
    Data(u16),
    /// So many bytes of the other direction have left for the socket here.
    Credit(u32),
    /// Nothing more comes of this direction. A stream that ends without it is broken.
    End,
}

impl PortPiece {
    /// Bytes of a [`Self::Data`] before its data.
    pub const DATA_HEADER_BYTES: usize = 3;

    /// Its bytes, without the data.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Data(len) => [&[0][..], &len.to_be_bytes()].concat(),
            Self::Credit(bytes) => [&[1][..], &bytes.to_be_bytes()].concat(),
            Self::End => vec![2],
        }
    }

    /// How many bytes belong to a piece that begins with this one; `None` if none does.
    pub fn rest_len(first: u8) -> Option<usize> {
        match first {
            0 => Some(2),
            1 => Some(4),
            2 => Some(0),
            _ => None,
        }
    }

    /// The piece of these bytes, without the data; `None` if they are none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [0, high, low] => {
                let len = u16::from_be_bytes([high, low]);
                (len != 0 && usize::from(len) <= PORT_PIECE_BYTES_MAX).then_some(Self::Data(len))
            }
            [1, a, b, c, d] => Some(Self::Credit(u32::from_be_bytes([a, b, c, d]))),
            [2] => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> PortTarget {
        PortTarget { host: host.to_owned(), port: 80 }
    }

    #[test]
    fn only_what_nobody_can_redirect_is_the_hosts_own() {
        for own in ["localhost", "LocalHost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(target(own).is_own(), "{own}");
        }
        for other in
            ["localhost.", "0.0.0.0", "::", "2130706433", "0x7f.1", "192.168.0.1", "localhost.evil.example"]
        {
            assert!(!target(other).is_own(), "{other}");
        }
    }

    #[test]
    fn a_target_can_be_shown_to_a_person() {
        assert!(target("fe80::1%eth0").is_sound() && target("db-1.example.org").is_sound());
        for bad in ["", "a b", "evil\u{202e}", "new\nline", &"a".repeat(HOST_NAME_BYTES_MAX + 1)] {
            assert!(!target(bad).is_sound(), "{bad}");
        }
        assert!(!PortTarget { port: 0, ..target("localhost") }.is_sound());
        assert_eq!(target("::1").to_string(), "[::1]:80");
    }

    #[test]
    fn pieces_are_read_as_they_were_written() {
        for piece in [PortPiece::Data(1), PortPiece::Data(0x8000), PortPiece::Credit(70_000), PortPiece::End]
        {
            let bytes = piece.bytes();
            assert_eq!(PortPiece::rest_len(bytes[0]), Some(bytes.len() - 1));
            assert_eq!(PortPiece::parse(&bytes), Some(piece));
        }
        for bad in [&[0, 0, 0][..], &[0, 0x80, 1], &[1, 0], &[2, 0], &[3], &[]] {
            assert_eq!(PortPiece::parse(bad), None);
        }
    }
}
