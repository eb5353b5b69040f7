//! HTTP/2, chosen by ALPN: what is served, and what somebody hostile gets who knows its tricks.
//!
//! Frames are written by hand (RFC 9113), as no library would let one send what is wrong.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{process::Command, sync::Arc, time::Duration};

use common::{Client, PATIENCE, Relay, carriers::tls_config, messages};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:method GET`, `:scheme https`, `:path /health` (RFC 7541, 6).
const GET_HEALTH: &[u8] = b"\x82\x87\x04\x07/health";
/// `:method POST`, `:scheme https`, `:path /`.
const POST: &[u8] = b"\x83\x87\x84";
/// More than enough of whatever should not go on.
const TOO_MANY: u32 = 20_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A client's streams have odd numbers.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// A connection after both sides' settings.
async fn dial(relay: &Relay) -> TlsStream<TcpStream> {
    let mut config = tls_config().unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("relay.example").unwrap();
    let socket = TcpStream::connect(relay.addr).await.unwrap();
    let mut link = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    assert_eq!(link.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    link.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    link
}

/// The next frame: kind, flags, stream, payload; `None` at the end.
async fn next(link: &mut TlsStream<TcpStream>) -> Option<(u8, u8, u32, Vec<u8>)> {
    let read = async {
        let mut head = [0; 9];
        link.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        link.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    };
    timeout(PATIENCE, read).await.expect("a frame or the end")
}

/// Reads to the end.
async fn closed(link: &mut TlsStream<TcpStream>) {
    while next(link).await.is_some() {}
}

/// Writes until the relay takes no more.
async fn flood(link: &mut TlsStream<TcpStream>, frames: impl Iterator<Item = Vec<u8>>) {
    let (mut read, mut write) = tokio::io::split(link);
    let writing = async {
        for frame in frames {
            if write.write_all(&frame).await.is_err() || write.flush().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut sink = [0; 4096];
    let reading = async { while read.read(&mut sink).await.is_ok_and(|len| len > 0) {} };
    let ended = async {
        tokio::select! { () = writing => {}, () = reading => {} }
    };
    timeout(PATIENCE, ended).await.expect("the relay closes");
}

async fn others_are_served(relay: &Relay) {
    Client::connect(relay).await;
    let mut link = dial(relay).await;
    link.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET_HEALTH)).await.unwrap();
    loop {
        match next(&mut link).await.expect("an answer") {
            (DATA, _, 1, body) => return assert_eq!(body, b"ok\n"),
            (GO_AWAY | RST_STREAM, ..) => panic!("refused"),
            _ => {}
        }
    }
}

fn curl(args: &[&str]) -> String {
    let output =
        Command::new("curl").args(["--silent", "--insecure", "--max-time", "20"]).args(args).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_messages_are_there_and_carriers_are_not() {
    let relay = Relay::start().await;
    let at = |path: &str| format!("https://{}{path}", relay.addr);
    let shown = ["--http2", "--write-out", "\n%{http_version} %{http_code}"];
    let get = |path: &str| curl(&[&shown[..], &[&at(path)]].concat());
    assert_eq!(get("/health"), "ok\n\n2 200");
    let front = get("/");
    let line = format!("{}#{}", relay.addr, relay.key);
    assert!(front.contains(&line) && front.ends_with("2 200"), "{front}");
    assert!(get("/style.css").ends_with("2 200"));
    assert!(get("/nothing").ends_with("2 404"));
    for path in ["/tagio", "/ws", "/tagio/stream/00/0"] {
        assert!(get(path).ends_with("2 505"), "{path}: {}", get(path));
    }
    assert!(curl(&["--http1.1", "--write-out", "%{http_version}", &at("/health")]).ends_with("1.1"));
    let file = relay.dir.path().join("ping");
    std::fs::write(&file, messages::ping()).unwrap();
    let body = format!("@{}", file.display());
    let answer = curl(&[&shown[..], &["--data-binary", &body, &at("/")]].concat());
    assert!(answer.contains("ACK") && answer.ends_with("2 200"), "{answer:?}");
}

#[tokio::test]
async fn requests_taken_back_at_once_end_the_connection() {
    let relay = Relay::start().await;
    let mut link = dial(&relay).await;
    let rapid = (0..TOO_MANY).map(|number| {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, stream(number), GET_HEALTH);
        [request, frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])].concat()
    });
    tokio::join!(flood(&mut link, rapid), others_are_served(&relay));
    relay.wait_denied("http", 1).await;
    others_are_served(&relay).await;
}

#[tokio::test]
async fn headers_without_end_and_too_many_pings_end_the_connection() {
    let relay = Relay::start().await;
    let mut endless = dial(&relay).await;
    // `x: y`, not to be remembered, again and again.
    let field = b"\x00\x01x\x01y".repeat(1000);
    let begun = frame(HEADERS, END_STREAM, 1, GET_HEALTH);
    let more = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &field), TOO_MANY as usize);
    tokio::join!(flood(&mut endless, std::iter::once(begun).chain(more)), others_are_served(&relay));
    relay.wait_denied("http", 1).await;

    let mut broken = dial(&relay).await;
    broken.write_all(&frame(DATA, 0, 0, b"data of no stream")).await.unwrap();
    closed(&mut broken).await;
    relay.wait_denied("http", 2).await;
    others_are_served(&relay).await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_one_by_one() {
    let relay = Relay::start().await;
    let mut link = dial(&relay).await;
    // Bodies that never come.
    for number in 0..100 {
        link.write_all(&frame(HEADERS, END_HEADERS, stream(number), POST)).await.unwrap();
    }
    let mut refused = 0;
    while refused < 80 {
        match next(&mut link).await.expect("still open") {
            (RST_STREAM, _, _, reason) => {
                // REFUSED_STREAM: it may be asked again.
                assert_eq!(reason, [0, 0, 0, 7]);
                refused += 1;
            }
            // A side that makes so many errors may be sent away altogether.
            (GO_AWAY, ..) => break,
            _ => {}
        }
    }
    assert!(refused >= 16, "{refused}");
    others_are_served(&relay).await;
}

#[tokio::test]
async fn the_silent_and_the_slow_have_their_time_and_no_more() {
    let relay = Relay::start_with(|config| config.limits.opening_ms = 700).await;
    let mut silent = dial(&relay).await;
    closed(&mut silent).await;
    relay.wait_denied("http", 1).await;
    // A body that comes byte by byte, while pings keep the connection lively.
    let mut slow = dial(&relay).await;
    slow.write_all(&frame(HEADERS, END_HEADERS, 1, POST)).await.unwrap();
    let (mut read, mut write) = tokio::io::split(&mut slow);
    let drip = async {
        loop {
            let ping = frame(PING, 0, 0, &[0; 8]);
            if write.write_all(&[frame(DATA, 0, 1, b"T"), ping].concat()).await.is_err() {
                return;
            }
            let _ = write.flush().await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let mut sink = [0; 4096];
    let end = async { while read.read(&mut sink).await.is_ok_and(|len| len > 0) {} };
    // Ten seconds for a request, and as long for its answer to be taken.
    let ended = async {
        tokio::select! { () = drip => {}, () = end => {} }
    };
    timeout(PATIENCE * 2, ended).await.expect("the relay closes");
    relay.wait_denied("http", 2).await;
}
