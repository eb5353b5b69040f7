//! Attacks that no single protocol's test has: each gets a counted refusal, or nothing at all.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::time::Duration;

use common::{
    ANY, Client, PATIENCE, Relay, call,
    messages::{Registrant, WsClient, error, ping, post},
    write_frame,
};
use tagio_wire::{
    control::{ClientMessage, RelayMessage},
    encode,
    leg::{Channel, Datagram, LegGrant, LegToken},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};

#[tokio::test]
async fn a_control_frame_that_comes_twice_ends_its_connection() {
    let relay = Relay::start().await;
    let (mut client, mut other) = (Client::connect(&relay).await, Client::connect(&relay).await);
    let mut frame = vec![0; 256];
    let ping = encode(&ClientMessage::Ping { nonce: 9 });
    let len = client.noise.write_message(&ping, &mut frame).unwrap();
    write_frame(&mut client.stream, &frame[..len]).await.unwrap();
    assert_eq!(client.recv().await, RelayMessage::Pong { nonce: 9 });
    write_frame(&mut client.stream, &frame[..len]).await.unwrap();
    assert!(client.try_recv().await.is_err(), "no second answer");
    relay.wait_denied("bad_message", 1).await;
    // Nor is it good for anything in somebody else's connection.
    write_frame(&mut other.stream, &frame[..len]).await.unwrap();
    assert!(other.try_recv().await.is_err());
    relay.wait_denied("bad_message", 2).await;
}

#[tokio::test]
async fn what_is_compressed_is_not_unpacked() {
    let relay = Relay::start().await;
    // How a gigabyte of zeros begins (RFC 1952, RFC 1951), a kilobyte of it.
    let bomb = [&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xec\xc1\x01\x0d"[..], &[0; 1000]].concat();
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let answer = post(relay.addr, &[("Content-Encoding", encoding)], &bomb).await;
        assert_eq!((answer.status, answer.body), (400, error("BAD_MESSAGE")), "{encoding}");
    }
    relay.wait_denied("tagio_malformed", 4).await;
}

#[tokio::test]
async fn a_flood_of_registrations_from_one_address_leaves_room_for_others() {
    let relay = Relay::start_with(|config| config.limits.connections_per_ip_max = 20).await;
    let (flooder, honest) = ("127.3.0.1".parse().unwrap(), "127.3.0.2".parse().unwrap());
    let mut held = Vec::new();
    for number in 0..100 {
        held.push(Registrant::open(relay.addr, flooder, &format!("flood-{number}"), b"").await);
    }
    relay.wait_denied("connections_per_ip", 80).await;
    relay.wait_metric_is("tagio_relay_registrations", 20).await;
    let mut one = Registrant::register(relay.addr, honest, "one").await;
    Registrant::register(relay.addr, honest, "two").await;
    one.look_up("flood-0").await;
    assert_eq!(one.found("flood-0").await.ip(), flooder);
    drop(held);
    relay.wait_metric_is("tagio_relay_registrations", 1).await;
}

#[tokio::test]
async fn whoever_shows_no_cookie_is_never_sent_more_than_was_sent() {
    let relay = Relay::start().await;
    let (mut caller, mut target) = (Client::connect(&relay).await, Client::connect(&relay).await);
    let (grant, _) = call(&mut caller, &mut target).await;
    let guessed = LegGrant { channel: Channel(7), token: LegToken([7; 16]) };
    let mut datagrams = vec![vec![0; 1], vec![0xff; 1200], b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    for grant in [grant, guessed] {
        datagrams.push(Datagram::Bind { grant, cookie: [0; 16] }.bytes());
        datagrams.push(Datagram::Bind { grant, cookie: [9; 16] }.bytes());
        datagrams.push(Datagram::Data { channel: grant.channel, packet: b"hello" }.bytes());
        datagrams.push(Datagram::Bound { channel: grant.channel, observed: relay.addr }.bytes());
    }
    let socket = UdpSocket::bind(ANY).await.unwrap();
    socket.connect(relay.addr).await.unwrap();
    for (number, datagram) in (1000..).zip(datagrams) {
        for len in [datagram.len(), datagram.len().div_ceil(2)] {
            socket.send(&datagram[..len]).await.unwrap();
            let sent = answered_before(&socket, Channel(number)).await;
            assert!(sent <= len, "{sent} bytes out for {len} in: {:?}", &datagram[..len]);
        }
    }
}

/// Bytes that come before the answer to one more question, which the relay reads behind everything else.
async fn answered_before(socket: &UdpSocket, channel: Channel) -> usize {
    let question = Datagram::Bind { grant: LegGrant { channel, token: LegToken([0; 16]) }, cookie: [0; 16] };
    socket.send(&question.bytes()).await.unwrap();
    let (mut answer, mut before) = ([0; 2048], 0);
    loop {
        let len = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("an answer").unwrap();
        let about = Datagram::parse(&answer[..len]);
        if matches!(about, Some(Datagram::Challenge { channel: about, .. }) if about == channel) {
            return before;
        }
        before += len;
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_has_its_time_and_no_more() {
    let relay = Relay::start().await;
    let mut honest = WsClient::connect(relay.addr).await;
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    stream.write_all(&ping()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let start = Instant::now();
    let drip = async {
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answer = Vec::new();
    let ended = async {
        tokio::select! { () = drip => {}, _ = read.read_to_end(&mut answer) => {} }
    };
    timeout(PATIENCE * 2, ended).await.expect("the relay closes");
    assert!(start.elapsed() > Duration::from_secs(5), "an honest slow line has some seconds");
    relay.wait_denied("http", 1).await;
    honest.is_served().await;
}
