//! What a NAT does to addresses, in words that both peers and the relay share.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How a NAT chooses the public port of a socket behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapping {
    /// STUN stays silent: UDP is blocked.
    Blocked,
    /// The same port towards everybody, or no NAT at all.
    EndpointIndependent,
    /// Another port for each destination; the next one is `step` further.
    Sequential {
        /// From -8 to 8, never 0.
        step: i16,
    },
    /// Another port for each destination, without a pattern.
    Random,
    /// Only one vantage point answered: no telling.
    #[default]
    Unknown,
}

/// How far away an address means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This machine: loopback.
    Machine,
    /// This link: link-local addresses.
    Link,
    /// This site or provider: private, shared (RFC 6598) and unique local addresses.
    Site,
    /// Everywhere.
    World,
}

impl Reach {
    /// The reach of `ip`; that of a mapped IPv4 address is the IPv4 address's.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Machine,
            IpAddr::V4(v4) if v4.is_link_local() => Self::Link,
            IpAddr::V4(v4) if v4.is_private() || is_shared(v4.octets()) => Self::Site,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::Link,
            IpAddr::V6(v6) if v6.is_unique_local() => Self::Site,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::World,
        }
    }
}

/// Whether an address is of 100.64.0.0/10, which providers use between themselves and their customers.
const fn is_shared([a, b, ..]: [u8; 4]) -> bool {
    a == 100 && b & 0xc0 == 64
}

/// Whether a datagram that begins with `first` is QUIC's (RFC 9443).
pub const fn is_quic(first: u8) -> bool {
    first >= 64
}

/// Whether a datagram that begins with `first` is STUN's (RFC 9443).
pub const fn is_stun(first: u8) -> bool {
    first < 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reaches_as_far_as_its_range_says() {
        let reach = |text: &str| Reach::of(text.parse().unwrap());
        assert!(["127.0.0.2", "::1", "::ffff:127.0.0.1"].iter().all(|ip| reach(ip) == Reach::Machine));
        assert!(["169.254.1.1", "fe80::1"].iter().all(|ip| reach(ip) == Reach::Link));
        assert!(
            ["10.0.0.1", "192.168.1.1", "172.17.0.1", "100.64.0.1", "100.127.255.255", "fd00::1"]
                .iter()
                .all(|ip| reach(ip) == Reach::Site)
        );
        assert!(
            ["100.63.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"]
                .iter()
                .all(|ip| reach(ip) == Reach::World)
        );
        assert!(Reach::World > Reach::Site, "what reaches further is greater");
    }
}
