//! Packets through the relay: UDP, TCP, and both at once.

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{Client, Relay, UdpEnd, call, read_frame, tcp_end, write_frame};
use tagio_wire::{
    control::ClientMessage,
    leg::{Datagram, LegGrant, LegToken, PACKET_BYTES_MAX},
};
use tokio::io::AsyncReadExt;

async fn grants(relay: &Relay) -> (Client, Client, LegGrant, LegGrant) {
    let mut caller = Client::connect(relay).await;
    let mut target = Client::connect(relay).await;
    let (a, b) = call(&mut caller, &mut target).await;
    (caller, target, a, b)
}

#[tokio::test]
async fn two_udp_ends_exchange_packets_of_every_size() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (a, b) = (UdpEnd::bound(&relay, a).await, UdpEnd::bound(&relay, b).await);
    for len in [1, 2, 1200, PACKET_BYTES_MAX] {
        a.send_packet(&vec![7; len]).await;
        assert_eq!(b.recv_packet().await, vec![7; len]);
        b.send_packet(&vec![9; len]).await;
        assert_eq!(a.recv_packet().await, vec![9; len]);
    }
    assert_eq!(relay.metric("tagio_relay_packets_total").await, 8);
}

#[tokio::test]
async fn a_udp_end_and_a_tcp_end_exchange_packets() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let a = UdpEnd::bound(&relay, a).await;
    let mut b = tcp_end(&relay, b).await.unwrap();
    for len in [1, 1200, PACKET_BYTES_MAX] {
        a.send_packet(&vec![7; len]).await;
        assert_eq!(read_frame(&mut b).await.unwrap(), vec![7; len]);
        write_frame(&mut b, &vec![9; len]).await.unwrap();
        assert_eq!(a.recv_packet().await, vec![9; len]);
    }
}

#[tokio::test]
async fn two_tcp_ends_exchange_packets_in_order() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (mut a, mut b) = (tcp_end(&relay, a).await.unwrap(), tcp_end(&relay, b).await.unwrap());
    for number in 0..100_u32 {
        write_frame(&mut a, &number.to_be_bytes()).await.unwrap();
    }
    for number in 0..100_u32 {
        assert_eq!(read_frame(&mut b).await.unwrap(), number.to_be_bytes());
    }
}

#[tokio::test]
async fn first_packets_reach_an_end_that_comes_later() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let a = UdpEnd::bound(&relay, a).await;
    a.send_packet(b"first").await;
    a.send_packet(b"second").await;
    relay.wait_metric("tagio_relay_held_packets_total", 2).await;
    let b = UdpEnd::bound(&relay, b).await;
    assert_eq!(b.recv_packet().await, b"first", "and behind the answer that binds");
    assert_eq!(b.recv_packet().await, b"second");

    let (_caller, _target, a, b) = grants(&relay).await;
    let mut a = tcp_end(&relay, a).await.unwrap();
    write_frame(&mut a, b"first").await.unwrap();
    write_frame(&mut a, &[2; 1500]).await.unwrap();
    relay.wait_metric("tagio_relay_held_packets_total", 4).await;
    let mut b = tcp_end(&relay, b).await.unwrap();
    assert_eq!(read_frame(&mut b).await.unwrap(), b"first");
    assert_eq!(read_frame(&mut b).await.unwrap(), [2; 1500]);
    assert_eq!(relay.metric("tagio_relay_packets_total").await, 4);
    assert_eq!(relay.denied("leg_unbound").await, 0);
}

#[tokio::test]
async fn an_end_at_home_begins_before_it_shows_a_cookie() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (a, b) = (UdpEnd::at_home(&relay, a).await, UdpEnd::bound(&relay, b).await);
    a.send(&Datagram::Bind { grant: a.grant, cookie: [0; 16] }).await;
    a.send_packet(b"question").await;
    assert_eq!(b.recv_packet().await, b"question");
    let answer = a.recv().await.unwrap();
    let Some(Datagram::Challenge { cookie, .. }) = Datagram::parse(&answer) else { panic!("{answer:?}") };
    for packet in [b"first", b"other", b"third"] {
        b.send_packet(packet).await;
    }
    assert_eq!([a.recv_packet().await, a.recv_packet().await], [b"first", b"other"]);
    assert!(a.is_silent().await, "no more than a first flight");
    a.send(&Datagram::Bind { grant: a.grant, cookie }).await;
    let answer = a.recv().await.unwrap();
    assert!(matches!(Datagram::parse(&answer), Some(Datagram::Bound { .. })), "{answer:?}");
    assert_eq!(a.recv_packet().await, b"third");
}

#[tokio::test]
async fn an_end_without_a_cookie_or_with_a_wrong_token_gets_nothing() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let b = UdpEnd::bound(&relay, b).await;
    let unbound = UdpEnd::new(&relay, a).await;
    unbound.send_packet(b"too early").await;
    unbound.send(&Datagram::Bind { grant: a, cookie: [1; 16] }).await;
    let answer = unbound.recv().await.unwrap();
    assert!(matches!(Datagram::parse(&answer), Some(Datagram::Challenge { .. })));
    unbound.send_packet(b"still too early").await;
    assert!(b.is_silent().await);
    relay.wait_denied("bad_cookie", 1).await;
    relay.wait_denied("leg_wrong_source", 2).await;
    let guessed = LegGrant { channel: a.channel, token: LegToken([0; 16]) };
    let guesser = UdpEnd::new(&relay, guessed).await;
    let failed = guesser.bind().await.err().unwrap().to_string();
    assert!(failed.starts_with("not bound: [9,"), "{failed}");
    assert!(tcp_end(&relay, guessed).await.is_err());
    relay.wait_denied("leg_unknown", 2).await;
}

#[tokio::test]
async fn a_client_with_a_new_address_binds_its_end_again() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (old, b) = (UdpEnd::bound(&relay, a).await, UdpEnd::bound(&relay, b).await);
    let new = UdpEnd::bound(&relay, a).await;
    b.send_packet(b"hello").await;
    assert_eq!(new.recv_packet().await, b"hello");
    old.send_packet(b"from where I was").await;
    assert!(old.is_silent().await && b.is_silent().await);
    let mut tcp = tcp_end(&relay, a).await.unwrap();
    b.send_packet(b"again").await;
    assert_eq!(read_frame(&mut tcp).await.unwrap(), b"again");
    assert!(new.bind().await.is_err(), "the client has chosen TCP");
    b.send_packet(b"and again").await;
    assert_eq!(read_frame(&mut tcp).await.unwrap(), b"and again");
}

#[tokio::test]
async fn a_call_that_ends_takes_its_leg_along() {
    let relay = Relay::start().await;
    let (mut caller, _target, a, b) = grants(&relay).await;
    let a = UdpEnd::bound(&relay, a).await;
    let mut b = tcp_end(&relay, b).await.unwrap();
    caller.send(&ClientMessage::EndCall { call: 1 }).await;
    assert_eq!(b.read(&mut [0; 16]).await.unwrap(), 0);
    a.send_packet(b"anybody there?").await;
    relay.wait_denied("leg_unknown", 1).await;
    assert_eq!(relay.metric("tagio_relay_legs").await, 0);
}

#[tokio::test]
async fn legs_nobody_uses_are_gone() {
    let relay = Relay::start_with(|config| {
        config.limits.leg_unbound_secs = 1;
        config.limits.leg_idle_secs = 2;
    })
    .await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let _used = (UdpEnd::bound(&relay, a).await, UdpEnd::bound(&relay, b).await);
    let _unused = grants(&relay).await;
    assert_eq!(relay.metric("tagio_relay_legs").await, 2);
    for expected in [1, 0] {
        let started = Instant::now();
        while relay.metric("tagio_relay_legs").await > expected {
            assert!(started.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_slow_tcp_end_costs_packets_but_bounded_memory() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (mut fast, slow) = (tcp_end(&relay, a).await.unwrap(), tcp_end(&relay, b).await.unwrap());
    let mut sent = 0;
    while relay.denied("leg_queue_full").await == 0 {
        for _ in 0..500 {
            write_frame(&mut fast, &[0; 2000]).await.unwrap();
        }
        sent += 500;
        assert!(sent < 100_000, "200 MB went into a connection that nobody reads");
    }
    drop(slow);
    write_frame(&mut fast, b"the fast one lives").await.unwrap();
}

#[tokio::test]
async fn a_leg_in_use_keeps_a_draining_relay_up_for_a_short_time() {
    let relay = Relay::start().await;
    let (_caller, _target, a, b) = grants(&relay).await;
    let (a, b) = (UdpEnd::bound(&relay, a).await, UdpEnd::bound(&relay, b).await);
    let started = Instant::now();
    relay.drain();
    while started.elapsed() < Duration::from_secs(2) {
        a.send_packet(b"still here").await;
        assert_eq!(b.recv_packet().await, b"still here");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    relay.ended().await;
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn ipv6_and_ipv4_clients_meet_on_one_port() {
    let both: SocketAddr = "[::]:0".parse().unwrap();
    let mut relay = Relay::start_with(|config| config.binds = vec![both]).await;
    let port = relay.addr.port();
    relay.addr = SocketAddr::new([127, 0, 0, 1].into(), port);
    let (caller, _target, a, b) = grants(&relay).await;
    assert!(caller.welcome.observed.is_ipv4(), "no mapped address leaves the relay");
    let a = UdpEnd::bound(&relay, a).await;
    relay.addr = format!("[::1]:{port}").parse().unwrap();
    let mut b = tcp_end(&relay, b).await.unwrap();
    a.send_packet(b"four to six").await;
    assert_eq!(read_frame(&mut b).await.unwrap(), b"four to six");
    write_frame(&mut b, b"six to four").await.unwrap();
    assert_eq!(a.recv_packet().await, b"six to four");
}
