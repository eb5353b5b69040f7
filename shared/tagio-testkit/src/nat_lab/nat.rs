//! A NAT as RFC 4787 describes them, of any kind. Pure: packets, time and chance are handed in.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4},
    ops::RangeInclusive,
    time::Duration,
};

use super::packet::{Packet, Protocol};
use crate::Seeded;

/// The ports that it gives out.
const PORTS: RangeInclusive<u16> = 1024..=65535;
/// How often it looks for a free port by chance before it gives up.
const CHANCES_MAX: usize = 4096;
/// How long a TCP connection may be silent (RFC 5382), and an echo (RFC 5508).
const TCP_TIMEOUT: Duration = Duration::from_secs(7440);
const ECHO_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a UDP mapping may be silent at most, in homes.
pub(super) const UDP_TIMEOUT: Duration = Duration::from_secs(120);

/// What of the remote end matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dependence {
    Nothing,
    Address,
    AddressAndPort,
}

impl Dependence {
    /// The remote end without what does not matter.
    fn part_of(self, remote: SocketAddrV4) -> SocketAddrV4 {
        match self {
            Self::Nothing => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            Self::Address => SocketAddrV4::new(*remote.ip(), 0),
            Self::AddressAndPort => remote,
        }
    }
}

/// Which port a new mapping gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// That of the inside, while it is free; else any.
    Preserve,
    Random,
    /// The one after the last.
    Sequential,
}

/// What kind of NAT it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    /// What of the remote end decides which mapping is used.
    pub(super) mapping: Dependence,
    /// What of the remote end must have been sent to before it may answer.
    pub(super) filtering: Dependence,
    pub(super) ports: Ports,
    /// Whether two of the inside reach each other by their outside addresses.
    pub(super) has_hairpin: bool,
    pub(super) udp_timeout: Duration,
}

/// Which mapping a packet of the inside uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    protocol: Protocol,
    inside: SocketAddrV4,
    remote: SocketAddrV4,
}

#[derive(Debug)]
struct Mapping {
    key: Key,
    last_used: Duration,
    /// Who was sent to, as far as the filter looks, and when last.
    contacted: HashMap<SocketAddrV4, Duration>,
}

/// A NAT with one outside address and an inside of one /24.
#[derive(Debug)]
pub(super) struct Nat {
    behaviour: Behaviour,
    outside: Ipv4Addr,
    inside: Ipv4Addr,
    /// INVARIANT: holds exactly the keys of `mappings`.
    ports: HashMap<Key, u16>,
    mappings: HashMap<(Protocol, u16), Mapping>,
    next_port: u16,
    chance: Seeded,
}

impl Nat {
    /// `inside` is any address of the inside's network.
    pub(super) fn new(behaviour: Behaviour, outside: Ipv4Addr, inside: Ipv4Addr, mut chance: Seeded) -> Self {
        let next_port = random_port(&mut chance);
        Self {
            behaviour,
            outside,
            inside,
            ports: HashMap::new(),
            mappings: HashMap::new(),
            next_port,
            chance,
        }
    }

    /// Translates a packet from either side in place. `false`: it goes no further.
    pub(super) fn pass(&mut self, packet: &mut [u8], now: Duration) -> bool {
        let Some(mut packet) = Packet::parse(packet) else { return false };
        let is_from_inside = packet.source().ip().octets()[..3] == self.inside.octets()[..3];
        let is_to_outside_address = *packet.destination().ip() == self.outside;
        match (is_from_inside, is_to_outside_address) {
            (true, false) => self.pass_out(&mut packet, now).is_some(),
            (false, true) => self.pass_in(&mut packet, now).is_some(),
            // As if it had come from outside (RFC 4787, REQ-9).
            (true, true) if self.behaviour.has_hairpin => {
                self.pass_out(&mut packet, now).and_then(|()| self.pass_in(&mut packet, now)).is_some()
            }
            (true, true) | (false, false) => false,
        }
    }

    /// Loses all mappings, as by a restart.
    pub(super) fn forget(&mut self) {
        self.ports.clear();
        self.mappings.clear();
        self.next_port = random_port(&mut self.chance);
    }

    fn pass_out(&mut self, packet: &mut Packet<'_>, now: Duration) -> Option<()> {
        let source = self.outward(packet.protocol, packet.source(), packet.destination(), now)?;
        packet.set_source(source);
        Some(())
    }

    fn pass_in(&mut self, packet: &mut Packet<'_>, now: Duration) -> Option<()> {
        let destination = self.inward(packet.protocol, packet.source(), packet.destination().port(), now)?;
        packet.set_destination(destination);
        Some(())
    }

    /// The outside source of what `inside` sends to `remote`; `None` where there is no way out.
    pub(super) fn outward(
        &mut self,
        protocol: Protocol,
        inside: SocketAddrV4,
        remote: SocketAddrV4,
        now: Duration,
    ) -> Option<SocketAddrV4> {
        if inside.port() == 0 {
            return None;
        }
        let key = Key { protocol, inside, remote: self.behaviour.mapping.part_of(remote) };
        let port = self.mapped_port(key, now)?;
        let mapping = self.mappings.get_mut(&(protocol, port))?;
        mapping.last_used = now;
        mapping.contacted.insert(self.behaviour.filtering.part_of(remote), now);
        Some(SocketAddrV4::new(self.outside, port))
    }

    /// Whom of the inside reaches what `remote` sends to this outside port; `None` where the filter drops it.
    pub(super) fn inward(
        &mut self,
        protocol: Protocol,
        remote: SocketAddrV4,
        port: u16,
        now: Duration,
    ) -> Option<SocketAddrV4> {
        let place = (protocol, port);
        if self.is_free(place, now) {
            return None;
        }
        let timeout = self.timeout(protocol);
        let mapping = self.mappings.get_mut(&place)?;
        match mapping.contacted.get_mut(&self.behaviour.filtering.part_of(remote)) {
            Some(last) if now.saturating_sub(*last) <= timeout => *last = now,
            Some(_) | None => return None,
        }
        // What comes in keeps it too, as in most homes.
        mapping.last_used = now;
        Some(mapping.key.inside)
    }

    fn mapped_port(&mut self, key: Key, now: Duration) -> Option<u16> {
        if let Some(port) = self.ports.get(&key).copied()
            && !self.is_free((key.protocol, port), now)
        {
            return Some(port);
        }
        let port = self.choose_port(key.protocol, key.inside.port(), now)?;
        self.ports.insert(key, port);
        self.mappings
            .insert((key.protocol, port), Mapping { key, last_used: now, contacted: HashMap::new() });
        Some(port)
    }

    fn choose_port(&mut self, protocol: Protocol, wanted: u16, now: Duration) -> Option<u16> {
        let ports = self.behaviour.ports;
        if ports == Ports::Preserve && PORTS.contains(&wanted) && self.is_free((protocol, wanted), now) {
            return Some(wanted);
        }
        if ports == Ports::Sequential {
            return PORTS.into_iter().find_map(|_| {
                let port = self.next_port;
                self.next_port = if port == *PORTS.end() { *PORTS.start() } else { port + 1 };
                self.is_free((protocol, port), now).then_some(port)
            });
        }
        (0..CHANCES_MAX).find_map(|_| {
            let port = random_port(&mut self.chance);
            self.is_free((protocol, port), now).then_some(port)
        })
    }

    /// Whether nobody has this port; one who was silent for too long has it no more.
    fn is_free(&mut self, place: (Protocol, u16), now: Duration) -> bool {
        let Some(mapping) = self.mappings.get(&place) else { return true };
        if now.saturating_sub(mapping.last_used) <= self.timeout(place.0) {
            return false;
        }
        let key = mapping.key;
        self.mappings.remove(&place);
        self.ports.remove(&key);
        true
    }

    fn timeout(&self, protocol: Protocol) -> Duration {
        match protocol {
            Protocol::Udp => self.behaviour.udp_timeout,
            Protocol::Tcp => TCP_TIMEOUT,
            Protocol::Echo => ECHO_TIMEOUT,
        }
    }
}

fn random_port(chance: &mut Seeded) -> u16 {
    PORTS.start() + chance.below(PORTS.len()) as u16
}

#[cfg(test)]
mod tests;
