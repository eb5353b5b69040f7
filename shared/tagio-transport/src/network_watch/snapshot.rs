//! Where this machine is: its addresses, and the ones that it would use towards the internet. Sends nothing.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// Addresses on the internet (for documentation, RFC 5737 and 3849) to which only the way is looked up.
const FAR_AWAY: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// What sessions depend on. Two that are equal are the same place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Of interfaces whose cable is plugged in.
    addresses: BTreeSet<IpAddr>,
    /// By IPv4 and by IPv6: changes with the default route, too.
    towards_internet: [Option<IpAddr>; 2],
}

impl Snapshot {
    /// Asks the system; takes well below a millisecond on Linux.
    pub(super) fn take() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot list the network interfaces");
            Vec::new()
        });
        let up = interfaces.iter().filter(|interface| interface.is_oper_up());
        let addresses = up.map(if_addrs::Interface::ip).filter(|ip| leads_somewhere(*ip));
        Self { addresses: addresses.collect(), towards_internet: FAR_AWAY.map(source_towards) }
    }
}

/// Link-local addresses come and go with every container, and no session uses one.
fn leads_somewhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// The address that packets to `far` would leave from; `None` without a way there.
fn source_towards(far: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(far).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}
