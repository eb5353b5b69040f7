//! Each kind of NAT of the laboratory behaves as its name says: asked from outside, by plain UDP sockets.
#![cfg(target_os = "linux")]

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tagio_testkit::{
    NatLab,
    nat_lab::{Kind, Line, RELAY_ADDRESSES, Site},
};

/// How long a packet may take that comes; nothing is far away.
const COMES_LIMIT: Duration = Duration::from_secs(5);
/// How long one is waited for that is not to come.
const NEVER: Duration = Duration::from_millis(300);
const PORTS: [u16; 2] = [3478, 3479];

/// What of the remote end matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Nothing,
    Address,
    AddressAndPort,
}

/// Where outside ports come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    Preserved,
    Sequential,
    Random,
}

/// A laboratory with the kind in question at site a, and sockets at both addresses and ports of the relay.
struct Bench {
    lab: NatLab,
    servers: [[UdpSocket; 2]; 2],
}

impl Bench {
    fn new(kind: Kind) -> Option<Self> {
        let lab = NatLab::new(kind, Kind::None)?;
        println!("TAGIO_SEED={}", lab.seed);
        let servers =
            RELAY_ADDRESSES.map(|ip| PORTS.map(|port| lab.relay().udp_socket(ip, port).expect("a server")));
        Some(Self { lab, servers })
    }

    fn client(&self) -> UdpSocket {
        self.lab.viewer().udp_socket(Ipv4Addr::UNSPECIFIED, 0).expect("a client")
    }

    /// Where a client is when it sends to this server; `None`: it does not get there.
    fn seen(&self, client: &UdpSocket, server: [usize; 2], limit: Duration) -> Option<SocketAddrV4> {
        let [address, port] = server;
        client.send_to(b"who am I", (RELAY_ADDRESSES[address], PORTS[port])).expect("a packet on its way");
        let server = &self.servers[address][port];
        server.set_read_timeout(Some(limit)).expect("a time-out");
        received(server).map(|from| match from {
            SocketAddr::V4(v4) => v4,
            SocketAddr::V6(v6) => panic!("{v6} by IPv4"),
        })
    }

    #[track_caller]
    fn seen_by(&self, client: &UdpSocket, server: [usize; 2]) -> SocketAddrV4 {
        self.seen(client, server, COMES_LIMIT).expect("a packet on its way out")
    }

    /// Whether what this server sends there gets to the client.
    fn reaches(&self, server: [usize; 2], to: SocketAddrV4, client: &UdpSocket, limit: Duration) -> bool {
        let [address, port] = server;
        self.servers[address][port].send_to(b"hello", to).expect("a packet on its way");
        client.set_read_timeout(Some(limit)).expect("a time-out");
        received(client) == Some(SocketAddr::from((RELAY_ADDRESSES[address], PORTS[port])))
    }

    fn mapping(&self) -> On {
        let client = self.client();
        let [first, other_port, other_address] =
            [[0, 0], [0, 1], [1, 0]].map(|server| self.seen_by(&client, server));
        assert_eq!(self.seen_by(&client, [0, 0]), first, "a mapping that does not last");
        match (first == other_port, first == other_address) {
            (true, true) => On::Nothing,
            (true, false) => On::Address,
            (false, false) => On::AddressAndPort,
            (false, true) => panic!("{first} {other_port} {other_address}: no such kind"),
        }
    }

    fn filtering(&self) -> On {
        let client = self.client();
        let outside = self.seen_by(&client, [0, 0]);
        assert!(self.reaches([0, 0], outside, &client, COMES_LIMIT), "no answer from where it was asked for");
        let [other_port, other_address] =
            [[0, 1], [1, 0]].map(|server| self.reaches(server, outside, &client, NEVER));
        match (other_port, other_address) {
            (true, true) => On::Nothing,
            (true, false) => On::Address,
            (false, false) => On::AddressAndPort,
            (false, true) => panic!("no such kind"),
        }
    }

    /// Of new mappings, one after the other.
    fn ports(&self) -> Ports {
        let clients: Vec<UdpSocket> = (0..5).map(|_| self.client()).collect();
        let outside: Vec<u16> = clients.iter().map(|client| self.seen_by(client, [0, 0]).port()).collect();
        let inside = clients.iter().map(|client| client.local_addr().expect("an address").port());
        if inside.eq(outside.iter().copied()) {
            Ports::Preserved
        } else if outside.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1).max(1024)) {
            Ports::Sequential
        } else {
            Ports::Random
        }
    }

    /// A restart lets nobody in who was let in before, until he is sent to again.
    fn check_reboot(&self) {
        let client = self.client();
        let outside = self.seen_by(&client, [0, 0]);
        assert!(self.reaches([0, 0], outside, &client, COMES_LIMIT));
        self.lab.reboot(Site::A);
        assert!(!self.reaches([0, 0], outside, &client, NEVER), "nothing was forgotten");
        let outside = self.seen_by(&client, [0, 0]);
        assert!(self.reaches([0, 0], outside, &client, COMES_LIMIT));
    }
}

/// Who the next packet is from, before the socket's time-out.
fn received(socket: &UdpSocket) -> Option<SocketAddr> {
    match socket.recv_from(&mut [0; 64]) {
        Ok((_, from)) => Some(from),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check(kind: Kind, mapping: On, filtering: On, ports: Ports) {
    let Some(bench) = Bench::new(kind) else { return };
    assert_eq!(bench.mapping(), mapping, "the mapping of {kind}");
    assert_eq!(bench.filtering(), filtering, "the filter of {kind}");
    assert_eq!(bench.ports(), ports, "the ports of {kind}");
    if kind != Kind::None {
        bench.check_reboot();
    }
}

#[test]
fn none() {
    check(Kind::None, On::Nothing, On::Nothing, Ports::Preserved);
}

#[test]
fn firewall() {
    check(Kind::Firewall, On::Nothing, On::AddressAndPort, Ports::Preserved);
}

#[test]
fn full_cone() {
    check(Kind::FullCone, On::Nothing, On::Nothing, Ports::Preserved);
}

#[test]
fn address_cone() {
    check(Kind::AddressCone, On::Nothing, On::Address, Ports::Preserved);
}

#[test]
fn port_cone() {
    check(Kind::PortCone, On::Nothing, On::AddressAndPort, Ports::Preserved);
}

#[test]
fn port_cone_random() {
    check(Kind::PortConeRandom, On::Nothing, On::AddressAndPort, Ports::Random);
}

#[test]
fn linux() {
    check(Kind::Linux, On::Nothing, On::AddressAndPort, Ports::Preserved);
}

#[test]
fn linux_open() {
    check(Kind::LinuxOpen, On::Nothing, On::AddressAndPort, Ports::Preserved);
}

#[test]
fn symmetric_sequential() {
    check(Kind::SymmetricSequential, On::AddressAndPort, On::AddressAndPort, Ports::Sequential);
}

#[test]
fn symmetric_address() {
    check(Kind::SymmetricAddress, On::Address, On::AddressAndPort, Ports::Random);
}

#[test]
fn symmetric() {
    check(Kind::Symmetric, On::AddressAndPort, On::AddressAndPort, Ports::Random);
}

#[test]
fn carrier_port_cone() {
    check(Kind::CarrierPortCone, On::Nothing, On::AddressAndPort, Ports::Random);
}

#[test]
fn carrier_symmetric() {
    check(Kind::CarrierSymmetric, On::AddressAndPort, On::AddressAndPort, Ports::Random);
}

#[test]
fn where_udp_is_blocked_only_one_port_of_tcp_is_left() {
    let Some(bench) = Bench::new(Kind::UdpBlocked) else { return };
    assert_eq!(bench.seen(&bench.client(), [0, 0], NEVER), None);
    let connects = |port: u16| {
        let server = SocketAddr::from((RELAY_ADDRESSES[0], port));
        let _listener =
            bench.lab.relay().on_thread(|| TcpListener::bind(server).context("a listener")).unwrap();
        let call = || TcpStream::connect_timeout(&server, NEVER).context("no connection");
        bench.lab.viewer().on_thread(call).is_ok()
    };
    assert!(connects(443) && !connects(80));
}

/// A plain Linux router with an open address remembers who knocked, and then gives the answer another port.
#[test]
fn an_open_linux_router_stumbles_over_who_knocked_first() {
    for (kind, stumbles) in [(Kind::Linux, false), (Kind::LinuxOpen, true)] {
        let Some(bench) = Bench::new(kind) else { return };
        let client = bench.client();
        let outside = bench.seen_by(&client, [0, 0]);
        assert!(!bench.reaches([1, 1], outside, &client, NEVER), "{kind} lets anybody in");
        assert_eq!(bench.seen_by(&client, [1, 1]) != outside, stumbles, "{kind}");
    }
}

/// A packet that opens the own routers and dies before the peer's has a few hops to spare.
#[test]
fn a_packet_with_few_hops_left_opens_the_own_nat_and_does_not_arrive() {
    for (kind, hops) in [(Kind::Linux, 2), (Kind::PortCone, 2), (Kind::CarrierPortCone, 3)] {
        let Some(bench) = Bench::new(kind) else { return };
        let client = bench.client();
        let outside = bench.seen_by(&client, [0, 0]);
        for hops in [hops, hops + 3] {
            client.set_ttl(hops).unwrap();
            assert_eq!(bench.seen(&client, [1, 1], NEVER), None, "{kind}: {hops} hops are enough to arrive");
        }
        assert!(bench.reaches([1, 1], outside, &client, COMES_LIMIT), "{kind}: it opened nothing");
    }
}

#[test]
fn homes_reach_each_other_without_a_nat() {
    let Some(lab) = NatLab::new(Kind::None, Kind::None) else { return };
    let [a, b] = [lab.viewer(), lab.host()].map(|net| net.udp_socket(Ipv4Addr::UNSPECIFIED, 9000).unwrap());
    a.send_to(b"hello", "192.0.2.10:9000").expect("a packet on its way");
    b.set_read_timeout(Some(COMES_LIMIT)).expect("a time-out");
    assert_eq!(received(&b), Some("198.51.100.10:9000".parse().unwrap()));
}

#[test]
fn a_client_moves_to_another_address() {
    for (kind, seen) in [(Kind::None, [198, 51, 100, 11]), (Kind::PortCone, [198, 51, 100, 1])] {
        let Some(bench) = Bench::new(kind) else { return };
        let client = bench.client();
        let before = bench.seen_by(&client, [0, 0]);
        bench.lab.change_address(Site::A);
        let after = bench.seen_by(&client, [0, 0]);
        assert_ne!(before, after, "{kind}");
        assert_eq!(after.ip().octets(), seen, "{kind}");
    }
}

/// The quickest of some exchanges with the relay.
fn round_trip(bench: &Bench) -> Duration {
    let (client, server) = (bench.client(), &bench.servers[0][0]);
    client.set_read_timeout(Some(COMES_LIMIT)).expect("a time-out");
    server.set_read_timeout(Some(COMES_LIMIT)).expect("a time-out");
    thread::scope(|scope| {
        const EXCHANGES: u32 = 20;
        scope.spawn(|| {
            for _ in 0..EXCHANGES {
                let from = received(server).expect("a question");
                server.send_to(b"pong", from).expect("a packet on its way");
            }
        });
        let exchange = |_| {
            let start = Instant::now();
            client.send_to(b"ping", (RELAY_ADDRESSES[0], PORTS[0])).expect("a packet on its way");
            received(&client).expect("an answer");
            start.elapsed()
        };
        (0..EXCHANGES).map(exchange).min().expect("some")
    })
}

#[test]
fn distances_are_what_was_asked_for() {
    let Some(mut bench) = Bench::new(Kind::PortCone) else { return };
    let near = round_trip(&bench);
    bench.lab = bench.lab.with_distances();
    let far = round_trip(&bench);
    bench.lab.impair(Site::A, Line::slow(100, 0));
    let farther = round_trip(&bench);
    println!("there and back: {near:?}, {far:?}, {farther:?}");
    // 15 ± 2 ms and 5 ms, there and back; then 105 ms.
    assert!(far >= Duration::from_millis(36) && farther >= Duration::from_millis(210));
    assert!(
        far < 3 * Duration::from_millis(40) && farther < 2 * Duration::from_millis(210) && near < far / 2
    );
}

#[test]
fn a_cut_line_carries_nothing_until_it_is_put_back() {
    let Some(bench) = Bench::new(Kind::PortCone) else { return };
    let client = bench.client();
    let outside = bench.seen_by(&client, [0, 0]);
    bench.lab.cut(Site::A, true);
    assert_eq!(bench.seen(&client, [0, 0], NEVER), None);
    assert!(!bench.reaches([0, 0], outside, &client, NEVER));
    bench.lab.cut(Site::A, false);
    assert_eq!(bench.seen_by(&client, [0, 0]), outside);
}

#[test]
fn with_v6_answers_come_in_and_nothing_else() {
    let Some(lab) = NatLab::with_v6(Kind::Symmetric, Kind::CarrierSymmetric) else { return };
    let bind = |net: &tagio_testkit::Namespace, address: &str| {
        let socket =
            net.on_thread(|| UdpSocket::bind(format!("[{address}]:9000")).context("a socket")).unwrap();
        socket.set_read_timeout(Some(NEVER)).expect("a time-out");
        socket
    };
    let (a, b) = (bind(lab.viewer(), "2001:db8:a::10"), bind(lab.host(), "2001:db8:b::10"));
    let sends = |from: &UdpSocket, to: &UdpSocket| {
        from.send_to(b"hello", to.local_addr().unwrap()).expect("a packet on its way");
        received(to) == Some(from.local_addr().unwrap())
    };
    assert!(!sends(&a, &b), "the firewall of b lets anybody in");
    assert!(sends(&b, &a), "a has asked b");
    assert!(sends(&a, &b));
    let relay = bind(lab.relay(), "2001:db8:ff::10");
    assert!(sends(&a, &relay) && sends(&relay, &a));
}
