//! What stands between one home and the internet, without a network: for simulations. Pure.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use super::{
    kind::{Home, Kind},
    nat::{Behaviour, Dependence, Nat, Ports, UDP_TIMEOUT},
    packet::Protocol,
};
use crate::Seeded;

/// Where a carrier's customers are, as seen from its NAT.
const CARRIER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);

/// What Linux routers and firewalls do: the same port outside where it is free, and answers only.
/// That an open Linux router remembers what it did not ask for is left out.
const ANSWERS_ONLY: Behaviour = Behaviour {
    mapping: Dependence::Nothing,
    filtering: Dependence::AddressAndPort,
    ports: Ports::Preserve,
    has_hairpin: false,
    udp_timeout: UDP_TIMEOUT,
};

/// The NATs of a home, its own first, for UDP.
#[derive(Debug)]
pub struct Gateway {
    kind: Kind,
    /// None where everything passes unchanged.
    nats: Vec<Nat>,
}

impl Gateway {
    /// Of this kind, with this outside address. `inside` is any address of the /24 that is the home's inside; for
    /// [`Kind::None`] and [`Kind::Firewall`] it is the outside's.
    pub fn new(kind: Kind, outside: Ipv4Addr, inside: Ipv4Addr, mut chance: Seeded) -> Self {
        let home = match kind.home() {
            Home::Nat(behaviour) => Some(behaviour),
            Home::Masquerade { .. } | Home::Routed { has_firewall: true } => Some(ANSWERS_ONLY),
            Home::Routed { has_firewall: false } => None,
        };
        let mut chance = || Seeded::new(chance.bits());
        let nats = match (home, kind.carrier()) {
            (None, _) => Vec::new(),
            (Some(home), None) => vec![Nat::new(home, outside, inside, chance())],
            (Some(home), Some(carrier)) => {
                vec![Nat::new(home, CARRIER, inside, chance()), Nat::new(carrier, outside, CARRIER, chance())]
            }
        };
        Self { kind, nats }
    }

    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// As whom the internet sees what `inside` sends to `remote`; `None` where it does not get out. `now` counts from
    /// any moment.
    pub fn outward(
        &mut self,
        inside: SocketAddrV4,
        remote: SocketAddrV4,
        now: Duration,
    ) -> Option<SocketAddrV4> {
        if self.kind == Kind::UdpBlocked {
            return None;
        }
        self.nats.iter_mut().try_fold(inside, |from, nat| nat.outward(Protocol::Udp, from, remote, now))
    }

    /// Whom of the inside reaches what `remote` sends to `to`; `None` where it is dropped.
    pub fn inward(&mut self, remote: SocketAddrV4, to: SocketAddrV4, now: Duration) -> Option<SocketAddrV4> {
        if self.kind == Kind::UdpBlocked {
            return None;
        }
        self.nats.iter_mut().rev().try_fold(to, |to, nat| nat.inward(Protocol::Udp, remote, to.port(), now))
    }

    /// Loses all mappings, as by a restart.
    pub fn reboot(&mut self) {
        self.nats.iter_mut().for_each(Nat::forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 10), 4000);
    const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 5000);
    const STRANGER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 5000);

    #[test]
    fn an_answer_comes_home_through_every_gateway_and_a_strangers_packet_through_open_ones() {
        for kind in Kind::ALL {
            let mut gateway = Gateway::new(kind, OUTSIDE, *CLIENT.ip(), Seeded::new(1));
            let Some(seen) = gateway.outward(CLIENT, PEER, Duration::ZERO) else {
                assert_eq!(kind, Kind::UdpBlocked);
                continue;
            };
            assert_eq!(gateway.inward(PEER, seen, Duration::ZERO), Some(CLIENT), "{kind}");
            let is_open = [Kind::None, Kind::FullCone].contains(&kind);
            assert_eq!(gateway.inward(STRANGER, seen, Duration::ZERO).is_some(), is_open, "{kind}");
            gateway.reboot();
            let passes = gateway.inward(PEER, seen, Duration::ZERO).is_some();
            assert_eq!(passes, kind == Kind::None, "{kind}");
        }
    }
}
