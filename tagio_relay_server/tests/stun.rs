//! STUN on the relay's UDP ports, with real sockets.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use common::{PATIENCE, Relay};
use tagio_relay_server::SecondPort;
use tokio::{net::UdpSocket, time::timeout};

/// A Binding request of the smallest kind, written from RFC 8489 alone.
const QUESTION: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, b'a', b' ', b't', b'r', b'a', b'n', b's', b'a', b'c', b't', b'i',
    b'o',
];
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const OTHER_ADDRESS: u16 = 0x802c;

/// An answer's addresses, and where it came from.
struct Answer {
    from: SocketAddr,
    mapped: SocketAddr,
    other: Option<SocketAddr>,
}

/// A socket that can be answered from any address of this machine.
async fn client() -> UdpSocket {
    UdpSocket::bind("0.0.0.0:0").await.unwrap()
}

async fn ask(client: &UdpSocket, server: SocketAddr) -> Option<Answer> {
    client.send_to(&QUESTION, server).await.unwrap();
    let mut answer = [0; 128];
    let (len, from) = timeout(PATIENCE, client.recv_from(&mut answer)).await.ok()?.unwrap();
    assert_eq!(answer[..2], [1, 1], "a success");
    assert_eq!(answer[4..20], QUESTION[4..], "cookie and transaction");
    let mapped = attribute(&answer[20..len], XOR_MAPPED_ADDRESS).map(|value| {
        let port = u16::from_be_bytes([value[2] ^ 0x21, value[3] ^ 0x12]);
        let ip = Ipv4Addr::new(value[4] ^ 0x21, value[5] ^ 0x12, value[6] ^ 0xa4, value[7] ^ 0x42);
        SocketAddr::new(ip.into(), port)
    });
    let other = attribute(&answer[20..len], OTHER_ADDRESS).map(|value| {
        let ip = Ipv4Addr::new(value[4], value[5], value[6], value[7]);
        SocketAddr::new(ip.into(), u16::from_be_bytes([value[2], value[3]]))
    });
    Some(Answer { from, mapped: mapped.unwrap(), other })
}

/// The value of an attribute; those of our answers need no padding.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [a, b, c, d, rest @ ..] = bytes {
        let (value, next) = rest.split_at(u16::from_be_bytes([*c, *d]).into());
        if u16::from_be_bytes([*a, *b]) == wanted {
            return Some(value);
        }
        bytes = next;
    }
    None
}

/// A port that was free on all of `ips` a moment ago, with the next one.
fn free_port(ips: &[[u8; 4]]) -> u16 {
    let is_free = |port: u16| {
        ips.iter().all(|ip| {
            let bind = |port| std::net::UdpSocket::bind((Ipv4Addr::from(*ip), port));
            TcpListener::bind((Ipv4Addr::from(*ip), port)).is_ok()
                && bind(port).is_ok()
                && bind(port + 1).is_ok()
        })
    };
    (0..100).map(|_| rand::random_range(20_000..30_000)).find(|port| is_free(*port)).unwrap()
}

#[tokio::test]
async fn whoever_asks_learns_its_address_and_the_second_port() {
    let addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port(&[[127, 0, 0, 1]]));
    let relay = Relay::start_with(|config| config.binds = vec![addr]).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let answer = ask(&client, relay.addr).await.unwrap();
    assert_eq!(answer.from, relay.addr);
    assert_eq!(answer.mapped, client.local_addr().unwrap());
    let second = answer.other.expect("the next port was free");
    assert_eq!(second, SocketAddr::new(relay.addr.ip(), relay.addr.port() + 1));
    let answer = ask(&client, second).await.unwrap();
    assert_eq!((answer.from, answer.other), (second, Some(relay.addr)), "and back");
}

#[tokio::test]
async fn two_addresses_are_four_vantage_points() {
    let ips = [[127, 0, 0, 1], [127, 0, 0, 2]];
    let port = free_port(&ips);
    let at = |ip: usize, port| SocketAddr::new(ips[ip].into(), port);
    let _relay = Relay::start_with(|config| config.binds = vec![at(0, port), at(1, port)]).await;
    let client = client().await;
    for (asked, other) in [
        (at(0, port), at(1, port + 1)),
        (at(0, port + 1), at(1, port)),
        (at(1, port), at(0, port + 1)),
        (at(1, port + 1), at(0, port)),
    ] {
        let answer = ask(&client, asked).await.unwrap();
        assert_eq!(answer.from, asked, "the answer leaves from where it was asked");
        assert_eq!(answer.other, Some(other), "asked at {asked}");
    }
}

#[tokio::test]
async fn a_relay_on_all_addresses_answers_from_the_one_that_was_asked() {
    let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), free_port(&[[0; 4]]));
    let relay = Relay::start_with(|config| config.binds = vec![all]).await;
    let client = client().await;
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let own = interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| ip.is_ipv4());
    for ip in own.take(4) {
        let asked = SocketAddr::new(ip, relay.addr.port());
        let answer = ask(&client, asked).await.unwrap();
        assert_eq!(answer.from, asked);
        let other = answer.other.expect("another vantage point");
        assert_ne!(other.port(), asked.port());
        assert_eq!(ask(&client, other).await.unwrap().from, other);
    }
}

#[tokio::test]
async fn without_a_second_port_none_is_named() {
    let relay = Relay::start_with(|config| config.stun_port = SecondPort::Off).await;
    assert_eq!(ask(&client().await, relay.addr).await.unwrap().other, None);

    let port = free_port(&[[127, 0, 0, 1]]);
    let taken = UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
    let relay = Relay::start_with(|config| config.stun_port = SecondPort::At(port)).await;
    assert_eq!(ask(&client().await, relay.addr).await.unwrap().other, None);
    drop(taken);
}

#[tokio::test]
async fn questions_too_many_and_noise_are_dropped_and_counted() {
    let relay = Relay::start_with(|config| config.limits.stun_short_burst = 2).await;
    let client = client().await;
    for _ in 0..2 {
        ask(&client, relay.addr).await.unwrap();
    }
    client.send_to(&QUESTION, relay.addr).await.unwrap();
    relay.wait_denied("stun_short_rate", 1).await;
    client.send_to(&QUESTION[..19], relay.addr).await.unwrap();
    client.send_to(&[0; 300], relay.addr).await.unwrap();
    relay.wait_denied("bad_stun", 2).await;
    let silence = timeout(Duration::from_millis(100), client.recv_from(&mut [0; 64])).await;
    assert!(silence.is_err(), "none of them is answered");
}
