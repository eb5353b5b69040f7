//! Relay legs: how a packet of a session travels through the relay.
//!
//! A call creates a *channel* with two ends. Each client binds its end by a token that only it and the
//! relay know, over UDP or TCP, independently of the other end.
//!
//! UDP, one datagram each, told from QUIC (64–255) and STUN (0–3) by the first byte (RFC 9443):
//!
//! | first byte | direction | rest |
//! |---|---|---|
//! | 4 `BIND` | client → relay | `u32be channel`, 16-byte token, 16-byte cookie (zeros at first) |
//! | 5 `CHALLENGE` | relay → client | `u32be channel`, 16-byte cookie |
//! | 6 `BOUND` | relay → client | `u32be channel`, the address the relay saw: 16-byte IPv6 (or mapped IPv4), `u16be port` |
//! | 7 `DATA` | both | `u32be channel`, one packet |
//! | 8 `PUNCH` | peer → peer | 8-byte token of the receiver; never sent to a relay, which drops it |
//! | 9 `UNKNOWN` | relay → client | `u32be channel`: no such channel or token, so stop asking |
//! | 10 `PUNCHED` | peer → peer | the same token: this pair of addresses works in both directions |
//!
//! The relay keeps nothing for a `BIND` whose cookie is wrong, and no answer is longer than its question.
//!
//! TCP: after [`Preface::TcpLeg`](crate::control::Preface) the client sends `u32be channel` and the token,
//! the relay answers one byte ([`TCP_LEG_OK`] or it closes), then packets go both ways as `u16be length` +
//! bytes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Bytes before the packet in a UDP `DATA` datagram: tag and channel.
pub const DATA_HEADER_LEN: usize = 5;
/// Length of a `BIND` datagram.
pub const BIND_LEN: usize = 1 + 4 + 16 + 16;
/// What the relay answers to a good TCP leg opening.
pub const TCP_LEG_OK: u8 = 0;
/// Longest packet on a leg: a full Ethernet frame's UDP payload and room for tunnels with jumbo frames.
pub const PACKET_BYTES_MAX: usize = 2048;

/// First bytes of UDP datagrams.
pub mod tag {
    /// See the module's table.
    pub const BIND: u8 = 4;
    /// See the module's table.
    pub const CHALLENGE: u8 = 5;
    /// See the module's table.
    pub const BOUND: u8 = 6;
    /// See the module's table.
    pub const DATA: u8 = 7;
    /// See the module's table.
    pub const PUNCH: u8 = 8;
    /// See the module's table.
    pub const UNKNOWN: u8 = 9;
    /// See the module's table.
    pub const PUNCHED: u8 = 10;
}

/// Names a channel of a relay. Random, so that nobody can guess a live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Channel(pub u32);

/// Shows the right to bind one end of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegToken(pub [u8; 16]);

impl std::fmt::Debug for LegToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LegToken(***)")
    }
}

/// One end of a channel, given to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegGrant {
    /// Which channel.
    pub channel: Channel,
    /// For this end only.
    pub token: LegToken,
}

/// Shows that a `PUNCH` comes from the peer that was given it. Random, new for each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PunchToken(pub [u8; 8]);

/// Proves that a client receives at the address that it sends from.
pub type Cookie = [u8; 16];

/// A UDP datagram of the relay protocol, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A client asks for its end.
    Bind {
        /// Channel and token.
        grant: LegGrant,
        /// Zeros, or the one from a `Challenge`.
        cookie: Cookie,
    },
    /// The relay asks for proof of address.
    Challenge {
        /// As asked for.
        channel: Channel,
        /// To be sent back.
        cookie: Cookie,
    },
    /// The end is bound to the sender's address.
    Bound {
        /// As asked for.
        channel: Channel,
        /// The client's address as the relay sees it.
        observed: SocketAddr,
    },
    /// A packet of a session.
    Data {
        /// Its channel.
        channel: Channel,
        /// Opaque to the relay.
        packet: &'a [u8],
    },
    /// Opens the sender's NAT and asks the receiver to answer.
    Punch {
        /// The receiver's, from its candidates: a stranger's is not answered.
        token: PunchToken,
    },
    /// Answer to `Punch`.
    Punched {
        /// As asked with.
        token: PunchToken,
    },
    /// The relay knows no such channel or token.
    Unknown {
        /// As asked for.
        channel: Channel,
    },
}

impl<'a> Datagram<'a> {
    /// Reads a datagram; `None` when it is none of these, or cut short, or too long.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        if matches!(tag, tag::PUNCH | tag::PUNCHED) {
            let token = PunchToken(rest.try_into().ok()?);
            return Some(if tag == tag::PUNCH { Self::Punch { token } } else { Self::Punched { token } });
        }
        let (channel, rest) = rest.split_first_chunk::<4>()?;
        let channel = Channel(u32::from_be_bytes(*channel));
        match tag {
            tag::BIND => {
                let (token, cookie) = rest.split_first_chunk::<16>()?;
                let grant = LegGrant { channel, token: LegToken(*token) };
                Some(Self::Bind { grant, cookie: cookie.try_into().ok()? })
            }
            tag::CHALLENGE => Some(Self::Challenge { channel, cookie: rest.try_into().ok()? }),
            tag::BOUND => {
                let (ip, port) = rest.split_first_chunk::<16>()?;
                let port = u16::from_be_bytes(port.try_into().ok()?);
                let ip = Ipv6Addr::from(*ip);
                let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
                Some(Self::Bound { channel, observed: SocketAddr::new(ip, port) })
            }
            tag::DATA => (!rest.is_empty() && rest.len() <= PACKET_BYTES_MAX)
                .then_some(Self::Data { channel, packet: rest }),
            tag::UNKNOWN => rest.is_empty().then_some(Self::Unknown { channel }),
            _ => None,
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let with = |tag: u8, channel: &Channel, parts: &[&[u8]]| {
            let mut out = vec![tag];
            out.extend_from_slice(&channel.0.to_be_bytes());
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out
        };
        match self {
            Self::Bind { grant, cookie } => with(tag::BIND, &grant.channel, &[&grant.token.0, cookie]),
            Self::Challenge { channel, cookie } => with(tag::CHALLENGE, channel, &[cookie]),
            Self::Bound { channel, observed } => {
                let ip = match observed.ip() {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                with(tag::BOUND, channel, &[&ip.octets(), &observed.port().to_be_bytes()])
            }
            Self::Data { channel, packet } => with(tag::DATA, channel, &[packet]),
            Self::Punch { token } => [&[tag::PUNCH][..], &token.0].concat(),
            Self::Punched { token } => [&[tag::PUNCHED][..], &token.0].concat(),
            Self::Unknown { channel } => with(tag::UNKNOWN, channel, &[]),
        }
    }
}

/// Whether a UDP datagram that starts with `first` belongs to this module.
pub const fn is_leg_datagram(first: u8) -> bool {
    matches!(first, 4..=15)
}
