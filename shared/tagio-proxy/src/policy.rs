//! Which addresses a proxy may dial for others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv4 that is not for everybody: the IANA special-purpose registry (RFC 6890), multicast and reserved space, and
/// the one public address at which a provider of machines tells them their secrets.
const NOT_PUBLIC_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, reserved space and broadcast.
    ([224, 0, 0, 0], 3),
    // Azure's wire server.
    ([168, 63, 129, 16], 32),
];

/// Where all public IPv6 unicast is (RFC 4291, 2.4).
const GLOBAL_UNICAST_V6: (u128, u32) = (0x2000 << 112, 3);
/// What of it is not for everybody: protocols' own space with Teredo in it, and two for documents.
const NOT_PUBLIC_V6: [(u128, u32); 3] = [(0x2001 << 112, 23), (0x2001_0db8 << 96, 32), (0x3fff << 112, 20)];
/// 6to4 (RFC 3056): an IPv4 address behind the first 16 bits.
const SIX_TO_FOUR: (u128, u32) = (0x2002 << 112, 16);
/// NAT64's well-known prefix (RFC 6052): an IPv4 address in the last 32 bits.
const NAT64: (u128, u32) = (0x0064_ff9b << 96, 96);

/// Addresses that may be dialled: the public ones, and those in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPolicy {
    allowed: Vec<IpNet>,
}

impl TargetPolicy {
    /// Public addresses and these.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether a connection to this very address may be made.
    ///
    /// An IPv4 address within an IPv6 one (mapped, 6to4, NAT64) is judged as what it leads to.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let goal = goal(ip);
        is_public(goal) || self.allowed.iter().any(|net| net.contains(&goal) || net.contains(&ip))
    }
}

/// Where packets to `ip` end up.
fn goal(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let bits = v6.to_bits();
    if lies_in_v6(v6, SIX_TO_FOUR) {
        return Ipv4Addr::from_bits((bits >> 80) as u32).into();
    }
    if lies_in_v6(v6, NAT64) {
        return Ipv4Addr::from_bits(bits as u32).into();
    }
    v6.into()
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|(net, len)| {
            (v4.to_bits() ^ Ipv4Addr::from_octets(*net).to_bits()) >> (Ipv4Addr::BITS - len) == 0
        }),
        IpAddr::V6(v6) => {
            lies_in_v6(v6, GLOBAL_UNICAST_V6) && !NOT_PUBLIC_V6.iter().any(|net| lies_in_v6(v6, *net))
        }
    }
}

const fn lies_in_v6(ip: Ipv6Addr, (net, len): (u128, u32)) -> bool {
    (ip.to_bits() ^ net) >> (Ipv6Addr::BITS - len) == 0
}
