//! What a client and the relay say to each other over the control connection.
//!
//! TCP. The client opens with an 8-byte [`Preface`], then a Noise handshake (snow) follows whose frames,
//! like all later ones, are `u16be length` + bytes. With the relay's key known it is
//! `Noise_IK_25519_ChaChaPoly_BLAKE2s` and [`Hello`] rides in the first message, [`HelloReply`] in the
//! second: one round trip. Else it is `XX`: [`Hello`] rides in the third message and [`HelloReply`] is the
//! first frame after it. Every later frame is one bincode message, encrypted.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{identity::PeerId, identity::PublicKey, leg::LegGrant};

/// Noise pattern when the client knows the relay's key.
pub const NOISE_IK: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
/// Noise pattern for a first contact.
pub const NOISE_XX: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
/// Prologue of the control handshake: both ends mix it in, so another protocol's bytes never fit.
pub const CONTROL_PROLOGUE: &[u8] = b"tagio control 1";

/// Longest plaintext of one control frame in bytes. Noise allows 65 519; nothing here needs so much.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 4096;

/// The first 8 bytes of a TCP connection that speaks TagIO's own protocol: 7 fixed ones and a kind.
///
/// The first byte is never the start of TLS, of HTTP, of `TAGIO`, or of a length below 2³¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Control connection, Noise IK follows.
    ControlIk,
    /// Control connection, Noise XX follows.
    ControlXx,
    /// A relay leg over TCP; see [`crate::leg`].
    TcpLeg,
}

impl Preface {
    /// Bytes that all prefaces share.
    pub const MAGIC: [u8; 7] = *b"\xf5TAGIO\x01";
    /// Length of a preface.
    pub const LEN: usize = 8;

    /// Its 8 bytes.
    pub const fn bytes(self) -> [u8; Self::LEN] {
        let m = Self::MAGIC;
        let kind = match self {
            Self::ControlIk => 1,
            Self::ControlXx => 2,
            Self::TcpLeg => 3,
        };
        [m[0], m[1], m[2], m[3], m[4], m[5], m[6], kind]
    }

    /// The preface that these bytes spell.
    pub fn parse(bytes: [u8; Self::LEN]) -> Option<Self> {
        [Self::ControlIk, Self::ControlXx, Self::TcpLeg].into_iter().find(|p| p.bytes() == bytes)
    }
}

/// The client's first words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::limits::PROTOCOL_VERSION`] of the client.
    pub version: u16,
    /// The relay's secret, where it asks for one.
    pub auth: Option<String>,
    /// Whether this connection can be called. At most one connection of a key is: the newest.
    pub presence: bool,
}

/// The relay's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloReply {
    /// Come in.
    Welcome(Welcome),
    /// The connection closes after this.
    Refused(Refusal),
}

/// What a client learns when it is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The ID that is bound to the client's key, now and later.
    pub id: PeerId,
    /// Where the relay saw the client's connection come from.
    pub observed: SocketAddr,
    /// The client sends a [`ClientMessage::Ping`] at least this often, in seconds; silence of three times
    /// that ends its presence.
    pub keepalive_secs: u16,
    /// The relay's address as its admin knows it, for people. Clients stay with the one they dialled, which
    /// works for TCP and UDP alike.
    pub public_addr: Option<SocketAddr>,
}

/// Why the relay lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The relay has a secret and the client showed none or another one.
    WrongSecret,
    /// The client speaks another version; the relay's is given.
    WrongVersion(u16),
    /// No room for more clients.
    Full,
    /// Too many attempts from this address; try again later.
    TooMany,
    /// The relay is about to stop.
    Draining,
}

/// Names a call on one control connection; the caller counts them.
pub type CallId = u32;

/// Client to relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// Asks to be connected to `target`. Answered by `Ringing` or `CallFailed`.
    Call {
        /// Chosen by the caller.
        call: CallId,
        /// Who is called.
        target: PeerId,
    },
    /// The caller needs the call's leg no longer.
    EndCall {
        /// As in `Call`.
        call: CallId,
    },
    /// Asks whether `target` can be called. Answered by `Status`.
    Lookup {
        /// Comes back in the answer.
        request: u32,
        /// Who is looked up.
        target: PeerId,
    },
    /// Keeps the presence alive. Answered by `Pong`.
    Ping {
        /// Comes back in the answer.
        nonce: u32,
    },
}

/// Relay to client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayMessage {
    /// The call reached its target, and here is the caller's end of a relay leg.
    Ringing {
        /// As in `Call`.
        call: CallId,
        /// The key that the ID is bound to. A relay could lie: the session proves it.
        target_key: PublicKey,
        /// The caller's end.
        leg: LegGrant,
    },
    /// The call came to nothing.
    CallFailed {
        /// As in `Call`.
        call: CallId,
        /// Why.
        reason: CallFailure,
    },
    /// Somebody calls this client, and here is its end of the relay leg.
    Incoming {
        /// The caller's key, proven to the relay.
        caller_key: PublicKey,
        /// The caller's ID.
        caller: PeerId,
        /// The called one's end.
        leg: LegGrant,
    },
    /// Answer to `Lookup`.
    Status {
        /// As in `Lookup`.
        request: u32,
        /// Whether it can be called now. Unknown and offline IDs look the same.
        online: bool,
    },
    /// Answer to `Ping`.
    Pong {
        /// As in `Ping`.
        nonce: u32,
    },
    /// The relay stops soon; come back after this many milliseconds, spread by the relay.
    Draining {
        /// When to connect again.
        reconnect_in_ms: u32,
    },
    /// A newer connection of the same key took the presence over; this one closes.
    Replaced,
}

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallFailure {
    /// Nobody with this ID is there.
    Offline,
    /// The caller called too often; seconds until the next is allowed.
    RateLimited(u16),
    /// The relay has no room for another leg.
    Full,
    /// A client cannot call itself.
    Yourself,
}
