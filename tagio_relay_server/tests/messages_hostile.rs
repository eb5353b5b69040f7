//! Hostile clients of TAGIO messages and of registrations: each is refused and counted, while others are served.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{
    PATIENCE, Relay,
    messages::{HttpClient, Registrant, WsClient, acked, error, lp, msg, ping, post, upgrade},
};
use futures_util::SinkExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message};

/// A WebSocket whose frames are written by hand.
async fn by_hand(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

/// Everything that comes until the end, which may be a reset.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends");
    bytes
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let relay = Relay::start().await;
    let mut honest = WsClient::connect(relay.addr).await;
    let mut liar = WsClient::connect(relay.addr).await;
    let victim = HttpClient::connect(relay.addr).await;
    // A message that looks as if the victim had sent it is just contents.
    liar.send(msg(honest.id, &msg(victim.id, b"give me the keys"))).await;
    assert_eq!(honest.recv().await, msg(liar.id, &msg(victim.id, b"give me the keys")));
    for guess in [format!("{:032x}", victim.id), "0".repeat(32), "x".repeat(32), String::new()] {
        let answer = post(relay.addr, &[("X-TagIO-Session", &guess)], &ping()).await;
        assert_eq!((answer.status, answer.body), (404, error("UNKNOWN_SESSION")), "{guess}");
        assert_eq!(answer.session, None);
    }
    assert_eq!(relay.denied("tagio_unknown_session").await, 4);
    assert_eq!(acked(&victim.post(&[("X-TagIO-Wait", "0")], &ping()).await.body), victim.id);
}

#[tokio::test]
async fn bad_frames_are_told_why() {
    let relay = Relay::start().await;
    let mut honest = WsClient::connect(relay.addr).await;
    let mut texter = WsClient::connect(relay.addr).await;
    texter.socket.send(Message::text("TAGIO")).await.unwrap();
    assert_eq!(texter.closed().await, 1003);
    for (bytes, code) in [
        // Not masked; compressed without having been agreed to; continued without a beginning.
        (&[0x82, 1, b'x'][..], 1002_u16),
        (&[0xc2, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (&[0x80, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, b'x'], 1003),
    ] {
        let mut stream = by_hand(&relay).await;
        stream.write_all(bytes).await.unwrap();
        let close = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        assert_eq!(rest(&mut stream).await, close, "{bytes:?}");
    }
    relay.wait_denied("tagio_bad_frame", 5).await;
    honest.is_served().await;
}

#[tokio::test]
async fn lengths_that_nobody_will_send_cost_nothing() {
    let relay = Relay::start_with(|config| config.limits.tagio_message_bytes_max = 1000).await;
    let mut honest = WsClient::connect(relay.addr).await;
    let mut stream = by_hand(&relay).await;
    stream.write_all(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
    let error_frame = [&[0x82, error("TOO_LARGE").len() as u8][..], &error("TOO_LARGE")].concat();
    let told = [&error_frame[..], &[0x88, 2], &1009_u16.to_be_bytes()].concat();
    assert_eq!(rest(&mut stream).await, told);
    // The same in fragments, each of which is short.
    let mut stream = by_hand(&relay).await;
    let mut fragment = vec![0x02, 0x80 | 126, 600_u16.to_be_bytes()[0], 600_u16.to_be_bytes()[1], 0, 0, 0, 0];
    fragment.extend([0; 600]);
    stream.write_all(&fragment).await.unwrap();
    fragment[0] = 0x00;
    stream.write_all(&fragment).await.unwrap();
    assert_eq!(rest(&mut stream).await, told);
    let answer = post(relay.addr, &[], &[ping(), vec![0; 10_000]].concat()).await;
    assert_eq!((answer.status, answer.body), (413, error("TOO_LARGE")));
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967295\r\n\r\n";
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 413"));
    let mut raw = TcpStream::connect(relay.addr).await.unwrap();
    raw.write_all(&[ping(), vec![0; 40_000]].concat()).await.unwrap();
    rest(&mut raw).await;
    relay.wait_denied("tagio_too_large", 5).await;
    honest.is_served().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_fills_its_own_mailbox_only() {
    let relay = Relay::start_with(|config| {
        config.limits.tagio_message_bytes_max = 64 * 1024;
        config.limits.tagio_queue_bytes_max = 256 * 1024;
    })
    .await;
    let mut sender = WsClient::connect(relay.addr).await;
    let (deaf, mut honest) = (HttpClient::connect(relay.addr).await, WsClient::connect(relay.addr).await);
    let mut refused = 0;
    for _ in 0..8 {
        sender.send(msg(deaf.id, &[7; 60_000])).await;
        sender.send(ping()).await;
        let mut answer = sender.recv().await;
        if answer == error("QUEUE_FULL") {
            refused += 1;
            answer = sender.recv().await;
        }
        assert_eq!(acked(&answer), sender.id);
    }
    assert_eq!(refused, 4, "four fit");
    assert_eq!(relay.denied("tagio_queue_full").await, 4);
    sender.send(msg(honest.id, b"still here")).await;
    assert_eq!(honest.recv().await, msg(sender.id, b"still here"));
    assert_eq!(deaf.post(&[("X-TagIO-Batch", "1")], &ping()).await.batch().len(), 4);
    sender.send(msg(deaf.id, b"there is room again")).await;
    assert_eq!(deaf.poll().await, msg(sender.id, b"there is room again"));
    assert_eq!(relay.metric("tagio_relay_message_queued_bytes").await, 0);
}

#[tokio::test]
async fn a_websocket_that_reads_nothing_is_let_go() {
    let relay = Relay::start_with(|config| config.limits.write_stall_ms = 500).await;
    let mut sender = WsClient::connect(relay.addr).await;
    let mut deaf = WsClient::connect(relay.addr).await;
    let mut full = false;
    while !full {
        sender.send(msg(deaf.id, &[7; 100_000])).await;
        sender.send(ping()).await;
        let mut answer = sender.recv().await;
        full = answer == error("QUEUE_FULL");
        if full {
            answer = sender.recv().await;
        }
        assert_eq!(acked(&answer), sender.id);
    }
    relay.wait_denied("write_stalled", 1).await;
    sender.send(msg(deaf.id, b"?")).await;
    assert_eq!(sender.recv().await, error("UNKNOWN_TARGET"));
    // What the kernel holds can still be read; then it ends.
    while matches!(deaf.next().await, Some(Ok(_))) {}
}

#[tokio::test]
async fn whoever_answers_nothing_but_asks_is_let_go() {
    let relay = Relay::start().await;
    let mut honest = WsClient::connect(relay.addr).await;
    let mut greedy = WsClient::connect(relay.addr).await;
    // Never reads an answer. In the end the relay does not listen any more.
    let flood = async {
        loop {
            let many = (0..1000).map(|_| Ok(Message::binary(ping())));
            if greedy.socket.send_all(&mut futures_util::stream::iter(many)).await.is_err() {
                return;
            }
        }
    };
    timeout(PATIENCE * 6, flood).await.expect("the relay closes");
    relay.wait_denied("tagio_not_reading", 1).await;
    honest.is_served().await;
}

#[tokio::test]
async fn one_address_gets_so_many_clients_and_no_more() {
    let relay = Relay::start_with(|config| config.limits.tagio_clients_per_ip_max = 3).await;
    let mut honest = WsClient::connect(relay.addr).await;
    let _others = (WsClient::connect(relay.addr).await, HttpClient::connect(relay.addr).await);
    let answer = post(relay.addr, &[], &ping()).await;
    assert_eq!((answer.status, answer.body), (429, error("RATE_LIMITED")));
    let socket = upgrade(TcpStream::connect(relay.addr).await.unwrap(), "/ws", None).await.unwrap();
    assert_eq!(WsClient { socket, id: 0 }.closed().await, 1013);
    let mut raw = TcpStream::connect(relay.addr).await.unwrap();
    raw.write_all(&ping()).await.unwrap();
    assert_eq!(rest(&mut raw).await, error("RATE_LIMITED"));
    relay.wait_denied("tagio_clients_per_ip", 3).await;
    honest.is_served().await;
}

#[tokio::test]
async fn ids_are_not_found_by_trying() {
    let relay = Relay::start_with(|config| {
        config.limits.tagio_miss_burst = 20;
        config.limits.tagio_miss_interval_ms = 60_000;
    })
    .await;
    let mut guesser = WsClient::connect(relay.addr).await;
    let target = WsClient::connect(relay.addr).await;
    for guess in 1..=20 {
        guesser.send(msg(guess, b"?")).await;
        assert_eq!(guesser.recv().await, error("UNKNOWN_TARGET"));
    }
    guesser.send(msg(target.id, b"?")).await;
    assert_eq!(guesser.recv().await, error("RATE_LIMITED"), "not even one that is there");
    guesser.is_served().await;
}

#[tokio::test]
async fn upgrades_that_lack_something_are_answered() {
    let relay = Relay::start().await;
    let refused = upgrade(TcpStream::connect(relay.addr).await.unwrap(), "/health", None).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 200));
    for body in [&b""[..], b"no magic", b"TAGI"] {
        let answer = post(relay.addr, &[], body).await;
        assert_eq!((answer.status, answer.body), (400, error("BAD_MESSAGE")));
    }
    let answer = post(relay.addr, &[("X-TagIO-Wait", "soon")], &ping()).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn registrations_that_make_no_sense_end() {
    let relay = Relay::start_with(|config| {
        config.limits.registrations_max = 2;
        config.limits.opening_ms = 700;
    })
    .await;
    let localhost = relay.addr.ip();
    let mut honest = Registrant::register(relay.addr, localhost, "honest").await;
    let four_gb = u32::MAX.to_be_bytes();
    let look_up = 3_u32.to_be_bytes();
    for (name, more) in [
        ("a", &[9, 9, 9, 9][..]),
        ("b", &[&look_up[..], &four_gb].concat()),
        ("c", &[&look_up[..], &0_u32.to_be_bytes()].concat()),
        ("d", &[&look_up[..], &lp(&[0xff])].concat()),
    ] {
        let mut client = Registrant::open(relay.addr, localhost, name, more).await;
        rest(&mut client.stream).await;
    }
    relay.wait_denied("registration_malformed", 4).await;
    // A length that is none of ours belongs to no protocol.
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(&four_gb).await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
    // A name that never comes.
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(&1000_u32.to_be_bytes()).await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
    relay.wait_denied("opening_deadline", 1).await;
    let _second = Registrant::register(relay.addr, localhost, "second").await;
    let mut third = Registrant::open(relay.addr, localhost, "third", b"").await;
    assert_eq!(rest(&mut third.stream).await, b"");
    relay.wait_denied("registrations_full", 1).await;
    honest.look_up("second").await;
    assert!(honest.found("second").await.ip().is_loopback());
}
