//! TAGIO messages between real clients: by WebSocket, by HTTP, over plain TCP, inside TLS.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{
    PATIENCE, Relay,
    carriers::tls,
    http,
    messages::{HttpClient, WsClient, acked, error, message, msg, ping, post, upgrade},
    secret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn two_clients_exchange_messages_by_websocket() {
    let relay = Relay::start().await;
    let mut a = WsClient::connect(relay.addr).await;
    let mut b = WsClient::over(TcpStream::connect(relay.addr).await.unwrap(), "/").await;
    assert_ne!(a.id, b.id);
    for payload in [&b""[..], b"hello", &[7; 126], &[8; 70_000]] {
        a.send(msg(b.id, payload)).await;
        assert_eq!(b.recv().await, msg(a.id, payload), "it arrives with the sender's ID");
        b.send(msg(a.id, payload)).await;
        assert_eq!(a.recv().await, msg(b.id, payload));
    }
    a.is_served().await;
    assert_eq!(relay.metric("tagio_relay_messages_total").await, 8);
}

#[tokio::test]
async fn an_id_is_confirmed_and_an_address_told() {
    let relay = Relay::start().await;
    let mut a = WsClient::connect(relay.addr).await;
    let b = WsClient::connect(relay.addr).await;
    a.send(message("REGL", format!("REGISTER:{}", a.id).as_bytes())).await;
    assert_eq!(a.recv().await, message("REGLACK", b""));
    a.send(message("REGL", format!("REGISTER:{}", b.id).as_bytes())).await;
    assert_eq!(a.recv().await, message("REGLERR", b"ID_MISMATCH"));
    a.send(message("CONN", &b.id.to_le_bytes())).await;
    assert_eq!(a.recv().await, message("CONN", b"\x00\x09127.0.0.1"));
    drop(b);
    relay.wait_metric_is("tagio_relay_message_clients", 1).await;
}

#[tokio::test]
async fn whatever_comes_first_is_answered_with_an_id() {
    let relay = Relay::start().await;
    let other = WsClient::connect(relay.addr).await;
    for first in [msg(other.id, b"x"), message("REGL", b"REGISTER:1"), b"nonsense".to_vec()] {
        let socket = upgrade(TcpStream::connect(relay.addr).await.unwrap(), "/ws", None).await.unwrap();
        let mut client = WsClient { socket, id: 0 };
        client.send(first).await;
        client.id = acked(&client.recv().await);
        // What the message itself is answered with may stand before this.
        client.send(ping()).await;
        let mut last = client.recv().await;
        if !last.starts_with(&message("ACK", b"")) {
            last = client.recv().await;
        }
        assert_eq!(acked(&last), client.id);
    }
}

#[tokio::test]
async fn a_client_by_http_keeps_its_id_and_receives_by_polling() {
    let relay = Relay::start().await;
    let mut ws = WsClient::connect(relay.addr).await;
    let by_http = HttpClient::connect(relay.addr).await;
    assert_eq!(acked(&by_http.post(&[("X-TagIO-Wait", "0")], &ping()).await.body), by_http.id);
    // The poll waits first, then the message comes.
    let polling = tokio::spawn({
        let by_http = by_http.clone();
        async move { by_http.poll().await }
    });
    ws.send(msg(by_http.id, b"to http")).await;
    assert_eq!(polling.await.unwrap(), msg(ws.id, b"to http"));
    // The message comes first, and waits.
    ws.send(msg(by_http.id, b"one")).await;
    ws.send(msg(by_http.id, b"two")).await;
    ws.is_served().await;
    assert_eq!(by_http.poll().await, msg(ws.id, b"one"));
    assert_eq!(by_http.poll().await, msg(ws.id, b"two"));
    let answer = by_http.post(&[], &msg(ws.id, b"from http")).await;
    assert_eq!((answer.status, acked(&answer.body)), (200, by_http.id));
    assert_eq!(ws.recv().await, msg(by_http.id, b"from http"));
}

#[tokio::test]
async fn two_clients_by_http_exchange_messages_in_batches() {
    let relay = Relay::start().await;
    let (a, b) = (HttpClient::connect(relay.addr).await, HttpClient::connect(relay.addr).await);
    for payload in [&b"one"[..], b"two", b"three"] {
        // Something may wrap a message.
        let wrapped = [b"data=", &msg(b.id, payload)[..]].concat();
        assert_eq!(acked(&a.post(&[], &wrapped).await.body), a.id);
    }
    let answer = b.post(&[("X-TagIO-Batch", "1")], &ping()).await;
    assert_eq!(answer.batch(), [msg(a.id, b"one"), msg(a.id, b"two"), msg(a.id, b"three")]);
    let answer = b.post(&[("X-TagIO-Batch", "1"), ("X-TagIO-Wait", "0")], &ping()).await;
    assert_eq!(acked(&answer.batch()[0]), b.id, "nothing waits");
    let answer = b.post(&[("X-TagIO-Batch", "1")], &msg(1, b"nobody")).await;
    assert_eq!(answer.batch(), [error("UNKNOWN_TARGET")]);
}

#[tokio::test]
async fn a_newer_poll_takes_the_place_of_an_older_one() {
    let relay = Relay::start().await;
    let by_http = HttpClient::connect(relay.addr).await;
    let polls: Vec<_> = (0..2)
        .map(|_| {
            let by_http = by_http.clone();
            tokio::spawn(async move { by_http.post(&[("X-TagIO-Wait", "3")], &ping()).await })
        })
        .collect();
    let mut ws = WsClient::connect(relay.addr).await;
    ws.send(msg(by_http.id, b"once")).await;
    let mut bodies = Vec::new();
    for poll in polls {
        bodies.push(poll.await.unwrap().body);
    }
    // Both may have come before the message or after it; it is never there twice.
    let got = bodies.iter().filter(|body| **body == msg(ws.id, b"once")).count();
    assert_eq!(got, 1, "{bodies:?}");
}

#[tokio::test]
async fn everything_goes_inside_tls_too() {
    let relay = Relay::start().await;
    let mut inside = WsClient::over(tls(relay.addr).await.unwrap(), "/ws").await;
    let mut outside = WsClient::connect(relay.addr).await;
    inside.send(msg(outside.id, &[1; 30_000])).await;
    assert_eq!(outside.recv().await, msg(inside.id, &[1; 30_000]));
    outside.send(msg(inside.id, &[2; 30_000])).await;
    assert_eq!(inside.recv().await, msg(outside.id, &[2; 30_000]));
    let mut raw = tls(relay.addr).await.unwrap();
    raw.write_all(&ping()).await.unwrap();
    let mut ack = [0; 16];
    timeout(PATIENCE, raw.read_exact(&mut ack)).await.unwrap().unwrap();
    assert_ne!(acked(&ack), outside.id);
}

#[tokio::test]
async fn plain_tcp_will_do_for_short_messages() {
    let relay = Relay::start().await;
    let mut ws = WsClient::connect(relay.addr).await;
    let mut raw = TcpStream::connect(relay.addr).await.unwrap();
    raw.write_all(&ping()).await.unwrap();
    let mut ack = [0; 16];
    timeout(PATIENCE, raw.read_exact(&mut ack)).await.unwrap().unwrap();
    let id = acked(&ack);
    // A message ends where the next one begins, or with a pause.
    raw.write_all(&[msg(ws.id, b"one"), msg(ws.id, b"two")].concat()).await.unwrap();
    assert_eq!(ws.recv().await, msg(id, b"one"));
    assert_eq!(ws.recv().await, msg(id, b"two"));
    ws.send(msg(id, b"three")).await;
    let expected = msg(ws.id, b"three");
    let mut came = vec![0; expected.len()];
    timeout(PATIENCE, raw.read_exact(&mut came)).await.unwrap().unwrap();
    assert_eq!(came, expected);
    raw.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, raw.read(&mut came)).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_relay_that_stops_says_goodbye() {
    let relay = Relay::start().await;
    let mut client = WsClient::connect(relay.addr).await;
    relay.drain();
    assert_eq!(client.closed().await, 1001);
    relay.ended().await;
}

#[tokio::test]
async fn pages_are_still_where_they_were() {
    let relay = Relay::start().await;
    let page = http(relay.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("TagIO relay"));
    let plain = http(relay.addr, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 426") && plain.contains("content-length: "), "{plain}");
    let other = http(relay.addr, "DELETE /ws HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(other.starts_with("HTTP/1.1 405"), "{other}");
}

#[tokio::test]
async fn a_relay_with_a_secret_wants_it_from_everybody() {
    let relay = Relay::start_with(|config| config.auth = secret("open sesame")).await;
    let stream = || async { TcpStream::connect(relay.addr).await.unwrap() };
    for shown in [None, Some("close sesame")] {
        match upgrade(stream().await, "/ws", shown).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
            other => panic!("{:?}", other.map(drop)),
        }
    }
    let socket = upgrade(stream().await, "/ws", Some("open sesame")).await.unwrap();
    let mut client = WsClient { socket, id: 0 };
    client.send(ping()).await;
    acked(&client.recv().await);
    let refused = post(relay.addr, &[], &ping()).await;
    assert_eq!((refused.status, refused.body), (401, error("WRONG_SECRET")));
    let let_in = post(relay.addr, &[("Authorization", "Bearer open sesame")], &ping()).await;
    assert_eq!(let_in.status, 200);
    let session = let_in.session.unwrap();
    let again = post(relay.addr, &[("X-TagIO-Session", &session), ("X-TagIO-Wait", "0")], &ping()).await;
    assert_eq!(acked(&again.body), acked(&let_in.body), "the session stands for it");
    let mut raw = stream().await;
    raw.write_all(&ping()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, raw.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, error("WRONG_SECRET"));
}

#[tokio::test]
async fn the_silent_are_pinged_and_those_who_do_not_answer_are_gone() {
    let relay = Relay::start_with(|config| config.limits.tagio_silence_secs = 6).await;
    let mut alive = WsClient::connect(relay.addr).await;
    let mut dead = TcpStream::connect(relay.addr).await.unwrap();
    dead.write_all(&ping()).await.unwrap();
    let by_http = HttpClient::connect(relay.addr).await;
    // The library answers pings while somebody reads.
    let answering = async {
        while let Some(Ok(Message::Ping(_))) = alive.next().await {}
        panic!("the one that answers is let go");
    };
    let forgetting = async {
        for count in [1, 2] {
            relay.wait_denied("silent", count).await;
        }
    };
    tokio::select! {
        () = forgetting => {}
        () = answering => {}
    }
    alive.is_served().await;
    let mut rest = Vec::new();
    timeout(PATIENCE, dead.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest.len(), 16, "its ACK, then the end");
    let answer = by_http.post(&[], &ping()).await;
    assert_eq!((answer.status, answer.body), (404, error("UNKNOWN_SESSION")));
}
