//! What a client and a relay say to each other about reverse tunnels.
//!
//! To the relay's tunnel port: TLS, QUIC ([`TUNNEL_ALPN`]) or bare TCP. A connection opens with an 8-byte
//! [`TunnelPreface`], or speaks yamux. A control connection, or the first stream by QUIC, is a Noise greeting
//! ([`NOISE_NX`]), then frames of `u16be length` + one bincode message: [`Open`], [`OpenReply`], after that
//! [`ClientNote`] and [`RelayNote`]. A data connection carries [`DataHello`], waits, gets one frame with a [`Visit`],
//! and is that visitor's bytes from then on. A [`trunk`](crate::trunk) carries many visitors' small pieces. By QUIC the
//! relay opens a stream for each visitor, which begins with the [`Visit`].

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::control::Preface;

/// Longest frame of a control or data connection in bytes: [`Open`] with the longest names and lists.
pub const TUNNEL_FRAME_BYTES_MAX: usize = 8192;
/// Longest host name in bytes (RFC 1035, 2.3.4).
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// Most networks on one tunnel's list of who may visit.
pub const ALLOWED_NETS_MAX: usize = 64;
/// What is spoken by QUIC.
pub const TUNNEL_ALPN: &[u8] = b"tagio-tunnel/1";
/// Noise pattern of the greeting: the relay proves its key, the client stays unknown.
pub const NOISE_NX: &str = "Noise_NX_25519_ChaChaPoly_BLAKE2s";
/// Prologue of the greeting; the TLS exporter's value follows it where there is TLS.
pub const TUNNEL_PROLOGUE: &[u8] = b"tagio tunnel 1";
/// Label of that value (RFC 8446, 7.5), 32 bytes, without context.
pub const TUNNEL_EXPORTER: &[u8] = b"EXPORTER-tagio-tunnel";
/// The client's Noise message: an ephemeral key.
pub const GREETING_BYTES: usize = 32;
/// The relay's: an ephemeral key, its own key encrypted, an empty payload.
pub const GREETING_REPLY_BYTES: usize = 32 + 48 + 16;
/// Label of a client's proof, so that it is of no use elsewhere.
pub const TUNNEL_PROOF_LABEL: &[u8] = b"tagio tunnel client 1";
/// Label of a relay's proof.
pub const TUNNEL_RELAY_PROOF_LABEL: &[u8] = b"tagio tunnel relay 1";
/// A pooled data connection that no visitor has taken after this time may be closed by its client.
pub const POOL_IDLE_SECS: u16 = 60;
/// Either end of a control connection says something at least this often.
pub const TUNNEL_PING_SECS: u16 = 5;
/// Silence after which the other end counts as gone: three pings.
pub const TUNNEL_SILENCE_SECS: u16 = 15;
/// Longest datagram of a UDP tunnel in bytes: what UDP over IPv4 carries at most.
pub const TUNNEL_DATAGRAM_BYTES_MAX: usize = 65_507;

/// The first 8 bytes of a connection of our own: those of [`Preface`] with kinds of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelPreface {
    /// One tunnel's control connection.
    Control,
    /// A connection for one visitor.
    Data,
    /// A connection that many visitors share: see [`crate::trunk`].
    Trunk,
}

impl TunnelPreface {
    /// Its 8 bytes.
    pub const fn bytes(self) -> [u8; Preface::LEN] {
        let m = Preface::MAGIC;
        let kind = match self {
            Self::Control => 0x10,
            Self::Data => 0x11,
            Self::Trunk => 0x12,
        };
        [m[0], m[1], m[2], m[3], m[4], m[5], m[6], kind]
    }

    /// The preface that these bytes spell.
    pub fn parse(bytes: [u8; Preface::LEN]) -> Option<Self> {
        [Self::Control, Self::Data, Self::Trunk].into_iter().find(|preface| preface.bytes() == bytes)
    }
}

/// 32 bytes that no log shows: a proof, a pool key, the hash of a password.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelSecret(pub [u8; 32]);

impl fmt::Debug for TunnelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The client's first words on a control connection: one tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// [`crate::limits::PROTOCOL_VERSION`] of the client. The first field for ever.
    pub version: u16,
    /// Random, the same for all connections of one run of the client: a newer one replaces the older.
    pub run: TunnelSecret,
    /// HMAC-SHA256 with the token as key over [`TUNNEL_PROOF_LABEL`], the greeting's hash and run; `None` without a
    /// token.
    pub proof: Option<TunnelSecret>,
    /// Where visitors are to come in.
    pub place: Place,
    /// What they are to meet there.
    pub manners: Manners,
}

/// Where visitors of a tunnel come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The relay chooses: a random name where it has a domain, else the whole ingress port.
    Any,
    /// The ingress port, by this name: a label under the relay's domain, or a whole name.
    Name(String),
    /// A TCP port of its own; 0 for any that is free.
    TcpPort(u16),
    /// A UDP port of its own; 0 for any that is free.
    UdpPort(u16),
}

/// How the relay treats a tunnel's visitors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manners {
    /// Networks whose visitors may come, like `192.0.2.0/24`; all may where it is empty.
    pub allow: Vec<String>,
    /// HTTP basic authentication: SHA-256 of `user:password`.
    pub basic_auth: Option<TunnelSecret>,
    /// What the `Host` field of requests is changed to.
    pub host_header: Option<String>,
    /// Whether requests get `X-Forwarded-For`, `-Proto` and `-Host`.
    pub forwarded: bool,
}

/// The relay's answer to [`Open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenReply {
    /// The tunnel stands.
    Opened(Opened),
    /// The connection closes after this.
    Refused(TunnelRefusal),
}

/// A tunnel that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Number of the session, for [`DataHello`].
    pub session: u64,
    /// What its data connections show.
    pub pool_key: TunnelSecret,
    /// Name or address by which visitors come; `None`: the one that the client dialled.
    pub host: Option<String>,
    /// Port for visitors.
    pub port: u16,
    /// Data connections that the relay would like to have waiting.
    pub pool: u16,
    /// The same as [`Open::proof`] with [`TUNNEL_RELAY_PROOF_LABEL`]: the relay knows the token too, so nobody is in
    /// between. `None` where it wants no token.
    pub proof: Option<TunnelSecret>,
}

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TunnelRefusal {
    /// The relay speaks this other version.
    WrongVersion(u16),
    /// The relay wants a token, and none or a wrong one was shown.
    WrongToken,
    /// Somebody else has that name or port.
    Taken,
    /// That is no host name.
    BadName,
    /// Names need a domain, or a token where the name is not under the relay's.
    NameNotAllowed,
    /// No such port is given out.
    PortNotAllowed,
    /// An entry of the list of networks is none.
    BadNetwork,
    /// The relay or this client has as many tunnels as it may.
    TooMany,
    /// The relay stops: come back soon.
    Draining,
    /// The relay does not do that.
    Unsupported,
}

/// What a client says later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientNote {
    /// Still there.
    Pong,
    /// No new visitors, please: the client ends once the present ones have left.
    Leaving,
    /// Whether anybody answers at the client's side, as its health checks tell.
    Healthy(bool),
}

/// What a relay says on a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayNote {
    /// Answer with [`ClientNote::Pong`].
    Ping,
    /// Visitors wait: so many data connections are wanted beside those that are on their way.
    Dial(u16),
    /// The relay stops: present visitors may finish, come back soon.
    Draining,
    /// Another run with the same claim has taken this tunnel's place.
    Replaced,
}

/// The first frame of a data connection or a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHello {
    /// See [`Opened::session`].
    pub session: u64,
    /// See [`Opened::pool_key`].
    pub pool_key: TunnelSecret,
}

/// The relay's only frame on a data connection: a visitor has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The same number is in the logs of both ends.
    pub request: u64,
    /// The visitor's address.
    pub from: SocketAddr,
    /// What follows.
    pub carries: Carries,
}

/// What the bytes behind a [`Visit`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// A TCP stream, either direction ended on its own.
    Stream,
    /// Datagrams, each behind `u16be length`.
    Datagrams,
    /// The rest of a stream that has begun in the trunk under the same number, from where either direction says
    /// [`Moved`](crate::trunk::TrunkFrame::Moved).
    Rest,
}
