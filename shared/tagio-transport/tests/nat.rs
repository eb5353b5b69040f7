//! What an endpoint learns by STUN: from a real relay, from servers behind a NAT that is made up, and from nobody.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    process::Command,
    thread,
};

use stun_rs::{
    MessageClass, MessageDecoder, MessageEncoder, StunMessageBuilder,
    attributes::{discovery::OtherAddress, stun::XorMappedAddress},
    methods::BINDING,
};
use tagio_testkit::{TempDir, binaries, lab::Relay};
use tagio_transport::Endpoint;
use tagio_wire::nat::Mapping;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// As good as another machine: all of 127.0.0.0/8 is this one.
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn relay(dir: &TempDir, bind: &str) -> Relay {
    let mut command = Command::new(binaries::relay_server());
    command
        .args(["--bind", bind, "--metrics-bind", "off", "--public-ip", "127.0.0.1", "--data-dir"])
        .arg(dir.path());
    Relay::start(&mut command)
}

#[tokio::test]
async fn without_a_nat_the_public_address_is_the_local_one() {
    let dir = TempDir::new();
    let relay = relay(&dir, "127.0.0.1:0");
    let endpoint = Endpoint::bind(Some(SocketAddr::new(HERE, 0))).unwrap();
    let report = endpoint.probe_nat(relay.address).await;
    assert_eq!(report.mapping, Mapping::EndpointIndependent);
    assert_eq!(report.public, Some(endpoint.local_addr()));
    assert!(report.local_is_public);
    let newest = endpoint.newest_mapping(relay.address).await.expect("an answer");
    assert!(
        newest.ip() == HERE && newest.port() != endpoint.local_addr().port(),
        "{newest} is no new socket's"
    );
}

#[tokio::test]
async fn an_endpoint_on_all_addresses_knows_which_one_it_asks_from() {
    let dir = TempDir::new();
    let relay = relay(&dir, "0.0.0.0:0");
    let endpoint = Endpoint::bind(None).unwrap();
    let asked = SocketAddr::new(HERE, relay.address.port());
    let report = endpoint.probe_nat(asked).await;
    assert_eq!(report.public, Some(SocketAddr::new(HERE, endpoint.local_addr().port())));
    assert!(report.local_is_public);
}

#[tokio::test]
async fn silence_means_that_udp_is_blocked() {
    let silent = UdpSocket::bind((HERE, 0)).unwrap();
    let endpoint = Endpoint::bind(Some(SocketAddr::new(HERE, 0))).unwrap();
    let report = endpoint.probe_nat(silent.local_addr().unwrap()).await;
    assert_eq!((report.mapping, report.public), (Mapping::Blocked, None));
    assert_eq!(endpoint.newest_mapping(silent.local_addr().unwrap()).await, None);
}

/// Vantage points of one server. Each sees another port of a NAT that is not there, and the `lost` first sendings of
/// each question stay unanswered.
fn servers(ports_seen: [u16; 3], lost: usize) -> SocketAddr {
    let bind = |addr: (IpAddr, u16)| UdpSocket::bind(addr).unwrap();
    let (main, alternate) = (bind((HERE, 0)), bind((HERE, 0)));
    let far = bind((THERE, alternate.local_addr().unwrap().port()));
    let (asked, other) = (main.local_addr().unwrap(), far.local_addr().unwrap());
    for (socket, port) in [main, alternate, far].into_iter().zip(ports_seen) {
        let mapped = SocketAddr::new([198, 51, 100, 1].into(), port);
        thread::spawn(move || serve(&socket, mapped, other, lost));
    }
    asked
}

/// Ends with the test program.
fn serve(socket: &UdpSocket, mapped: SocketAddr, other: SocketAddr, lost: usize) {
    let mut buffer = [0; 1500];
    for sending in 0.. {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        if sending < lost {
            continue;
        }
        let (question, _) = MessageDecoder::default().decode(&buffer[..len]).unwrap();
        let answer = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
            .with_transaction_id(*question.transaction_id())
            .with_attribute(XorMappedAddress::from(mapped))
            .with_attribute(OtherAddress::from(other))
            .build();
        let len = MessageEncoder::default().encode(&mut buffer, &answer).unwrap();
        socket.send_to(&buffer[..len], from).unwrap();
    }
}

#[tokio::test]
async fn what_the_vantage_points_see_tells_the_kind_of_nat() {
    for (ports_seen, lost, mapping) in [
        ([6000, 6000, 6000], 0, Mapping::EndpointIndependent),
        ([6000, 6001, 6002], 0, Mapping::Sequential { step: 1 }),
        ([6000, 6002, 6004], 1, Mapping::Sequential { step: 2 }),
        ([6000, 6000, 50_000], 0, Mapping::Random),
        ([6000, 43_210, 1234], 1, Mapping::Random),
    ] {
        let server = servers(ports_seen, lost);
        let endpoint = Endpoint::bind(Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))).unwrap();
        let report = endpoint.probe_nat(server).await;
        assert_eq!(report.mapping, mapping, "ports {ports_seen:?}, {lost} lost");
        assert_eq!(report.public.map(|addr| addr.port()), Some(ports_seen[2]));
        assert!(!report.local_is_public);
    }
}

#[tokio::test]
async fn many_probes_at_once_do_not_hear_each_other() {
    let endpoint = Endpoint::bind(Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))).unwrap();
    let mut probes = tokio::task::JoinSet::new();
    for port in 6000..6010 {
        let endpoint = endpoint.clone();
        probes.spawn(async move { endpoint.probe_nat(servers([port; 3], 0)).await });
    }
    let reports = probes.join_all().await;
    let seen: HashSet<_> = reports.iter().filter_map(|report| report.public).collect();
    assert_eq!(seen.len(), 10);
    assert!(reports.iter().all(|report| report.mapping == Mapping::EndpointIndependent));
}
