//! More UDP sockets than clients of the relay need, so that STUN has more than one vantage point (RFC 5780): a second
//! port on each address and, where the relay listens on all addresses, a socket on each of them, so that an answer
//! leaves from the very address that was asked.
//!
//! All of them are extras: what cannot be opened is left out. They serve relay legs too, as every UDP socket does.

use std::{
    cmp::Reverse,
    io,
    net::{IpAddr, SocketAddr},
};

use tagio_wire::nat::Reach;
use tokio::net::UdpSocket;
use tracing::{debug, warn};

use crate::{
    config::SecondPort,
    listeners::{Pair, PortUse, open_udp},
};

/// Addresses of the machine that get sockets of their own, those known farthest first: a server has one or two of each
/// family, and bridges for containers besides.
const ADDRESSES_MAX: usize = 8;

/// Opens the extras to `pairs`, at most `sockets_max`. Must be called within a runtime.
pub(crate) fn open_all(pairs: &[Pair], second: SecondPort, sockets_max: usize) -> Vec<UdpSocket> {
    if second == SecondPort::Off {
        return Vec::new();
    }
    let wanted = pairs.iter().flat_map(|pair| wanted(pair.addr, second));
    wanted.filter_map(|(addr, port)| open(addr, port).ok()).take(sockets_max).collect()
}

/// What would be good to have beside a socket that listens on `bound`.
fn wanted(bound: SocketAddr, second: SecondPort) -> Vec<(SocketAddr, PortUse)> {
    let alternate = match second {
        SecondPort::Off => None,
        SecondPort::Next => bound.port().checked_add(1),
        SecondPort::At(port) => Some(port),
    };
    let Some(alternate) = alternate else { return Vec::new() };
    if !bound.ip().is_unspecified() {
        return vec![(SocketAddr::new(bound.ip(), alternate), PortUse::Alone)];
    }
    let both = |ip| {
        [
            (SocketAddr::new(ip, bound.port()), PortUse::Shared),
            (SocketAddr::new(ip, alternate), PortUse::Alone),
        ]
    };
    addresses_behind(bound).into_iter().flat_map(both).collect()
}

/// The machine's addresses that an unspecified one stands for.
fn addresses_behind(bound: SocketAddr) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        warn!(%error, "cannot list the network interfaces: STUN has one vantage point only");
        Vec::new()
    });
    let is_behind = |ip: &IpAddr| (bound.is_ipv6() || ip.is_ipv4()) && Reach::of(*ip) != Reach::Link;
    let mut found: Vec<_> = interfaces.iter().map(if_addrs::Interface::ip).filter(is_behind).collect();
    found.sort_by_key(|ip| Reverse(Reach::of(*ip)));
    found.truncate(ADDRESSES_MAX);
    found
}

fn open(addr: SocketAddr, port: PortUse) -> io::Result<UdpSocket> {
    let socket = open_udp(addr, true, port).and_then(UdpSocket::from_std);
    socket.inspect_err(|error| debug!(%addr, %error, "no vantage point for STUN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn wants(bound: &str, second: SecondPort) -> Vec<SocketAddr> {
        wanted(addr(bound), second).into_iter().map(|(addr, _)| addr).collect()
    }

    #[test]
    fn one_address_gets_a_second_port() {
        assert_eq!(wants("192.0.2.1:443", SecondPort::Next), [addr("192.0.2.1:444")]);
        assert_eq!(wants("192.0.2.1:443", SecondPort::At(3479)), [addr("192.0.2.1:3479")]);
        assert_eq!(wants("192.0.2.1:65535", SecondPort::Next), []);
        assert_eq!(wants("0.0.0.0:443", SecondPort::Off), []);
    }

    #[test]
    fn all_addresses_get_both_ports_each() {
        let wanted = wants("0.0.0.0:443", SecondPort::Next);
        assert!(wanted.contains(&addr("127.0.0.1:443")) && wanted.contains(&addr("127.0.0.1:444")));
        assert!(wanted.iter().all(|addr| addr.is_ipv4() && !addr.ip().is_unspecified()));
        assert!(wanted.len() <= 2 * ADDRESSES_MAX);
    }
}
