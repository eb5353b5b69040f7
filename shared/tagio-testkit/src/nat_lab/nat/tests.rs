//! Each kind of NAT does what its name says.

use super::{super::packet::tests::packet, *};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

const INDEPENDENT: Dependence = Dependence::Nothing;

fn at(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A NAT, its time, and the protocol that is spoken.
struct Router {
    nat: Nat,
    now: Duration,
    protocol: Protocol,
}

impl Router {
    fn new(mapping: Dependence, filtering: Dependence, ports: Ports) -> Self {
        let behaviour = Behaviour { mapping, filtering, ports, has_hairpin: false, udp_timeout: seconds(30) };
        Self::of(behaviour)
    }

    fn of(behaviour: Behaviour) -> Self {
        let nat = Nat::new(behaviour, OUTSIDE, INSIDE, Seeded::new(1));
        Self { nat, now: seconds(0), protocol: Protocol::Udp }
    }

    fn pass(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let mut bytes = packet(self.protocol, from, to);
        let passed = self.nat.pass(&mut bytes, self.now);
        let parsed = Packet::parse(&mut bytes).unwrap();
        passed.then(|| (parsed.source(), parsed.destination()))
    }

    /// The port under which a client is seen by a remote end.
    #[track_caller]
    fn send(&mut self, client: &str, remote: &str) -> u16 {
        let (source, destination) = self.pass(at(client), at(remote)).expect("a way out");
        assert_eq!((*source.ip(), destination), (OUTSIDE, at(remote)));
        source.port()
    }

    /// The client that a remote end reaches by a port.
    fn answer(&mut self, remote: &str, port: u16) -> Option<SocketAddrV4> {
        self.pass(at(remote), SocketAddrV4::new(OUTSIDE, port)).map(|(_, destination)| destination)
    }
}

const CLIENT: &str = "192.168.1.10:4000";
const NEIGHBOUR: &str = "192.168.1.11:4000";
/// Two addresses, two ports.
const FIRST: &str = "203.0.113.10:443";
const OTHER_PORT: &str = "203.0.113.10:3478";
const OTHER_ADDRESS: &str = "203.0.113.11:443";

#[test]
fn mappings_depend_on_what_they_should() {
    let cases = [
        (INDEPENDENT, [true, true]),
        (Dependence::Address, [true, false]),
        (Dependence::AddressAndPort, [false, false]),
    ];
    for (mapping, shared) in cases {
        let mut router = Router::new(mapping, INDEPENDENT, Ports::Random);
        let first = router.send(CLIENT, FIRST);
        assert_eq!(router.send(CLIENT, FIRST), first);
        let same = [OTHER_PORT, OTHER_ADDRESS].map(|remote| router.send(CLIENT, remote) == first);
        assert_eq!(same, shared, "{mapping:?}");
        assert_ne!(router.send(NEIGHBOUR, FIRST), first);
    }
}

#[test]
fn filters_let_in_whom_they_should() {
    let cases = [
        (INDEPENDENT, [true, true]),
        (Dependence::Address, [true, false]),
        (Dependence::AddressAndPort, [false, false]),
    ];
    for (filtering, let_in) in cases {
        let mut router = Router::new(INDEPENDENT, filtering, Ports::Preserve);
        let port = router.send(CLIENT, FIRST);
        assert_eq!(router.answer(FIRST, port), Some(at(CLIENT)));
        let others = [OTHER_PORT, OTHER_ADDRESS].map(|remote| router.answer(remote, port).is_some());
        assert_eq!(others, let_in, "{filtering:?}");
        assert_eq!(router.answer(FIRST, port + 1), None, "nobody has that port");
    }
}

#[test]
fn ports_are_kept_while_they_are_free() {
    let mut router = Router::new(INDEPENDENT, INDEPENDENT, Ports::Preserve);
    assert_eq!(router.send(CLIENT, FIRST), 4000);
    let port = router.send(NEIGHBOUR, FIRST);
    assert_ne!(port, 4000);
    assert_eq!(router.answer(FIRST, port), Some(at(NEIGHBOUR)));
    router.protocol = Protocol::Tcp;
    assert_eq!(router.send(NEIGHBOUR, FIRST), 4000, "a port of TCP is none of UDP");
}

#[test]
fn sequential_ports_follow_each_other() {
    let mut router = Router::new(Dependence::AddressAndPort, INDEPENDENT, Ports::Sequential);
    router.nat.next_port = 65534;
    let ports = [FIRST, OTHER_PORT, OTHER_ADDRESS].map(|remote| router.send(CLIENT, remote));
    assert_eq!(ports, [65534, 65535, 1024]);
}

#[test]
fn random_ports_are_spread() {
    let mut router = Router::new(INDEPENDENT, INDEPENDENT, Ports::Random);
    let ports: Vec<u16> =
        (0..100).map(|i| router.send(&format!("192.168.1.10:{}", 4000 + i), FIRST)).collect();
    let near = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 256).count();
    assert!(near < 10, "{near} of 99 are next to each other");
    assert!(ports.iter().all(|port| *port >= 1024));
}

#[test]
fn a_silent_udp_mapping_ends_and_either_side_keeps_it() {
    let mut router = Router::new(INDEPENDENT, Dependence::AddressAndPort, Ports::Random);
    let port = router.send(CLIENT, FIRST);
    for second in [25, 50, 75] {
        router.now = seconds(second);
        assert!(router.answer(FIRST, port).is_some(), "kept from outside");
    }
    router.now = seconds(100);
    assert_eq!(router.send(CLIENT, FIRST), port, "kept from inside");
    router.now = seconds(131);
    assert_eq!(router.answer(FIRST, port), None);
    assert_ne!(router.send(CLIENT, FIRST), port);
}

#[test]
fn a_remote_end_that_was_silent_has_to_be_asked_again() {
    let mut router = Router::new(INDEPENDENT, Dependence::AddressAndPort, Ports::Preserve);
    let port = router.send(CLIENT, FIRST);
    for second in [20, 40] {
        router.now = seconds(second);
        router.send(CLIENT, OTHER_PORT);
    }
    assert_eq!(router.answer(FIRST, port), None);
    assert!(router.answer(OTHER_PORT, port).is_some());
}

#[test]
fn a_restart_forgets_everything() {
    let mut router = Router::new(INDEPENDENT, INDEPENDENT, Ports::Random);
    let port = router.send(CLIENT, FIRST);
    router.nat.forget();
    assert_eq!(router.answer(FIRST, port), None);
    assert_ne!(router.send(CLIENT, FIRST), port);
}

#[test]
fn neighbours_meet_outside_only_with_a_hairpin() {
    for has_hairpin in [false, true] {
        let mut router = Router::of(Behaviour {
            mapping: INDEPENDENT,
            filtering: INDEPENDENT,
            ports: Ports::Random,
            has_hairpin,
            udp_timeout: seconds(30),
        });
        let (client, neighbour) = (router.send(CLIENT, FIRST), router.send(NEIGHBOUR, FIRST));
        let met = router.pass(at(CLIENT), SocketAddrV4::new(OUTSIDE, neighbour));
        let expected = (SocketAddrV4::new(OUTSIDE, client), at(NEIGHBOUR));
        assert_eq!(met, has_hairpin.then_some(expected));
    }
}

#[test]
fn tcp_and_echoes_are_translated_alike() {
    for protocol in [Protocol::Tcp, Protocol::Echo] {
        let mut router = Router::new(INDEPENDENT, Dependence::Address, Ports::Random);
        router.protocol = protocol;
        let (remote, stranger) = match protocol {
            Protocol::Echo => ("203.0.113.10:0", "203.0.113.11:0"),
            Protocol::Udp | Protocol::Tcp => (FIRST, OTHER_ADDRESS),
        };
        let port = router.send(CLIENT, remote);
        assert_eq!(router.answer(remote, port), Some(at(CLIENT)));
        assert_eq!(router.answer(stranger, port), None);
    }
}

#[test]
fn what_belongs_to_nobody_is_dropped() {
    let mut router = Router::new(INDEPENDENT, INDEPENDENT, Ports::Preserve);
    assert_eq!(router.pass(at("10.0.0.1:4000"), at(FIRST)), None, "a source that is not of the inside");
    assert!(!router.nat.pass(&mut [0x45; 3], seconds(0)), "no packet at all");
}
