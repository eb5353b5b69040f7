//! The node before a POP that was written from the protocol's description alone, found by bootstrap.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use tagio_edge::node::{self, DiscoveryError, NodeConfig, NodeError, NodeEvent};
use tagio_proxy::{Dialer, TargetPolicy};
use tagio_testkit::{
    TempDir,
    program::{self, Program},
    skipped,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    sync::mpsc,
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const UUID: &str = "08bd0658-1f61-11f0-8061-8bd115314f4c";
const PATIENCE: Duration = Duration::from_secs(60);
/// Debian's own, whose packages have what the POP needs.
const PYTHON: &str = "/usr/bin/python3";

fn config(dir: &TempDir) -> NodeConfig {
    let local = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
    NodeConfig {
        uuid: UUID.parse().unwrap(),
        direct_url: None,
        app_dir: dir.path().to_owned(),
        dialer: Dialer::new(TargetPolicy::new(local.into()), Duration::from_secs(3)),
        udp_timeout: Duration::from_secs(60),
    }
}

/// Sends back what it gets, each byte inverted, as it comes.
async fn inverter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                    buffer[..len].iter_mut().for_each(|byte| *byte = !*byte);
                    if stream.write_all(&buffer[..len]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// Answers each datagram with its bytes in reverse order.
async fn reverser() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            buffer[..len].reverse();
            socket.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pop_written_from_the_description_is_found_and_served() {
    if program::run(PYTHON, &["-c", "import websockets"]).is_err() {
        return skipped("the Debian package python3-websockets is missing");
    }
    let (echo, udp) = (inverter().await, reverser().await);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pop.py");
    let mut command = Command::new(PYTHON);
    command.args([script, &echo.port().to_string(), &udp.port().to_string()]);
    let pop = Program::start("pop.py", &mut command);
    let (pop, port) = spawn_blocking(move || {
        let port = pop.word("pop", PATIENCE);
        (pop, port)
    })
    .await
    .unwrap();
    let dir = TempDir::new();
    let list = dir.path().join("bootstrap.json");
    let dead = "http://127.0.0.1:1/bootstrap.json";
    fs::write(&list, format!(r#"{{"bootstraps": ["{dead}", "http://127.0.0.1:{port}/bootstrap.json"]}}"#))
        .unwrap();
    let (events_tx, mut events) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let running = tokio::spawn(node::run(config(&dir), events_tx, stop.clone()));
    let up = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(up, NodeEvent::Up(_)), "{up:?}");
    let pop = spawn_blocking(move || {
        for what in ["pong", "session", "refusals", "datagrams", "odd", "back"] {
            pop.wait_line(|line| line == format!("ok {what}"), PATIENCE).unwrap();
        }
        pop
    });
    let _pop = pop.await.unwrap();
    // The list is what the network says now.
    let kept = fs::read_to_string(&list).unwrap();
    assert!(kept.contains("/moved") && !kept.contains(dead), "{kept}");
    stop.cancel();
    timeout(PATIENCE, running).await.expect("it stops").unwrap().unwrap();
}

#[tokio::test]
async fn without_a_list_a_node_says_what_to_do() {
    let dir = TempDir::new();
    let run = |dir: &TempDir| node::run(config(dir), mpsc::channel(64).0, CancellationToken::new());
    let missing = run(&dir).await.unwrap_err();
    assert!(missing.to_string().contains("--direct-url"), "{missing}");
    fs::write(dir.path().join("bootstrap.json"), "no JSON").unwrap();
    let wrong = run(&dir).await.unwrap_err();
    assert!(matches!(wrong, NodeError::Discovery(DiscoveryError::List { .. })), "{wrong}");
}

#[test]
fn names_of_nodes_go_into_urls_as_they_are() {
    for good in [UUID, "node-1", "a.b_c"] {
        assert!(good.parse::<node::Uuid>().is_ok(), "{good}");
    }
    for bad in ["", "a b", "a&b=c", "a/b", "ü", &"x".repeat(65)] {
        assert!(bad.parse::<node::Uuid>().is_err(), "{bad}");
    }
}
