//! Whoever takes more than is meant for one is cut off, and counted.

mod common;

use std::time::{Duration, Instant};

use common::{Client, Keys, Relay, hello};
use tagio_wire::control::{CallFailure, ClientMessage, Preface, RelayMessage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::test]
async fn silent_and_slow_openers_are_gone_at_the_deadline() {
    let relay = Relay::start_with(|config| config.limits.opening_ms = 300).await;
    let started = Instant::now();
    let openings: [&[u8]; 5] = [b"", b"\xf5", b"GE", &Preface::ControlIk.bytes(), &Preface::TcpLeg.bytes()];
    let mut streams = Vec::new();
    for opening in openings {
        let mut stream = TcpStream::connect(relay.addr).await.unwrap();
        stream.write_all(opening).await.unwrap();
        streams.push(stream);
    }
    for mut stream in streams {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
    let took = started.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(8), "{took:?}");
    relay.wait_denied("opening_deadline", 5).await;
    assert_eq!(relay.metric("tagio_relay_connections").await, 1, "only the one that asks");
}

#[tokio::test]
async fn an_opener_that_drips_gains_no_time() {
    let relay = Relay::start_with(|config| config.limits.opening_ms = 400).await;
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    let started = Instant::now();
    stream.write_all(&Preface::ControlXx.bytes()).await.unwrap();
    // A frame of 257 bytes, one at a time.
    while stream.write_all(&[1]).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(8));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    relay.wait_denied("opening_deadline", 1).await;
}

#[tokio::test]
async fn strangers_are_closed_at_once() {
    let relay = Relay::start().await;
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    let read = timeout(Duration::from_secs(2), stream.read(&mut [0; 8])).await.unwrap();
    assert_eq!(read.unwrap_or(0), 0);
    relay.wait_denied("bad_preface", 1).await;
}

#[tokio::test]
async fn a_silent_client_loses_its_presence() {
    let relay = Relay::start_with(|config| config.limits.keepalive_secs = 1).await;
    let mut watcher = Client::connect(&relay).await;
    let mut silent = Client::connect(&relay).await;
    assert!(watcher.online(silent.id()).await);
    let started = Instant::now();
    while watcher.online(silent.id()).await {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(started.elapsed() > Duration::from_secs(2), "three keepalives may be missed");
    assert!(silent.try_recv().await.is_err(), "and is told by the connection's end");
    assert_eq!(relay.denied("silent").await, 1);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let relay = Relay::start_with(|config| {
        config.limits.message_burst = 10_000_000;
        config.limits.message_interval_ms = 0;
    })
    .await;
    let mut client = Client::connect(&relay).await;
    let mut sent = 0_u32;
    while client.try_send(&ClientMessage::Ping { nonce: sent }).await.is_ok() {
        sent += 1;
        assert!(sent < 2_000_000, "the answers to {sent} pings are waiting somewhere");
    }
    relay.wait_denied("control_queue_full", 1).await;
    Client::connect(&relay).await;
}

#[tokio::test]
async fn messages_come_no_faster_than_allowed() {
    let relay = Relay::start_with(|config| {
        config.limits.message_burst = 20;
        config.limits.message_interval_ms = 10_000;
    })
    .await;
    let mut client = Client::connect(&relay).await;
    for nonce in 1..20 {
        client.ping(nonce).await;
    }
    client.send(&ClientMessage::Ping { nonce: 20 }).await;
    assert!(client.try_recv().await.is_err());
    assert_eq!(relay.denied("message_rate").await, 1);
}

#[tokio::test]
async fn calls_come_no_faster_than_allowed_also_after_a_reconnect() {
    let relay = Relay::start_with(|config| config.limits.call_burst = 2).await;
    let keys = Keys::new();
    let target = Client::connect(&relay).await;
    for call in 0..3 {
        let mut caller = Client::connect_as(&relay, &keys).await;
        caller.send(&ClientMessage::Call { call, target: target.id() }).await;
        let answer = caller.recv().await;
        match call {
            0 | 1 => assert!(matches!(answer, RelayMessage::Ringing { .. }), "{answer:?}"),
            _ => assert!(
                matches!(answer, RelayMessage::CallFailed { reason: CallFailure::RateLimited(1..=3), .. }),
                "{answer:?}"
            ),
        }
    }
}

#[tokio::test]
async fn one_address_gets_only_its_share_of_connections() {
    let relay = Relay::start_with(|config| config.limits.connections_per_ip_max = 4).await;
    let keys = Keys::new();
    let mut clients = Vec::new();
    while let Ok(client) = Client::ik(&relay, &keys, &hello()).await {
        clients.push(client);
        assert!(clients.len() <= 4);
    }
    assert_eq!(clients.len(), 4);
    clients.clear();
    for _ in 0..100 {
        if Client::ik(&relay, &keys, &hello()).await.is_ok() {
            relay.wait_denied("connections_per_ip", 1).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("places were not given back");
}

#[tokio::test]
async fn a_replayed_handshake_neither_takes_nor_ends_a_presence() {
    let relay = Relay::start().await;
    let keys = Keys::new();
    let mut watcher = Client::connect(&relay).await;
    let mut owner = Client::connect_as(&relay, &keys).await;
    // As good as a recording: everything that needs no secret of this connection, then silence.
    let replayed = Client::ik(&relay, &keys, &hello()).await.unwrap();
    watcher.send(&ClientMessage::Call { call: 1, target: owner.id() }).await;
    assert!(matches!(owner.recv().await, RelayMessage::Incoming { .. }), "not replaced, and called");
    drop(replayed);
    owner.ping(3).await;
    assert!(matches!(watcher.recv().await, RelayMessage::Ringing { .. }));
    assert!(watcher.online(owner.id()).await);
}

#[tokio::test]
async fn a_host_that_is_away_may_be_called_again_and_again() {
    let relay = Relay::start_with(|config| config.limits.call_burst = 2).await;
    let keys = Keys::new();
    let target = Client::connect(&relay).await.id();
    let mut watcher = Client::connect(&relay).await;
    while watcher.online(target).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for call in 0..20 {
        let mut caller = Client::connect_as(&relay, &keys).await;
        caller.send(&ClientMessage::Call { call, target }).await;
        let answer = caller.recv().await;
        assert_eq!(answer, RelayMessage::CallFailed { call, reason: CallFailure::Offline });
    }
}
