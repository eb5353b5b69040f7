//! The relay behind proxies: whose word on client addresses it believes, and a real nginx in front of it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use common::{
    Client, Keys, PATIENCE, Relay,
    carriers::{AnyLink, Link, Requests, over_http, over_websocket, websocket, websocket_with},
    hello, http,
};
use tagio_testkit::{TempDir, skipped};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const NGINX: &str = "/usr/sbin/nginx";
/// A client that the proxy has another address than.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A relay that believes 127.0.0.1 and nobody else.
async fn relay() -> Relay {
    Relay::start_with(|config| {
        config.trusted_proxies = ["127.0.0.1/32".parse().unwrap()].into_iter().collect();
    })
    .await
}

/// A connection from [`CLIENT`].
async fn dial(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(CLIENT, 0)).unwrap();
    socket.connect(addr).await.unwrap()
}

/// Comes in over something that carries.
async fn client<S: Link>(link: S, relay: &Relay) -> Client<S> {
    let mut client = Client::ik_over(link, relay.key, &Keys::new(), &hello()).await.unwrap();
    client.ping(1).await;
    client
}

/// nginx in front of a relay, until it is dropped.
struct Nginx {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    async fn start(relay: &Relay) -> Option<Self> {
        if !Path::new(NGINX).exists() {
            skipped("nginx is not installed");
            return None;
        }
        let dir = TempDir::new();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (root, relay) = (dir.path().display(), relay.addr);
        // What docs/deployment.md tells to write, in a frame for one process of any user.
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr warn;
             events {{}}
             http {{
               access_log off;
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
               map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
               server {{
                 listen {free};
                 location / {{
                   proxy_pass http://{relay};
                   proxy_http_version 1.1;
                   proxy_set_header Host $host;
                   proxy_set_header Upgrade $http_upgrade;
                   proxy_set_header Connection $connection_upgrade;
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                   proxy_read_timeout 75s;
                   proxy_buffering off;
                   proxy_request_buffering off;
                 }}
               }}
             }}"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let child = Command::new(NGINX).arg("-e").arg("stderr").arg("-c").arg(&file).spawn().unwrap();
        let nginx = Self { child, addr: free, _dir: dir };
        for _ in 0..500 {
            if TcpStream::connect(free).await.is_ok() {
                return Some(nginx);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nginx does not listen");
    }
}

#[tokio::test]
async fn pages_and_carriers_come_through_nginx_with_the_clients_address() {
    let relay = relay().await;
    let Some(nginx) = Nginx::start(&relay).await else { return };
    let health = http(nginx.addr, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("ok\n"), "{health}");
    let page = http(nginx.addr, "GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n").await;
    assert!(page.contains(&relay.key.to_string()), "{page}");

    let socket = websocket(dial(nginx.addr).await).await.unwrap();
    let met = client(over_websocket(socket), &relay).await;
    assert_eq!(met.welcome.observed.ip(), CLIENT);
    let link = over_http(Box::new(dial(nginx.addr).await), Box::new(dial(nginx.addr).await)).await.unwrap();
    let met = client(link, &relay).await;
    assert_eq!(met.welcome.observed.ip(), CLIENT);
}

#[tokio::test]
async fn what_a_client_writes_about_itself_is_believed_by_nobody() {
    let relay = relay().await;
    let spoofed = [("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "203.0.113.9")];
    let socket = websocket_with(dial(relay.addr).await, &spoofed).await.unwrap();
    assert_eq!(client(over_websocket(socket), &relay).await.welcome.observed.ip(), CLIENT);
    let Some(nginx) = Nginx::start(&relay).await else { return };
    let socket = websocket_with(dial(nginx.addr).await, &spoofed).await.unwrap();
    assert_eq!(client(over_websocket(socket), &relay).await.welcome.observed.ip(), CLIENT);
}

#[tokio::test]
async fn clients_behind_a_proxy_count_by_their_own_address() {
    let relay = Relay::start_with(|config| {
        config.trusted_proxies = ["127.0.0.1/32".parse().unwrap()].into_iter().collect();
        config.limits.connections_per_ip_max = 2;
    })
    .await;
    let open = async |addr: &str| {
        let stream = TcpStream::connect(relay.addr).await.unwrap();
        websocket_with(stream, &[("x-forwarded-for", addr)]).await
    };
    let _first = client(over_websocket(open("203.0.113.1").await.unwrap()), &relay).await;
    let _second = client(over_websocket(open("203.0.113.1").await.unwrap()), &relay).await;
    let refused = open("203.0.113.1").await.err().unwrap().to_string();
    assert!(refused.contains("429"), "{refused}");
    let _other = client(over_websocket(open("203.0.113.2").await.unwrap()), &relay).await;
    assert_eq!(relay.denied("connections_per_ip").await, 1);
    let mut requests = Requests::new(Box::new(TcpStream::connect(relay.addr).await.unwrap()) as AnyLink);
    let open = format!("/tagio/stream/{}/0?open=1", "7".repeat(32));
    assert_eq!(requests.send("POST", &open, b"").await.unwrap().status, 200, "as itself");
}

/// The header of version 2 of the PROXY protocol, for a client at 203.0.113.7:40000.
fn binary_header(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 1, 187];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11, 0, 12], &addresses].concat()
}

const TEXT_HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n";

#[tokio::test]
async fn a_proxy_header_tells_the_clients_address_before_any_protocol() {
    let relay = relay().await;
    for header in [TEXT_HEADER, &binary_header(0x21)] {
        let mut stream = TcpStream::connect(relay.addr).await.unwrap();
        stream.write_all(header).await.unwrap();
        let met = client(stream, &relay).await;
        assert_eq!(met.welcome.observed.to_string(), "203.0.113.7:40000");

        let mut stream = TcpStream::connect(relay.addr).await.unwrap();
        stream.write_all(header).await.unwrap();
        let spoofed = [("x-forwarded-for", "6.6.6.6")];
        let socket = websocket_with(stream, &spoofed).await.unwrap();
        let met = client(over_websocket(socket), &relay).await;
        assert_eq!(met.welcome.observed.to_string(), "203.0.113.7:40000", "that client is no proxy");
    }
    let mut stream = TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(&binary_header(0x20)).await.unwrap();
    let met = client(stream, &relay).await;
    assert!(met.welcome.observed.ip().is_loopback(), "the proxy's own connection");
}

#[tokio::test]
async fn a_proxy_header_from_a_stranger_or_a_broken_one_ends_the_connection() {
    let relay = relay().await;
    let mut stranger = dial(relay.addr).await;
    stranger.write_all(TEXT_HEADER).await.unwrap();
    assert!(is_closed(&mut stranger).await);
    relay.wait_denied("bad_proxy", 1).await;
    let endless = [b"PROXY ".as_slice(), &[b'x'; 300]].concat();
    let huge = [&binary_header(0x21)[..14], &[0xff, 0xff]].concat();
    for (count, broken) in [(2, &b"PROXY TCP4 here there 1 2\r\n"[..]), (3, &endless), (4, &huge)] {
        let mut proxy = TcpStream::connect(relay.addr).await.unwrap();
        proxy.write_all(broken).await.unwrap();
        assert!(is_closed(&mut proxy).await);
        relay.wait_denied("bad_proxy", count).await;
    }
    let mut twice = TcpStream::connect(relay.addr).await.unwrap();
    twice.write_all(&[TEXT_HEADER, TEXT_HEADER].concat()).await.unwrap();
    assert!(is_closed(&mut twice).await);
    relay.wait_denied("bad_preface", 1).await;
}

/// Whether the relay closes, by an end or a reset.
async fn is_closed(stream: &mut TcpStream) -> bool {
    timeout(PATIENCE, stream.read_u8()).await.unwrap().is_err()
}
