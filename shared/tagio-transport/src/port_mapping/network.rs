//! The local network as port mappings see it: the router, and this machine's addresses in front of it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use if_addrs::{IfAddr, Interface};

use super::{
    address::{is_public, is_public_v6},
    gateway::default_gateway,
};

/// IPv6 addresses of this machine that get a pinhole: the lasting one and a temporary one.
const IPV6_MAX: usize = 2;

/// What mappings depend on; they are asked for anew when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) v4: Option<Lan>,
    pub(super) v6: Vec<GlobalAddress>,
}

/// An IPv4 network with a router in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lan {
    pub(super) gateway: Ipv4Addr,
    /// This machine's address there.
    pub(super) local: Ipv4Addr,
    netmask: Ipv4Addr,
}

/// An IPv6 address that only a firewall can stand in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GlobalAddress {
    pub(super) ip: Ipv6Addr,
    netmask: Ipv6Addr,
    /// Number of its interface.
    pub(super) scope_id: u32,
}

impl Network {
    /// Asks the system, and nobody else; may take some milliseconds.
    pub(super) fn look() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        let lan = |gateway| interfaces.iter().find_map(|interface| Lan::on(interface, gateway));
        let mut v6: Vec<_> = interfaces.iter().filter_map(GlobalAddress::on).collect();
        v6.truncate(IPV6_MAX);
        Ok(Self { v4: default_gateway().and_then(lan), v6 })
    }

    /// Addresses at which a router has to deliver what is for the socket bound to `bound`.
    pub(super) fn internal(&self, bound: SocketAddr) -> Vec<SocketAddr> {
        let own: Vec<IpAddr> = match bound {
            SocketAddr::V4(_) => self.v4.iter().map(|lan| lan.local.into()).collect(),
            SocketAddr::V6(_) => self.v6.iter().map(|global| global.ip.into()).collect(),
        };
        let bound_to = |ip: &IpAddr| bound.ip().is_unspecified() || bound.ip() == *ip;
        own.into_iter().filter(bound_to).map(|ip| SocketAddr::new(ip, bound.port())).collect()
    }
}

impl Lan {
    fn on(interface: &Interface, gateway: Ipv4Addr) -> Option<Self> {
        let IfAddr::V4(addr) = &interface.addr else { return None };
        let lan = Self { gateway, local: addr.ip, netmask: addr.netmask };
        // A public address has no NAT in front of it, and no router that would map.
        let needs_mapping = !addr.ip.is_loopback() && !addr.ip.is_link_local() && !is_public(addr.ip.into());
        (needs_mapping && addr.ip != gateway && lan.contains(gateway.into())).then_some(lan)
    }

    /// Whether packets to `ip` stay in this network.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if ip & self.netmask == self.local & self.netmask)
    }
}

impl GlobalAddress {
    fn on(interface: &Interface) -> Option<Self> {
        let IfAddr::V6(addr) = &interface.addr else { return None };
        let global = Self { ip: addr.ip, netmask: addr.netmask, scope_id: interface.index? };
        is_public_v6(addr.ip).then_some(global)
    }

    /// Whether packets to `ip` stay in this network.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        let IpAddr::V6(ip) = ip else { return false };
        ip.is_unicast_link_local() || ip & self.netmask == self.ip & self.netmask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(ip: [u8; 4], netmask: [u8; 4]) -> Interface {
        Interface {
            name: "eth0".into(),
            addr: IfAddr::V4(if_addrs::Ifv4Addr {
                ip: ip.into(),
                netmask: netmask.into(),
                prefixlen: 24,
                broadcast: None,
            }),
            index: Some(2),
            oper_status: if_addrs::IfOperStatus::Up,
            is_p2p: false,
            #[cfg(windows)]
            adapter_name: String::new(),
        }
    }

    #[test]
    fn only_a_router_in_a_private_network_is_asked() {
        let is_asked = |ip, gateway: [u8; 4]| Lan::on(&interface(ip, [255, 255, 255, 0]), gateway.into());
        assert!(is_asked([192, 168, 1, 7], [192, 168, 1, 1]).is_some());
        assert!(is_asked([100, 64, 1, 7], [100, 64, 1, 1]).is_some());
        for (ip, gateway) in [
            ([192, 168, 1, 7], [192, 168, 2, 1]),
            ([192, 168, 1, 7], [192, 168, 1, 7]),
            ([127, 0, 0, 1], [127, 0, 0, 2]),
            ([169, 254, 1, 7], [169, 254, 1, 1]),
            ([1, 2, 3, 7], [1, 2, 3, 1]),
        ] {
            assert_eq!(is_asked(ip, gateway), None);
        }
    }

    #[test]
    fn a_socket_bound_to_one_address_is_mapped_to_no_other() {
        let lan = Lan::on(&interface([192, 168, 1, 7], [255, 255, 255, 0]), [192, 168, 1, 1].into());
        let network = Network { v4: lan, v6: Vec::new() };
        let internal = |bound: &str| network.internal(bound.parse().unwrap());
        assert_eq!(internal("0.0.0.0:4000"), ["192.168.1.7:4000".parse().unwrap()]);
        assert_eq!(internal("192.168.1.7:4000"), ["192.168.1.7:4000".parse().unwrap()]);
        assert!(internal("127.0.0.1:4000").is_empty() && internal("[::]:4000").is_empty());
    }
}
