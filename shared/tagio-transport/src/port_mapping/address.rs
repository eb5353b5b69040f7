//! Which addresses the whole Internet leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether packets from anywhere can arrive at `ip`. A router that offers another one is itself behind a NAT.
///
/// Addresses for documentation pass: no router has one, and tests need some.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared_by_a_provider = a == 100 && (64..128).contains(&b);
    let for_protocols = (a, b, c) == (192, 0, 0);
    let for_benchmarks = a == 198 && (18..20).contains(&b);
    let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared_by_a_provider;
    !(special || for_protocols || for_benchmarks || a == 0 || a >= 224)
}

/// Global unicast, 2000::/3; everything else is local, multicast or reserved.
pub(super) fn is_public_v6(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xe000 == 0x2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_behind_another_nat_is_not_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for good in ["1.2.3.4", "100.63.0.1", "100.128.0.1", "172.32.0.1", "203.0.113.9", "2001:db8::1"] {
            assert!(public(good), "{good}");
        }
        for bad in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "0.0.0.0"] {
            assert!(!public(bad), "{bad}");
        }
        for bad in ["127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "192.0.0.1", "198.19.0.1"] {
            assert!(!public(bad), "{bad}");
        }
        for bad in ["::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:1.2.3.4"] {
            assert!(!public(bad), "{bad}");
        }
    }
}
