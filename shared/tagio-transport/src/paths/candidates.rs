//! Addresses at which this machine may be reached, and which of a peer's are worth a packet.

use std::net::{IpAddr, SocketAddr};

use tagio_wire::limits::CANDIDATES_MAX;

/// Addresses of this machine's interfaces with the ports of the bound sockets; the likely ones first.
pub(crate) fn host_candidates(bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the network interfaces");
        Vec::new()
    });
    let mut found = Vec::new();
    for socket in bound {
        if !socket.ip().is_unspecified() {
            found.push(*socket);
            continue;
        }
        let family =
            interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| ip.is_ipv4() == socket.is_ipv4());
        found.extend(family.map(|ip| SocketAddr::new(ip, socket.port())));
    }
    found.retain(|addr| is_usable(*addr));
    found.sort_by_key(|addr| addr.ip().is_loopback());
    found.dedup();
    found.truncate(CANDIDATES_MAX - 1);
    found
}

/// Whether a packet to `addr` could reach one peer, and nobody else.
pub(crate) fn is_usable(addr: SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    let special = match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        // Link-local addresses mean nothing without the interface that they belong to.
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_one_machine_are_usable() {
        let usable = |text: &str| is_usable(text.parse().unwrap());
        assert!(usable("192.168.1.7:4000") && usable("127.0.0.1:4000") && usable("[2001:db8::1]:4000"));
        assert!(!usable("0.0.0.0:4000") && !usable("255.255.255.255:4000") && !usable("224.0.0.1:4000"));
        assert!(!usable("192.168.1.7:0") && !usable("[fe80::1]:4000") && !usable("[::ffff:0.0.0.0]:4000"));
    }

    #[test]
    fn a_socket_bound_to_one_address_has_that_candidate() {
        let bound = "127.0.0.1:4433".parse().unwrap();
        assert_eq!(host_candidates(&[bound]), [bound]);
    }
}
