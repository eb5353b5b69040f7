//! Control connections and legs through everything that may carry them.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::time::{Duration, Instant};

use common::{
    Client, Keys, PATIENCE, Relay, UdpEnd, call,
    carriers::{AnyLink, Kind, Requests, next, open_stream, over_websocket, websocket},
    end_over, hello, http, read_frame, write_frame,
};
use futures_util::SinkExt;
use tagio_wire::{
    control::{Preface, RelayMessage},
    leg::PACKET_BYTES_MAX,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{error::Elapsed, timeout},
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

async fn client(kind: Kind, relay: &Relay) -> Client<AnyLink> {
    let link = kind.open(relay.addr).await;
    let mut client = Client::ik_over(link, relay.key, &Keys::new(), &hello()).await.unwrap();
    client.ping(0).await;
    client
}

#[tokio::test]
async fn every_carrier_carries_control_connections_and_legs() {
    let relay = Relay::start().await;
    for kind in Kind::ALL {
        let mut caller = client(kind, &relay).await;
        let mut target = Client::connect(&relay).await;
        let (ours, theirs) = call(&mut caller, &mut target).await;
        let mut ours = end_over(kind.open(relay.addr).await, ours).await.unwrap();
        let theirs = UdpEnd::bound(&relay, theirs).await;
        for len in [1, 1200, PACKET_BYTES_MAX] {
            write_frame(&mut ours, &vec![7; len]).await.unwrap();
            assert_eq!(theirs.recv_packet().await, vec![7; len], "{kind:?}");
            theirs.send_packet(&vec![9; len]).await;
            assert_eq!(read_frame(&mut ours).await.unwrap(), vec![9; len], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_first_contact_goes_through_every_carrier() {
    let relay = Relay::start().await;
    for kind in Kind::ALL {
        let link = kind.open(relay.addr).await;
        let mut met = Client::xx_over(link, &Keys::new(), &hello()).await.unwrap();
        met.ping(1).await;
        assert_eq!(met.relay_key, relay.key, "{kind:?}");
        assert!(met.welcome.observed.ip().is_loopback(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_lot_goes_through_every_carrier_in_order() {
    let relay = Relay::start().await;
    for kind in Kind::ALL {
        let (mut caller, mut target) = (client(kind, &relay).await, client(kind, &relay).await);
        let (ours, theirs) = call(&mut caller, &mut target).await;
        let mut ours = end_over(kind.open(relay.addr).await, ours).await.unwrap();
        let mut theirs = end_over(kind.open(relay.addr).await, theirs).await.unwrap();
        // Less than waits for a leg at most, so that none is dropped.
        for number in 0..100_u32 {
            let packet = number.to_be_bytes().repeat(500);
            write_frame(&mut ours, &packet).await.unwrap();
        }
        for number in 0..100_u32 {
            let packet = number.to_be_bytes().repeat(500);
            assert!(read_frame(&mut theirs).await.unwrap() == packet, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_whatever_carried_it() {
    let relay = Relay::start().await;
    let mut watcher = Client::connect(&relay).await;
    for kind in Kind::ALL {
        let left = client(kind, &relay).await.id();
        while watcher.online(left).await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn clients_hear_the_end_whatever_carries_it() {
    let relay = Relay::start().await;
    for kind in Kind::ALL {
        let keys = Keys::new();
        let link = kind.open(relay.addr).await;
        let mut old = Client::ik_over(link, relay.key, &keys, &hello()).await.unwrap();
        old.ping(1).await;
        let _new = Client::connect_as(&relay, &keys).await;
        assert_eq!(old.recv().await, RelayMessage::Replaced, "{kind:?}");
        let end = old.try_recv().await.err().unwrap();
        assert!(!end.is::<Elapsed>(), "{kind:?}");
    }
}

#[tokio::test]
async fn messages_of_a_websocket_may_be_cut_anywhere() {
    let relay = Relay::start().await;
    let mut socket = websocket(Kind::Ws.socket(relay.addr).await).await.unwrap();
    socket.send(Message::Binary(Default::default())).await.unwrap();
    socket.send(Message::Ping("alive".into())).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Pong("alive".into()));
    let keys = Keys::new();
    let mut client = Client::ik_over(over_websocket(socket), relay.key, &keys, &hello()).await.unwrap();
    client.ping(1).await;
}

#[tokio::test]
async fn a_text_message_closes_a_carrier_with_1003() {
    let relay = Relay::start().await;
    let mut socket = websocket(Kind::Ws.socket(relay.addr).await).await.unwrap();
    socket.send(Message::Text("hello".into())).await.unwrap();
    let Message::Close(Some(frame)) = next(&mut socket).await.unwrap().unwrap() else { panic!("not closed") };
    assert_eq!(frame.code, CloseCode::Unsupported);
    relay.wait_denied("websocket", 1).await;
}

#[tokio::test]
async fn a_websocket_without_its_subprotocol_is_no_carrier() {
    let relay = Relay::start().await;
    let upgrade = "GET /tagio HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = http(relay.addr, upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = http(relay.addr, "GET /tagio HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426") && answer.contains("upgrade: websocket"), "{answer}");
}

#[tokio::test]
async fn a_stream_over_http_answers_as_the_protocol_says() {
    let relay = Relay::start().await;
    let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut requests).await.unwrap();
    let path = format!("/tagio/stream/{name}");
    let mut send = async |method: &str, path: &str, body: &[u8]| {
        let answer = requests.send(method, path, body).await.unwrap();
        assert!(answer.headers.contains("cache-control: no-store"), "{answer:?}");
        (answer.status, answer.text().to_owned())
    };
    let magic = b"\xf5TAGIO\x01";
    assert_eq!(send("POST", &format!("{path}/0"), &magic[..4]).await, (200, "4".to_owned()));
    assert_eq!(send("POST", &format!("{path}/2"), &magic[2..6]).await, (200, "6".to_owned()), "an overlap");
    assert_eq!(send("POST", &format!("{path}/0"), b"").await, (200, "6".to_owned()));
    assert_eq!(send("POST", &format!("{path}/7"), b"x").await, (409, "6".to_owned()), "a gap");
    assert_eq!(send("GET", &format!("{path}/1"), b"").await, (409, "0".to_owned()));
    assert_eq!(send("DELETE", &path, b"").await.0, 204);
    assert_eq!(send("GET", &format!("{path}/0"), b"").await.0, 404);
    assert_eq!(send("GET", "/tagio/stream/none", b"").await.0, 404);
    assert_eq!(send("GET", &format!("/tagio/stream/{}/0", "0".repeat(32)), b"").await.0, 404);
}

#[tokio::test]
async fn a_stream_over_http_is_open_with_its_first_bytes_and_fetched_from_meanwhile() {
    let relay = Relay::start().await;
    let mut up = Requests::new(Kind::Http.socket(relay.addr).await);
    let mut down = Requests::new(Kind::Http.socket(relay.addr).await);
    let path = format!("/tagio/stream/{}/0?open=1", "5".repeat(32));
    let opening = [&Preface::ControlXx.bytes()[..], &[0, 32], &[9; 32]].concat();
    down.start("GET", &path, b"").await.unwrap();
    for _ in 0..2 {
        let opened = up.send("POST", &path, &opening).await.unwrap();
        assert_eq!(
            (opened.status, opened.text()),
            (200, opening.len().to_string().as_str()),
            "twice is once"
        );
    }
    let answer = down.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 2 + 96), "the relay's Noise message, once");
    let nobody = format!("/tagio/stream/{}/0?open=1", "6".repeat(32));
    assert_eq!(down.send("GET", &nobody, b"").await.unwrap().status, 404, "after a moment");
}

#[tokio::test]
async fn bytes_that_come_before_those_before_them_wait() {
    let relay = Relay::start().await;
    let mut requests = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut requests).await.unwrap();
    let mut later = Requests::new(Kind::Http.socket(relay.addr).await);
    later.start("POST", &format!("/tagio/stream/{name}/4"), b"IO").await.unwrap();
    let first = requests.send("POST", &format!("/tagio/stream/{name}/0"), b"\xf5TAG").await.unwrap();
    assert_eq!((first.status, first.text()), (200, "4"));
    let later = later.answer("POST").await.unwrap();
    assert_eq!((later.status, later.text()), (200, "6"));
}

#[tokio::test]
async fn an_answer_goes_on_as_bytes_come_and_ends_when_none_do() {
    let relay = Relay::start().await;
    let mut up = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut up).await.unwrap();
    // A first contact: the relay answers the client's first frame, and has nothing to say after that.
    let opening = [&Preface::ControlXx.bytes()[..], &[0, 32], &[9; 32]].concat();
    up.send("POST", &format!("/tagio/stream/{name}/0"), &opening).await.unwrap();
    let mut down = Kind::Http.socket(relay.addr).await;
    let request = format!("GET /tagio/stream/{name}/0?linger=200 HTTP/1.1\r\nHost: x\r\n\r\n");
    down.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let bytes_came = read_until(&mut down, &mut answer, b"\r\n\r\n").await;
    let ended = read_until(&mut down, &mut answer, b"\r\n0\r\n\r\n").await;
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(text.contains("transfer-encoding: chunked"), "{text}");
    assert!(ended - bytes_came >= Duration::from_millis(150), "{:?}", ended - bytes_came);
}

/// Reads until `end` has come; when that was.
async fn read_until(link: &mut AnyLink, answer: &mut Vec<u8>, end: &[u8]) -> Instant {
    while !answer.windows(end.len()).any(|window| window == end) {
        let read = timeout(PATIENCE, link.read_buf(answer)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(answer));
    }
    Instant::now()
}

#[tokio::test]
async fn of_two_fetching_requests_the_newer_is_answered() {
    let relay = Relay::start().await;
    let mut first = Requests::new(Kind::Http.socket(relay.addr).await);
    let mut second = Requests::new(Kind::Http.socket(relay.addr).await);
    let name = open_stream(&mut first).await.unwrap();
    let path = format!("/tagio/stream/{name}/0");
    first.start("GET", &path, b"").await.unwrap();
    second.start("GET", &path, b"").await.unwrap();
    // Which of the two came first only the relay knows.
    let older = tokio::select! {
        answer = first.answer("GET") => answer.unwrap(),
        answer = second.answer("GET") => answer.unwrap(),
    };
    assert_eq!((older.status, older.text()), (409, "0"));
}
