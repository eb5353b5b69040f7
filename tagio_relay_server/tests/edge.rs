//! Edge nodes with real sockets: users by SOCKS5, nodes of ours and one that was written from the protocol's
//! description alone, and what goes wrong.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "edge/parts.rs"]
mod parts;
#[path = "edge/rates.rs"]
mod rates;

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use common::{PATIENCE, http};
use parts::{Node, Pop, UUID, exchange, mirror, pattern, pop_config, reverser, spring};
use tagio_edge::node::NodeError;
use tagio_relay_core::edge::NodeId;
use tagio_relay_server::{EdgeConfig, Secret, Server};
use tagio_testkit::{
    program::{self, Program},
    skipped,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// A node whose POP was restarted is back after this, on a machine that has nothing else to do within five seconds.
const BACK: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn curl_fetches_a_page_through_a_node() {
    let pop = Pop::start(|_| {}).await;
    let _node = Node::at(&pop, UUID).await;
    let (dir, page) = (tempfile::tempdir().unwrap(), "all work and no play\n".repeat(50_000));
    fs::write(dir.path().join("page"), &page).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"]).current_dir(dir.path());
    let _service = Program::start("python", &mut python);
    let socks = pop.socks.to_string();
    let fetched = spawn_blocking(move || {
        // The service may need a moment.
        let url = format!("http://localhost:{port}/page");
        let retry = ["--retry", "20", "--retry-delay", "1", "--retry-all-errors"];
        let proxy = ["--socks5-hostname", &socks, "--proxy-user", "anna:open sesame"];
        program::run("curl", &[&["-sS", "-m", "60"][..], &retry, &proxy, &[&url]].concat())
    });
    assert!(fetched.await.unwrap().unwrap() == page);
    pop.relay.wait_metric_is("tagio_edge_sessions", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_mebibytes_at_once_are_whole_in_both_directions() {
    let pop = Pop::start(|_| {}).await;
    let (_node, target) = (Node::at(&pop, UUID).await, mirror().await);
    let mut users = JoinSet::new();
    for number in 0..200 {
        let stream = pop.reach(target).await;
        users.spawn(exchange(stream, number));
    }
    timeout(LONG, users.join_all()).await.expect("all are served");
    pop.relay.wait_metric("tagio_edge_down_bytes_total", 200 << 20).await;
    assert!(pop.relay.metric("tagio_edge_up_bytes_total").await >= 200 << 20);
    assert_eq!(pop.relay.denied("edge_overflow").await, 0);
    pop.relay.wait_metric_is("tagio_edge_queued_bytes", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_holds_nobody_up_and_loses_nothing() {
    const LEN: usize = 32 << 20;
    let pop = Pop::start(|_| {}).await;
    let _node = Node::at(&pop, UUID).await;
    let (slow_target, target) = (spring(LEN).await, mirror().await);
    let mut slow = pop.reach(slow_target).await;
    for number in 0..20 {
        timeout(PATIENCE, exchange(pop.reach(target).await, number)).await.expect("it is served meanwhile");
    }
    let mut got = Vec::new();
    timeout(LONG, slow.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got == pattern(LEN, 7), "{} of {LEN} bytes", got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off_alone_where_a_node_knows_of_no_windows() {
    const LEN: usize = 32 << 20;
    let pop = Pop::start(|config| config.limits.edge_queue_bytes_max = 4 << 20).await;
    let Some(_node) = foreign_node(&pop).await else { return };
    let (slow_target, target) = (spring(LEN).await, mirror().await);
    let mut slow = pop.reach(slow_target).await;
    for number in 0..3 {
        timeout(PATIENCE, exchange(pop.reach(target).await, number)).await.expect("it is served meanwhile");
    }
    pop.relay.wait_denied("edge_overflow", 1).await;
    let mut got = Vec::new();
    let cut = timeout(LONG, slow.read_to_end(&mut got)).await.unwrap();
    assert!(cut.is_err() && got.len() < LEN, "an accident is no end of a file: {} bytes", got.len());
    pop.relay.wait_metric_is("tagio_edge_queued_bytes", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_and_come_and_private_targets_get_none() {
    let pop = Pop::start(|_| {}).await;
    let target = reverser().await;
    let (mut control, door) = pop.associate().await;
    let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let query = datagram("localhost", target.port(), b"what is the time");
    let node = Node::start(&pop.url(), UUID, &[]);
    pop.relay.wait_metric_is("tagio_edge_nodes", 1).await;
    let mut buffer = [0; 2048];
    user.send_to(&query, door).await.unwrap();
    let silent = timeout(Duration::from_millis(500), user.recv_from(&mut buffer)).await;
    assert!(silent.is_err(), "this node dials public addresses only");
    node.stop().await;
    pop.relay.wait_metric_is("tagio_edge_nodes", 0).await;
    let _node = Node::at(&pop, UUID).await;
    pop.relay.wait_metric_is("tagio_edge_nodes", 1).await;
    // Datagrams may be lost: asked again, as everybody does.
    let answer = async {
        loop {
            user.send_to(&query, door).await.unwrap();
            if let Ok(got) = timeout(Duration::from_secs(1), user.recv_from(&mut buffer)).await {
                return got.unwrap().0;
            }
        }
    };
    let len = timeout(PATIENCE, answer).await.expect("an answer");
    assert_eq!(&buffer[..len], &datagram("localhost", target.port(), b"emit eht si tahw"));
    // The association lives as long as its TCP connection.
    control.shutdown().await.unwrap();
    pop.relay.wait_metric_is("tagio_edge_sessions", 0).await;
}

/// A datagram with the header of RFC 1928.
fn datagram(host: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 3, u8::try_from(host.len()).unwrap()], host.as_bytes(), &port.to_be_bytes(), payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_back_soon_after_its_pop_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = pop_config(&dir);
    let pop = Pop::start_as(dir, &config).await;
    let (mut node, target) = (Node::at(&pop, UUID).await, mirror().await);
    exchange(pop.reach(target).await, 1).await;
    config.binds = vec![pop.relay.addr];
    let dir = pop.relay.stop().await;
    let pop = Pop::start_as(dir, &config).await;
    let restarted = Instant::now();
    node.wait_up().await;
    assert!(restarted.elapsed() < BACK, "{:?}", restarted.elapsed());
    exchange(pop.reach(target).await, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_lost_node_are_reset_and_its_successor_serves_at_once() {
    let pop = Pop::start(|_| {}).await;
    let (target, first) = (mirror().await, Node::at(&pop, UUID).await);
    let mut cut = pop.reach(target).await;
    cut.write_all(b"half a").await.unwrap();
    let second = Node::at(&pop, UUID).await;
    assert!(matches!(first.ended().await, Err(NodeError::Replaced)));
    let lost = timeout(PATIENCE, cut.read(&mut [0; 8])).await.expect("it is told");
    assert!(lost.is_err(), "an accident is no end of a file: {lost:?}");
    exchange(pop.reach(target).await, 1).await;
    second.stop().await;
    pop.relay.wait_metric_is("tagio_edge_nodes", 0).await;
    let refused = pop.ask("anna", &target.ip().to_string(), target.port()).await;
    assert_eq!(refused.err(), Some(1), "there is no node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_choose_a_node_by_name() {
    let pop = Pop::start(|_| {}).await;
    let (_first, second) = (Node::at(&pop, "first").await, Node::at(&pop, "second").await);
    let target = mirror().await;
    let ask = |user: &'static str| pop.ask(user, "127.0.0.1", target.port());
    exchange(ask("anna-node-first").await.unwrap(), 1).await;
    exchange(ask("anna-node-second").await.unwrap(), 2).await;
    exchange(ask("anna-session-shopping").await.unwrap(), 3).await;
    assert_eq!(ask("anna-node-third").await.err(), Some(1));
    second.stop().await;
    pop.relay.wait_metric_is("tagio_edge_nodes", 1).await;
    assert_eq!(ask("anna-node-second").await.err(), Some(1), "no other is taken for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_are_not_public_are_refused_in_every_form() {
    let pop = Pop::start(|_| {}).await;
    let node = Node::start(&pop.url(), UUID, &[]);
    pop.relay.wait_metric_is("tagio_edge_nodes", 1).await;
    let port = mirror().await.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "fd00::1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ] {
        assert_eq!(pop.ask("anna", host, port).await.err(), Some(2), "{host}");
    }
    // What a resolver makes of these is checked; one that knows no such name has no address for it.
    for odd in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "017700000001"] {
        let refused = pop.ask("anna", odd, port).await.err();
        assert!(matches!(refused, Some(2 | 4)), "{odd}: {refused:?}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_in_with_a_good_token_of_their_own_only() {
    let pop = Pop::start(|config| config.limits.edge_token_secs = 1).await;
    let token = token(&pop, UUID).await;
    let (before, after) = token.split_at(20);
    let forged = format!("{before}{}{}", if after.starts_with('A') { 'B' } else { 'A' }, &after[1..]);
    assert!(upgrade(&pop, UUID, &token).await.starts_with("HTTP/1.1 101"));
    for (id, token) in [(UUID, ""), (UUID, "guess"), (UUID, forged.as_str()), ("another", token.as_str())] {
        assert!(upgrade(&pop, id, token).await.starts_with("HTTP/1.1 401"), "{id} with `{token}`");
    }
    pop.relay.wait_denied("edge_token", 4).await;
    let expired = async { while upgrade(&pop, UUID, &token).await.starts_with("HTTP/1.1 101") {} };
    timeout(PATIENCE, expired).await.expect("a token expires");
    for bad in ["/node/pop", "/node/pop?nodeid=", "/node/pop?nodeid=a%20b"] {
        let answer = http(pop.relay.addr, &format!("GET {bad} HTTP/1.1\r\nHost: pop.example\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let other = common::Relay::start().await;
    let answer = http(other.addr, "GET /node/pop?nodeid=a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "a relay is no POP by default: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nodes_are_named_no_other_comes_in() {
    let secret = || Some(Secret::new("of two relays".to_owned()));
    let pop = Pop::start(|config| {
        let edge = config.edge.as_mut().unwrap();
        edge.nodes = vec![NodeId::parse(UUID).unwrap()];
        edge.secret = secret();
    })
    .await;
    let _node = Node::at(&pop, UUID).await;
    let answer = http(pop.relay.addr, "GET /node/pop?nodeid=other HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("edge_stranger"), "{answer}");
    // Nor with a token that a relay with the same secret gave it.
    let open = Pop::start(|config| config.edge.as_mut().unwrap().secret = secret()).await;
    let token = token(&open, "other").await;
    assert!(upgrade(&open, "other", &token).await.starts_with("HTTP/1.1 101"));
    assert!(upgrade(&pop, "other", &token).await.starts_with("HTTP/1.1 403"));
    pop.relay.wait_denied("edge_stranger", 2).await;
}

async fn token(pop: &Pop, uuid: &str) -> String {
    let request = format!("GET /node/pop?nodeid={uuid} HTTP/1.1\r\nHost: pop.example:8443\r\n\r\n");
    let answer = http(pop.relay.addr, &request).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["server_url"], "ws://pop.example:8443/ws/node");
    body["access_token"].as_str().unwrap().to_owned()
}

/// The head of the answer to a node that wants its WebSocket.
async fn upgrade(pop: &Pop, id: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(pop.relay.addr).await.unwrap();
    let request = format!(
        "GET /ws/node?id={id}&os=linux&version=1.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_asked_for_and_nobody_opens_a_door_for_all() {
    let pop = Pop::start(|_| {}).await;
    let answer = spawn_blocking(move || {
        let socks = pop.socks.to_string();
        let wrong = [
            "-sS",
            "-m",
            "20",
            "--socks5-hostname",
            &socks,
            "--proxy-user",
            "anna:guess",
            "http://localhost:1/",
        ];
        program::run("curl", &wrong)
    });
    assert!(answer.await.unwrap().is_err());
    let dir = tempfile::tempdir().unwrap();
    let mut config = common::config(dir.path());
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    config.edge = Some(EdgeConfig { socks: everywhere, secret: None, users: Vec::new(), nodes: Vec::new() });
    let error = Server::bind(&config).await.err().expect("it does not start");
    assert!(format!("{error:#}").contains("--edge-user"), "{error:#}");
}

/// A node that was written from the protocol's description alone, and knows of no windows.
async fn foreign_node(pop: &Pop) -> Option<Program> {
    let python = "/usr/bin/python3";
    if program::run(python, &["-c", "import websockets"]).is_err() {
        skipped("the Debian package python3-websockets is missing");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/node.py");
    let mut command = Command::new(python);
    command.args([script, &pop.url(), UUID]);
    let node = Program::start("node.py", &mut command);
    pop.relay.wait_metric_is("tagio_edge_nodes", 1).await;
    Some(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_written_from_the_description_serves_too() {
    let pop = Pop::start(|_| {}).await;
    let Some(mut node) = foreign_node(&pop).await else { return };
    let target = mirror().await;
    let mut users = JoinSet::new();
    for number in 0..20 {
        let stream = pop.reach(target).await;
        users.spawn(exchange(stream, number));
    }
    timeout(LONG, users.join_all()).await.expect("all are served");
    assert_eq!(pop.ask("anna", "127.0.0.1", 1).await.err(), Some(5), "nobody listens there");
    let (_control, door) = pop.associate().await;
    let (user, target) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), reverser().await);
    user.send_to(&datagram("127.0.0.1", target.port(), b"abc"), door).await.unwrap();
    let mut buffer = [0; 100];
    let (len, _) = timeout(PATIENCE, user.recv_from(&mut buffer)).await.expect("an answer").unwrap();
    assert!(buffer[..len].ends_with(b"cba"));
    node.kill();
    pop.relay.wait_metric_is("tagio_edge_nodes", 0).await;
}
