//! What lies between the two sides: lines that delay, lose, double and reorder, two gateways, and a relay.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tagio_testkit::{
    Seeded,
    nat_lab::{Gateway, Kind},
};
use tagio_wire::{leg::PunchToken, nat::Mapping};

use super::{fate::meet, quic::Packet};
use crate::{
    paths::Side,
    socket::{is_leg, mapped, unmapped},
};

const RELAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 443);
/// Bytes of a datagram of the leg protocol.
const PUNCH_BYTES: u16 = 9;

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Datagram {
    Quic(Packet),
    Punch(PunchToken),
    Punched(PunchToken),
}

impl Datagram {
    fn bytes(&self) -> u16 {
        match self {
            Self::Quic(packet) => packet.bytes,
            Self::Punch(_) | Self::Punched(_) => PUNCH_BYTES,
        }
    }
}

/// A datagram on its way, after its sender's gateway and before its receiver's.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) to: Side,
    from: SocketAddr,
    /// Outside address of the receiver; its leg's, through the relay.
    at: SocketAddr,
    pub(super) datagram: Datagram,
}

/// What a line does to packets, in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) lost_of_1000: usize,
    pub(super) doubled_of_1000: usize,
}

/// One side's place in the network.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    gateway: Gateway,
    outside: Ipv4Addr,
    inside: SocketAddrV4,
    /// Outside address of the socket as STUN last told it.
    pub(super) public: Option<SocketAddr>,
    fresh_ports: u16,
    /// From here to anywhere, and from anywhere to here.
    pub(super) cut_out: bool,
    pub(super) cut_in: bool,
    /// Nothing is done here and nothing is taken.
    pub(super) asleep: bool,
}

impl Place {
    fn new(side: Side, kind: Kind, chance: &mut Seeded) -> Self {
        let (outside, home, port) = match side {
            Side::Viewer => (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(192, 168, 1, 10), 40_000),
            Side::Host => (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 168, 2, 10), 50_000),
        };
        let ip = if is_routed(kind) { outside } else { home };
        Self {
            kind,
            gateway: Gateway::new(kind, outside, ip, Seeded::new(chance.bits())),
            outside,
            inside: SocketAddrV4::new(ip, port),
            public: None,
            fresh_ports: 0,
            cut_out: false,
            cut_in: false,
            asleep: false,
        }
    }

    /// Where the relay sees this side's socket, now.
    pub(super) fn seen_by_relay(&mut self, now: Duration) -> Option<SocketAddr> {
        self.gateway.outward(self.inside, RELAY, now).map(Into::into)
    }

    /// Where it sees one that has never sent.
    pub(super) fn newest_seen(&mut self, now: Duration) -> Option<SocketAddr> {
        self.fresh_ports = (self.fresh_ports + 1) % 4096;
        let fresh = SocketAddrV4::new(*self.inside.ip(), 10_000 + self.fresh_ports);
        self.gateway.outward(fresh, RELAY, now).map(Into::into)
    }

    pub(super) fn mapping(&self) -> Mapping {
        match self.kind {
            Kind::UdpBlocked => Mapping::Blocked,
            Kind::SymmetricSequential => Mapping::Sequential { step: 1 },
            Kind::SymmetricAddress | Kind::Symmetric | Kind::CarrierSymmetric => Mapping::Random,
            Kind::None
            | Kind::Firewall
            | Kind::FullCone
            | Kind::AddressCone
            | Kind::PortCone
            | Kind::PortConeRandom
            | Kind::Linux
            | Kind::LinuxOpen
            | Kind::CarrierPortCone => Mapping::EndpointIndependent,
        }
    }

    pub(super) fn own_addrs(&self) -> Vec<SocketAddr> {
        vec![self.inside.into()]
    }

    /// The router forgets everything.
    pub(super) fn reboot(&mut self) {
        self.gateway.reboot();
    }

    /// Another lease; where there is no NAT, another address outside.
    pub(super) fn move_away(&mut self, chance: &mut Seeded) {
        let [a, b, c, d] = self.inside.ip().octets();
        let ip = Ipv4Addr::new(a, b, c, d % 200 + 1);
        self.inside = SocketAddrV4::new(ip, self.inside.port());
        if is_routed(self.kind) {
            self.outside = ip;
            self.gateway = Gateway::new(self.kind, ip, ip, Seeded::new(chance.bits()));
        }
    }
}

/// Whether clients have public addresses.
fn is_routed(kind: Kind) -> bool {
    matches!(kind, Kind::None | Kind::Firewall)
}

/// The network of one life.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) places: [Place; 2],
    /// Between the sides directly, and between each side and the relay.
    pub(super) direct: Weather,
    pub(super) to_relay: [Weather; 2],
    /// Packets over this size vanish between the sides; none do through the relay.
    pub(super) mtu: u16,
    pub(super) direct_cut: bool,
    pub(super) relay_up: bool,
    /// The newest channel of the relay, and the first that it still knows.
    pub(super) channel: u16,
    pub(super) channels_from: u16,
}

impl Net {
    pub(super) fn new(kinds: [Kind; 2], chance: &mut Seeded) -> Self {
        let [viewer, host] = kinds;
        Self {
            places: [Place::new(Side::Viewer, viewer, chance), Place::new(Side::Host, host, chance)],
            direct: Weather::default(),
            to_relay: [Weather::default(); 2],
            mtu: u16::MAX,
            direct_cut: false,
            relay_up: true,
            channel: 0,
            channels_from: 0,
        }
    }

    pub(super) fn place(&mut self, side: Side) -> &mut Place {
        &mut self.places[side as usize]
    }

    /// The made-up address of a side's end of a channel.
    pub(super) fn leg(side: Side, channel: u16) -> SocketAddr {
        let ip = Ipv6Addr::new(0xfd7a, 0x6710, 1, 0, 0, 0, side as u16, channel);
        SocketAddr::new(ip.into(), 1)
    }

    pub(super) fn restart_relay(&mut self) {
        self.channels_from = self.channel + 1;
    }

    /// Whether both sides can talk to the relay.
    pub(super) fn relay_is_reached(&self) -> bool {
        let is_there = |place: &Place| !(place.cut_in || place.cut_out || place.asleep);
        self.relay_up && self.places.iter().all(is_there)
    }

    /// Whether the sides meet without a guess, as far as what each was told of itself is still true.
    pub(super) fn can_meet(&mut self, now: Duration) -> bool {
        let [a, b] = &mut self.places;
        let is_known = |place: &mut Place| {
            place.mapping() != Mapping::EndpointIndependent || place.seen_by_relay(now) == place.public
        };
        meet(a.kind, b.kind) && is_known(a) && is_known(b)
    }

    /// Sends from `side`; each copy that is not lost arrives after its time. `short`: dies before the other's gateway.
    pub(super) fn send(
        &mut self,
        side: Side,
        to: SocketAddr,
        datagram: Datagram,
        short: bool,
        now: Duration,
        chance: &mut Seeded,
    ) -> [Option<(Duration, Flight)>; 2] {
        let mut copies = [None, None];
        if self.place(side).cut_out {
            return copies;
        }
        let peer = other(side);
        let (weathers, flight) = if is_leg(to) {
            let channel = channel_of(to);
            if !self.relay_up || channel < self.channels_from {
                return copies;
            }
            // The sender of what comes over a leg is known by the receiver's own name for it.
            let at = Self::leg(peer, channel);
            (self.to_relay, Flight { to: peer, from: at, at, datagram })
        } else {
            let SocketAddr::V4(remote) = unmapped(to) else { return copies };
            let place = self.place(side);
            let Some(from) = place.gateway.outward(place.inside, remote, now) else { return copies };
            let is_lost = short || self.direct_cut || datagram.bytes() > self.mtu;
            if is_lost || self.place(peer).outside != *remote.ip() {
                return copies;
            }
            let from = mapped(from.into());
            ([self.direct, Weather::default()], Flight { to: peer, from, at: remote.into(), datagram })
        };
        if weathers.iter().any(|weather| chance.below(1000) < weather.lost_of_1000) {
            return copies;
        }
        let mut delay = || {
            let jitter = |weather: &Weather| {
                let micros = usize::try_from(weather.jitter.as_micros()).expect("jitter is short");
                weather.delay + Duration::from_micros(chance.below(micros + 1) as u64)
            };
            weathers.iter().map(jitter).sum::<Duration>()
        };
        let first = delay();
        let second = delay();
        if weathers.iter().any(|weather| chance.below(1000) < weather.doubled_of_1000) {
            copies[1] = Some((now + second, flight.clone()));
        }
        copies[0] = Some((now + first, flight));
        copies
    }

    /// Who the receiver's socket sees as the sender; `None` where its gateway, or its sleep, drops the datagram.
    pub(super) fn arrive(&mut self, flight: &Flight, now: Duration) -> Option<SocketAddr> {
        let place = self.place(flight.to);
        if place.cut_in || place.asleep {
            return None;
        }
        if is_leg(flight.at) {
            return (self.relay_up && channel_of(flight.at) >= self.channels_from).then_some(flight.from);
        }
        let (SocketAddr::V4(remote), SocketAddr::V4(at)) = (unmapped(flight.from), flight.at) else {
            return None;
        };
        if place.outside != *at.ip() {
            return None;
        }
        let inside = place.gateway.inward(remote, at, now)?;
        (inside == place.inside).then_some(flight.from)
    }
}

fn channel_of(leg: SocketAddr) -> u16 {
    match leg {
        SocketAddr::V6(addr) => addr.ip().segments()[7],
        SocketAddr::V4(_) => unreachable!("legs have IPv6 addresses"),
    }
}

pub(super) fn other(side: Side) -> Side {
    match side {
        Side::Viewer => Side::Host,
        Side::Host => Side::Viewer,
    }
}
