//! Those who open a connection and mean no good: each is counted, and others are served meanwhile.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::time::Duration;

use common::{
    Client, Keys, PATIENCE, Relay,
    carriers::{AnyLink, Kind, Requests, next, open_stream, over_websocket, tls, websocket, websocket_with},
    hello,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{interval, timeout},
};

/// How long openers have here: honest ones need a hundredth of it, on a machine with nothing else to do.
const OPENING_MS: u32 = 1500;
/// A slow one sends something this often.
const PACE: Duration = Duration::from_millis(20);

async fn hasty_relay() -> Relay {
    Relay::start_with(|config| config.limits.opening_ms = OPENING_MS).await
}

async fn dial(relay: &Relay) -> TcpStream {
    TcpStream::connect(relay.addr).await.unwrap()
}

/// Whether the relay closes, having said whatever it had to.
async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut buffer = [0; 1024];
    timeout(PATIENCE, async { while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} })
        .await
        .is_ok()
}

/// Sends `piece` again and again until the relay closes or takes no more.
async fn drip(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), pieces: impl Iterator<Item = Vec<u8>>) {
    let (mut read, mut write) = tokio::io::split(stream);
    let dripping = async {
        let mut ticks = interval(PACE);
        for piece in pieces {
            ticks.tick().await;
            if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = dripping => {}
        closed = is_closed(&mut read) => assert!(closed, "still open"),
    }
}

/// Somebody honest comes in and is answered, by everything that carries.
async fn others_are_served(relay: &Relay) {
    for kind in Kind::ALL {
        let link = kind.open(relay.addr).await;
        let mut client = Client::ik_over(link, relay.key, &Keys::new(), &hello()).await.unwrap();
        client.ping(7).await;
    }
}

/// What a TLS client says first, as one of ours does.
async fn client_hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind(common::ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let client = tokio::spawn(async move { tls(addr).await.err() });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
    stream.read_exact(&mut body).await.unwrap();
    client.abort();
    [&head[..], &body].concat()
}

fn bytes_of(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte])
}

#[tokio::test]
async fn tls_byte_by_byte_or_half_open_ends_at_the_deadline() {
    let relay = hasty_relay().await;
    let opening = client_hello().await;
    let (mut slow, mut half) = (dial(&relay).await, dial(&relay).await);
    half.write_all(&opening).await.unwrap();
    let (_, closed, ()) =
        tokio::join!(drip(&mut slow, bytes_of(&opening)), is_closed(&mut half), others_are_served(&relay));
    assert!(closed);
    relay.wait_denied("opening_deadline", 2).await;
    let mut silent = tls(relay.addr).await.unwrap();
    assert!(is_closed(&mut silent).await);
    relay.wait_denied("opening_deadline", 3).await;
}

#[tokio::test]
async fn broken_tls_and_tls_inside_tls_are_refused() {
    let relay = Relay::start().await;
    let mut broken = dial(&relay).await;
    broken.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    assert!(is_closed(&mut broken).await);
    relay.wait_denied("tls", 1).await;
    // A record of the greatest length, of which nothing more comes.
    let mut twice = tls(relay.addr).await.unwrap();
    twice.write_all(&client_hello().await).await.unwrap();
    assert!(is_closed(&mut twice).await);
    relay.wait_denied("bad_preface", 1).await;
    others_are_served(&relay).await;
}

#[tokio::test]
async fn headers_that_come_slowly_or_never_end_are_refused() {
    let relay = hasty_relay().await;
    let start = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
    let (mut slow, mut endless) = (dial(&relay).await, dial(&relay).await);
    let lines = std::iter::once(start.clone()).chain(std::iter::repeat(b"X-Y: z\r\n".to_vec()));
    let many = std::iter::once(start).chain(std::iter::repeat(b"X-Y: z\r\n".repeat(512)));
    tokio::join!(drip(&mut slow, lines), drip(&mut endless, many), others_are_served(&relay));
    relay.wait_denied("http", 2).await;
    let mut inside = tls(relay.addr).await.unwrap();
    drip(&mut inside, bytes_of(b"GET / HTTP/1.1\r\nHost: relay.example\r\n")).await;
    relay.wait_denied("http", 3).await;
}

#[tokio::test]
async fn a_stream_over_http_that_is_opened_and_not_used_is_over() {
    let relay = hasty_relay().await;
    let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut requests).await.unwrap();
    relay.wait_denied("opening_deadline", 1).await;
    let path = format!("/tagio/stream/{name}/0");
    let gone = requests.send("GET", &path, b"").await.unwrap().status;
    assert!(gone == 404 || gone == 410, "{gone}");
    // As slow as one can be while bytes still come.
    let name = open_stream(&mut requests).await.unwrap();
    let path = format!("/tagio/stream/{name}");
    let mut status = 200;
    for offset in 0.. {
        if status != 200 {
            break;
        }
        assert!(offset < 100, "the opening is over long ago");
        tokio::time::sleep(PACE * 10).await;
        status = requests
            .send("POST", &format!("{path}/{offset}"), &[b"\xf5TAGIO\x01"[offset.min(6)]])
            .await
            .unwrap()
            .status;
    }
    relay.wait_denied("opening_deadline", 2).await;
    others_are_served(&relay).await;
}

#[tokio::test]
async fn gaps_and_guessed_names_are_counted_and_replays_change_nothing() {
    let relay = Relay::start().await;
    let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut requests).await.unwrap();
    let path = format!("/tagio/stream/{name}");
    let far = format!("{path}/{}", u64::MAX);
    for (method, path) in [("POST", &far), ("GET", &far), ("POST", &format!("{path}/1"))] {
        assert_eq!(requests.send(method, path, b"x").await.unwrap().status, 409);
    }
    relay.wait_denied("stream_gap", 3).await;
    for _ in 0..3 {
        let answer = requests.send("POST", &format!("{path}/0"), b"\xf5TAGI").await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "5"));
    }
    for guess in ["0".repeat(32), "f".repeat(32), format!("+{}", "0".repeat(31))] {
        let answer = requests.send("GET", &format!("/tagio/stream/{guess}/0"), b"").await.unwrap();
        assert_eq!(answer.status, 404);
    }
    for odd in
        ["x", "//", "/../", "/0", "/1/2/3", &format!("/{name}/-1"), &format!("/{name}/99999999999999999999")]
    {
        let answer = requests.send("GET", &format!("/tagio/stream{odd}"), b"").await.unwrap();
        assert_eq!(answer.status, 404, "{odd}");
    }
    relay.wait_denied("stream_unknown", 10).await;
    let too_long = requests.send("POST", &format!("{path}/5"), &vec![0; 256 * 1024 + 1]).await;
    assert!(too_long.is_err() || too_long.is_ok_and(|answer| answer.status == 413));
    relay.wait_denied("oversized", 1).await;
    others_are_served(&relay).await;
}

#[tokio::test]
async fn streams_of_one_address_are_counted_like_its_connections() {
    let relay = Relay::start_with(|config| config.limits.handshakes_per_ip_max = 4).await;
    let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
    let mut names = Vec::new();
    // The connection for the requests is one of four itself.
    for _ in 0..3 {
        names.push(open_stream(&mut requests).await.unwrap());
    }
    let another = format!("/tagio/stream/{}/0?open=1", "7".repeat(32));
    assert_eq!(requests.send("POST", &another, b"").await.unwrap().status, 429);
    relay.wait_denied("handshakes_per_ip", 1).await;
    let mut requests = loop {
        // The refusal has closed its connection; the relay may not know yet.
        let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
        let path = format!("/tagio/stream/{}", names[0]);
        if requests.send("DELETE", &path, b"").await.is_ok_and(|answer| answer.status == 204) {
            break requests;
        }
    };
    assert!(open_stream(&mut requests).await.is_ok(), "there is room again");
}

/// A frame as a client sends it, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[first, 0x80 | 126][..], &len, &[0; 4], payload].concat()
}

/// A connection that has just become a WebSocket.
async fn raw_websocket(relay: &Relay) -> AnyLink {
    let socket = websocket(Kind::Ws.socket(relay.addr).await).await.unwrap();
    socket.into_inner()
}

#[tokio::test]
async fn websockets_that_break_the_rules_are_closed() {
    let relay = Relay::start().await;
    let unmasked = vec![0x82, 3, 1, 2, 3];
    let lone_continuation = frame(0x80, b"more");
    let reserved_opcode = frame(0x83, b"what");
    // RSV1, which nobody agreed on.
    let compressed = frame(0xc2, b"deflated");
    let long_ping = frame(0x89, &[0; 200]);
    // 4 GB and more are announced, none of it comes.
    let huge = [&[0x82, 0xff][..], &(1_u64 << 32).to_be_bytes(), &[0; 4]].concat();
    let fragments: Vec<u8> = std::iter::once(frame(0x02, &[0; 8000]))
        .chain((0..9).map(|_| frame(0, &[0; 8000])))
        .flatten()
        .collect();
    let all = [unmasked, lone_continuation, reserved_opcode, compressed, long_ping, huge, fragments];
    for (count, bytes) in (1..).zip(all) {
        let mut link = raw_websocket(&relay).await;
        // Whoever is refused early need not take all of it.
        let _ = link.write_all(&bytes).await;
        let _ = link.flush().await;
        assert!(is_closed(&mut link).await, "number {count}");
        relay.wait_denied("websocket", count).await;
    }
    others_are_served(&relay).await;
}

#[tokio::test]
async fn empty_fragments_without_end_stop_at_the_deadline() {
    let relay = hasty_relay().await;
    let mut link = raw_websocket(&relay).await;
    let fragments = std::iter::once(frame(0x02, b"")).chain(std::iter::repeat(frame(0, b"")));
    tokio::join!(drip(&mut link, fragments), others_are_served(&relay));
    relay.wait_denied("opening_deadline", 1).await;
}

#[tokio::test]
async fn compression_is_never_agreed_to() {
    let relay = Relay::start().await;
    let offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")];
    // The client would fail if an extension were agreed to that it does not know.
    let mut socket = websocket_with(dial(&relay).await, &offer).await.unwrap();
    futures_util::SinkExt::send(&mut socket, tokio_tungstenite::tungstenite::Message::Ping("x".into()))
        .await
        .unwrap();
    assert!(next(&mut socket).await.unwrap().unwrap().is_pong());
    let mut client =
        Client::ik_over(over_websocket(socket), relay.key, &Keys::new(), &hello()).await.unwrap();
    client.ping(1).await;
}
