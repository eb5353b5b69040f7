//! Finds a host on the same network without a relay.
//!
//! A viewer asks by multicast for the host that it knows; the host answers, and nobody else learns who was asked for.
//! A host says nothing unasked. Whether the right one answers is for the session's handshake to prove: here it is only
//! one more address to try. `message` has no socket.

mod answering;
mod message;
mod search;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use if_addrs::{IfAddr, Ifv4Addr};

pub use answering::Answering;
pub use message::LanKey;
pub use search::search;

/// Where questions go: a group of the local scope (RFC 2365), and a port that nobody has registered.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 84, 71), 28_471);

/// This machine's IPv4 networks, other than loopback.
fn networks() -> Vec<Ifv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot list the network interfaces");
        Vec::new()
    });
    let up = interfaces.into_iter().filter(|interface| interface.is_oper_up() && !interface.is_loopback());
    up.filter_map(|interface| match interface.addr {
        IfAddr::V4(v4) => Some(v4),
        IfAddr::V6(_) => None,
    })
    .collect()
}

/// Whether `ip` is in one of `networks`.
fn is_near(networks: &[Ifv4Addr], ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if networks.iter().any(|net| ip & net.netmask == net.ip & net.netmask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_on_one_of_the_networks_is_near() {
        let ip = Ipv4Addr::new(192, 168, 1, 7);
        let netmask = Ipv4Addr::new(255, 255, 255, 0);
        let home = [Ifv4Addr { ip, netmask, prefixlen: 24, broadcast: None }];
        let near = |text: &str| is_near(&home, text.parse().unwrap());
        assert!(near("192.168.1.200") && near("192.168.1.7"));
        assert!(!near("192.168.2.7") && !near("203.0.113.1") && !near("::1"));
    }
}
