//! The places of the laboratory and their addresses, which are the same in each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The relay's addresses; one more than a relay needs, so that a NAT can be asked how it treats two.
pub const RELAY_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 11)];

/// The relay's IPv6 address, in a laboratory that has some.
pub const RELAY_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x10);

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// The viewer's home.
    A,
    /// The host's.
    B,
    /// Where the relay stands.
    Relay,
}

impl Site {
    pub(super) const ALL: [Self; 3] = [Self::A, Self::B, Self::Relay];

    /// The site that has this address.
    pub(super) fn of(address: IpAddr) -> Option<Self> {
        Self::ALL.into_iter().find(|site| match address {
            IpAddr::V4(v4) => v4.octets()[..3] == site.public().octets()[..3],
            IpAddr::V6(v6) => v6.segments()[..3] == site.v6().segments()[..3],
        })
    }

    /// Counts from 1; a part of private addresses and of hardware addresses.
    pub(super) const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The name of what belongs to it.
    pub(super) const fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Relay => "relay",
        }
    }

    /// The address that the others see; that of a home's router.
    pub(super) const fn public(self) -> Ipv4Addr {
        match self {
            Self::A => Ipv4Addr::new(198, 51, 100, 1),
            Self::B => Ipv4Addr::new(192, 0, 2, 1),
            Self::Relay => RELAY_ADDRESSES[0],
        }
    }

    /// A home's router, on its inside.
    pub(super) const fn lan(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, self.number(), 1)
    }

    /// A carrier's router, on the side of its customers.
    pub(super) const fn carrier(self) -> Ipv4Addr {
        Ipv4Addr::new(100, 64, self.number(), 1)
    }

    /// Its first IPv6 address, of a /48.
    pub(super) const fn v6(self) -> Ipv6Addr {
        match self {
            Self::A => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1),
            Self::B => Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1),
            Self::Relay => RELAY_ADDRESS_V6,
        }
    }

    /// The /48 of its addresses, to which a number may be appended.
    pub(super) const fn v6_network(self) -> Ipv6Addr {
        let [a, b, c, ..] = self.v6().segments();
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
    }
}

/// The same network's address that ends in this number.
pub(super) const fn sibling(address: Ipv4Addr, last: u8) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, last)
}
