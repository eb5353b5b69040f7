//! Reverse tunnels with real sockets: our client, and what goes wrong. Clients that speak yamux are in `tunnels_yamux`.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "tunnels/parts.rs"]
mod parts;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{PATIENCE, http, secret};
use parts::{Tunnel, config, echo, frames_to, http_service, round_trip};
use tagio_relay_core::tunnel::{HostName, Quota};
use tagio_relay_server::TunnelToken;
use tagio_tunnel::{
    client::{Carrier, CarrierChoice, ClientConfig, ClientError},
    inspect::{ExchangeState, Inspector, Recorder},
};
use tagio_wire::tunnel::{Manners, Place, TunnelPreface, TunnelRefusal, TunnelSecret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// What a tunnel may travel in, and what it then does.
const CARRIERS: [(CarrierChoice, Carrier); 4] = [
    (CarrierChoice::Auto, Carrier::Quic),
    (CarrierChoice::Quic, Carrier::Quic),
    (CarrierChoice::Tls, Carrier::Tls),
    (CarrierChoice::Tcp, Carrier::Tcp),
];

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_visitors_at_once_get_what_they_sent_after_they_said_all() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    for (round, (choice, carrier)) in (1..).zip(CARRIERS) {
        let tunnel = Tunnel::open(parts::by(config(&relay, local), choice)).await;
        assert_eq!(tunnel.carrier, carrier);
        let mut visitors = JoinSet::new();
        for number in 0..200 {
            visitors.spawn(round_trip(relay.ingress, number));
        }
        timeout(LONG, visitors.join_all()).await.expect("all are served");
        relay.server.wait_metric("tagio_tunnel_visits_total", 200 * round).await;
        assert!(relay.server.metric("tagio_tunnel_inward_bytes_total").await >= (200 << 20) * round);
        drop(tunnel);
        relay.server.wait_metric_is("tagio_tunnels", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_short_connections_all_arrive() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    for (choice, _) in CARRIERS {
        let tunnel = Tunnel::open(parts::by(config(&relay, local), choice)).await;
        let mut visitors = JoinSet::new();
        for _ in 0..8 {
            let ingress = relay.ingress;
            visitors.spawn(async move {
                for _ in 0..100 {
                    assert_eq!(parts::exchange(ingress, b"hello").await.unwrap(), b"hello");
                }
            });
        }
        timeout(LONG, visitors.join_all()).await.expect("all are served");
        drop(tunnel);
        relay.server.wait_metric_is("tagio_tunnels", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_back_after_the_relay_restarts() {
    let mut relay = parts::relay(|_| {}).await;
    let local = echo().await;
    for (choice, carrier) in CARRIERS {
        let tunnel = Tunnel::open(parts::by(config(&relay, local), choice)).await;
        assert_eq!(parts::exchange(relay.ingress, b"before").await.unwrap(), b"before");
        relay = relay.restart().await;
        let started = Instant::now();
        parts::wait_until_served(relay.ingress).await;
        assert!(started.elapsed() < PATIENCE, "{carrier}: {:?}", started.elapsed());
        drop(tunnel);
        relay.server.wait_metric_is("tagio_tunnels", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_proves_its_key_and_that_it_knows_the_token() {
    let open = parts::relay(|_| {}).await;
    let local = echo().await;
    let key = Some(open.server.key);
    let other = Some(tagio_wire::PublicKey([9; 32]));
    for (choice, _) in CARRIERS {
        let known = ClientConfig { key, ..parts::by(config(&open, local), choice) };
        drop(Tunnel::open(known.clone()).await);
        open.server.wait_metric_is("tagio_tunnels", 0).await;
        let refused = Tunnel::refused(ClientConfig { key: other, ..known.clone() }).await;
        assert!(matches!(refused, ClientError::NotTheRelay), "{refused}");
        // A relay that wants no token cannot know it; a key is proof enough.
        let with_token = parts::with_token(known, Some("secret"));
        drop(Tunnel::open(with_token.clone()).await);
        open.server.wait_metric_is("tagio_tunnels", 0).await;
        let refused = Tunnel::refused(ClientConfig { key: None, ..with_token }).await;
        assert!(matches!(refused, ClientError::NoProof), "{refused}");
    }
}

/// A box between client and relay that passes TCP on. How many connections it has seen.
async fn between(control: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    let mut passing = JoinSet::new();
    passing.spawn(async move {
        let mut streams = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            streams.spawn(async move {
                let mut far = TcpStream::connect(control).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (addr, passed, passing)
}

#[tokio::test(flavor = "multi_thread")]
async fn by_bare_tcp_only_visits_in_which_much_flows_take_a_connection() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let (between, passed, _passing) = between(relay.control).await;
    let config =
        ClientConfig { port: between.port(), ..parts::by(config(&relay, local), CarrierChoice::Tcp) };
    let _tunnel = Tunnel::open(config).await;
    let passed = || passed.load(Ordering::Relaxed);
    // The trunk is made beside the first ones that wait: the first visits may come before it.
    parts::wait_until(async || {
        let before = passed();
        for _ in 0..20 {
            assert_eq!(parts::exchange(relay.ingress, b"hello").await.unwrap(), b"hello");
        }
        passed() == before
    })
    .await;
    let before = passed();
    // One that waited is taken, and another one made.
    parts::wait_until(async || {
        timeout(LONG, round_trip(relay.ingress, 1)).await.expect("it is served");
        passed() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_swallowed_a_tunnel_comes_by_tls() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let (between, _passed, _passing) = between(relay.control).await;
    let _swallows = UdpSocket::bind(between).await.unwrap();
    let tunnel = Tunnel::open(ClientConfig { port: between.port(), ..config(&relay, local) }).await;
    assert_eq!(tunnel.carrier, Carrier::Tls);
    assert_eq!(parts::exchange(relay.ingress, b"through").await.unwrap(), b"through");
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_may_finish_when_the_client_leaves_and_no_new_ones_come() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let mut tunnel = Tunnel::open(config(&relay, local)).await;
    let mut visitor = TcpStream::connect(relay.ingress).await.unwrap();
    visitor.write_all(b"one").await.unwrap();
    let mut three = [0; 3];
    visitor.read_exact(&mut three).await.unwrap();
    tunnel.stop.cancel();
    parts::wait_until_unserved(relay.ingress).await;
    visitor.write_all(b"two").await.unwrap();
    visitor.read_exact(&mut three).await.unwrap();
    assert_eq!(&three, b"two");
    drop(visitor);
    timeout(PATIENCE, &mut tunnel.running).await.expect("it ends with its last visitor").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_off_never_looks_complete() {
    let relay = parts::relay(|_| {}).await;
    let local = parts::endless().await;
    for (choice, carrier) in CARRIERS {
        // Its time for visitors to finish is over at once.
        let config = ClientConfig { drain: Duration::ZERO, ..parts::by(config(&relay, local), choice) };
        let mut tunnel = Tunnel::open(config).await;
        let mut visitor = TcpStream::connect(relay.ingress).await.unwrap();
        timeout(PATIENCE, visitor.read_exact(&mut vec![0; 1 << 20])).await.expect("it speaks").unwrap();
        tunnel.stop.cancel();
        timeout(PATIENCE, &mut tunnel.running).await.expect("it ends").unwrap().unwrap();
        let cut = timeout(PATIENCE, tokio::io::copy(&mut visitor, &mut tokio::io::sink())).await;
        assert!(cut.expect("it is cut off").is_err(), "by {carrier} it looks complete");
        relay.server.wait_metric_is("tagio_tunnels", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_there_is_no_tunnel() {
    let relay = parts::relay(|tunnel| tunnel.tokens = vec![secret("right").unwrap().into()]).await;
    let local = echo().await;
    for token in [None, Some("wrong")] {
        let refused = Tunnel::refused(parts::with_token(config(&relay, local), token)).await;
        assert!(matches!(refused, ClientError::Refused(TunnelRefusal::WrongToken)), "{refused}");
        assert!(refused.to_string().contains("--token"), "{refused}");
    }
    // A client of the old kind is told, in its own protocol and in words.
    let mut yamux = TcpStream::connect(relay.control).await.unwrap();
    yamux.write_all(b"\0\x02\0\x01\0\0\0\0\0\0\0\x07").await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, yamux.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(
        answer.starts_with(b"\0\x03\0\0\0\0\0\0\0\0\0\x01")
            && answer.ends_with(b"token; use a client that shows one\n")
    );
    relay.server.wait_denied("tunnel_token", 3).await;
    let _tunnel = Tunnel::open(parts::with_token(config(&relay, local), Some("right"))).await;
    assert_eq!(parts::exchange(relay.ingress, b"in").await.unwrap(), b"in");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_find_their_tunnel_by_name_and_a_name_belongs_to_its_token() {
    let relay = parts::relay(|tunnel| {
        tunnel.tokens = ["anna", "bert"].map(|token| secret(token).unwrap().into()).to_vec();
        tunnel.domain = HostName::parse("tunnel.test");
    })
    .await;
    let (one, two) = (http_service("one").await, http_service("two").await);
    let named = |target, token, name: &str| {
        let config = parts::with_token(config(&relay, target), Some(token));
        parts::at(config, Place::Name(name.to_owned()))
    };
    let first = Tunnel::open(named(one, "anna", "App")).await;
    assert_eq!(first.public, format!("app.tunnel.test:{}", relay.ingress.port()));
    let _second = Tunnel::open(named(two, "bert", "shop.example.org")).await;
    assert!(parts::get(relay.ingress, "app.tunnel.test:8081").await.ends_with("one"));
    assert!(parts::get(relay.ingress, "SHOP.example.org").await.ends_with("two"));
    assert!(parts::get(relay.ingress, "other.tunnel.test").await.starts_with("HTTP/1.1 404"));
    // Two requests on one connection, as a proxy in front may send them.
    let both = "GET / HTTP/1.1\r\nHost: app.tunnel.test\r\n\r\nGET / HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n";
    let answers = http(relay.ingress, both).await;
    assert!(answers.contains("one") && answers.ends_with("two"), "{answers}");

    let refused = Tunnel::refused(named(two, "bert", "app")).await;
    assert!(matches!(refused, ClientError::Refused(TunnelRefusal::Taken)), "{refused}");
    assert!(parts::get(relay.ingress, "app.tunnel.test").await.ends_with("one"));

    // Who asks for no name gets one that cannot be guessed.
    let unnamed = parts::with_token(config(&relay, two), Some("bert"));
    let random = Tunnel::open(unnamed).await;
    let (name, _) = random.public.split_once(':').unwrap();
    assert!(name.len() == "0123456789abcdef.tunnel.test".len() && name.ends_with(".tunnel.test"), "{name}");
    assert!(parts::get(relay.ingress, name).await.ends_with("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_of_one_token_is_shared_by_its_clients() {
    let relay = parts::relay(|tunnel| {
        tunnel.tokens = vec![secret("anna").unwrap().into()];
        tunnel.domain = HostName::parse("tunnel.test");
    })
    .await;
    let mut tunnels = Vec::new();
    for service in ["one", "two"] {
        let target = http_service(service).await;
        let config = parts::with_token(config(&relay, target), Some("anna"));
        tunnels.push(Tunnel::open(parts::at(config, Place::Name("app".to_owned()))).await);
    }
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(parts::get(relay.ingress, "app.tunnel.test").await);
    }
    for service in ["one", "two"] {
        assert!(answers.iter().any(|answer| answer.ends_with(service)), "{answers:?}");
    }
    // One goes: all come to the other.
    tunnels.pop().unwrap().running.abort();
    relay.server.wait_metric("tagio_tunnels", 1).await;
    parts::wait_until(async || parts::get(relay.ingress, "app.tunnel.test").await.ends_with("one")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_died_in_silence_blocks_nobody() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    // Opens, and never says a word again.
    let mut silent = TcpStream::connect(relay.control).await.unwrap();
    silent.write_all(&TunnelPreface::Control.bytes()).await.unwrap();
    let (_greeting, message) = tagio_tunnel::greeting::Greeting::ask(None);
    silent.write_all(&message).await.unwrap();
    frames_to(&mut silent, &parts::open("app")).await;
    relay.server.wait_metric("tagio_tunnels", 1).await;
    let target = http_service("successor").await;
    let _tunnel = Tunnel::open(parts::at(config(&relay, target), Place::Name("app".to_owned()))).await;
    assert!(parts::get(relay.ingress, "app.tunnel.test").await.ends_with("successor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_requests_are_changed_as_asked() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    let target = http_service("mirror").await;
    let manners =
        Manners { host_header: Some("localhost:3000".to_owned()), forwarded: true, ..Manners::default() };
    let config = parts::at(config(&relay, target), Place::Name("app".to_owned()));
    let _tunnel = Tunnel::open(parts::with_manners(config, manners)).await;
    let request = "GET /mirror HTTP/1.1\r\nHost: app.tunnel.test\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n";
    let seen = http(relay.ingress, request).await.to_lowercase();
    for line in [
        "host: localhost:3000",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: app.tunnel.test",
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line}: {seen}");
    }
    assert!(!seen.contains("1.2.3.4"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_becomes_a_stream() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    let target = http_service("upgrade").await;
    let _tunnel = Tunnel::open(parts::at(config(&relay, target), Place::Name("app".to_owned()))).await;
    let mut stream = TcpStream::connect(relay.ingress).await.unwrap();
    let request =
        "GET /upgrade HTTP/1.1\r\nHost: app.tunnel.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream.write_all(b"any bytes").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut echoed = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(echoed, b"any bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_goes_through_by_the_name_in_it() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    let target = echo().await;
    let _tunnel = Tunnel::open(parts::at(config(&relay, target), Place::Name("app".to_owned()))).await;
    let hello = parts::client_hello("app.tunnel.test");
    let mut stream = TcpStream::connect(relay.ingress).await.unwrap();
    // In two pieces, cut within the name.
    stream.write_all(&hello[..60]).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(&hello[60..]).await.unwrap();
    let mut echoed = vec![0; hello.len()];
    timeout(PATIENCE, stream.read_exact(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(echoed, hello);
    let other = parts::client_hello("other.tunnel.test");
    assert_eq!(parts::exchange(relay.ingress, &other).await.unwrap_or_default(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn password_and_networks_keep_visitors_out() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    let target = http_service("secret").await;
    let manners = Manners { basic_auth: Some(parts::hash("anna:right")), ..Manners::default() };
    let guarded = parts::at(config(&relay, target), Place::Name("guarded".to_owned()));
    let _guarded = Tunnel::open(parts::with_manners(guarded, manners)).await;
    let manners = Manners { allow: vec!["192.0.2.0/24".to_owned()], ..Manners::default() };
    let closed = parts::at(config(&relay, target), Place::Name("closed".to_owned()));
    let _closed = Tunnel::open(parts::with_manners(closed, manners)).await;

    let ask = async |authorization: &str| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: guarded.tunnel.test\r\n{authorization}Connection: close\r\n\r\n"
        );
        http(relay.ingress, &request).await
    };
    assert!(ask("").await.starts_with("HTTP/1.1 401"));
    // anna:wrong, anna:right
    assert!(ask("Authorization: Basic YW5uYTp3cm9uZw==\r\n").await.starts_with("HTTP/1.1 401"));
    assert!(ask("Authorization: Basic YW5uYTpyaWdodA==\r\n").await.ends_with("secret"));
    assert!(parts::get(relay.ingress, "closed.tunnel.test").await.starts_with("HTTP/1.1 403"));
    relay.server.wait_denied("tunnel_access", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_may_have_a_port_of_its_own() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = parts::relay(|tunnel| tunnel.ports = Some(free..=free)).await;
    let local = echo().await;
    let tunnel = Tunnel::open(parts::at(config(&relay, local), Place::TcpPort(0))).await;
    assert_eq!(tunnel.public, format!("127.0.0.1:{free}"));
    let at = tunnel.public.parse().unwrap();
    assert_eq!(parts::exchange(at, b"by port").await.unwrap(), b"by port");
    for port in [0, free] {
        let refused = Tunnel::refused(parts::at(config(&relay, local), Place::TcpPort(port))).await;
        assert!(matches!(refused, ClientError::Refused(TunnelRefusal::Taken)), "{refused}");
    }
    let refused = Tunnel::refused(parts::at(config(&relay, local), Place::TcpPort(22))).await;
    assert!(matches!(refused, ClientError::Refused(TunnelRefusal::PortNotAllowed)), "{refused}");
    // The port is closed with its tunnel.
    tunnel.running.abort();
    parts::wait_until(async || TcpStream::connect(at).await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_a_clear_answer_and_others_take_over() {
    let relay = parts::relay(|tunnel| tunnel.domain = HostName::parse("tunnel.test")).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = parts::at(config(&relay, nobody), Place::Name("down".to_owned()));
    let _down = Tunnel::open(down).await;
    assert!(parts::get(relay.ingress, "down.tunnel.test").await.starts_with("HTTP/1.1 502"));
    let mut half = parts::at(config(&relay, nobody), Place::Name("half".to_owned()));
    half.targets.extend(config(&relay, http_service("up").await).targets);
    let _half = Tunnel::open(half).await;
    for _ in 0..4 {
        assert!(parts::get(relay.ingress, "half.tunnel.test").await.ends_with("up"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_are_counted() {
    let relay = parts::relay_with(
        |_| {},
        |config| {
            config.limits.tunnel_visits_per_client_max = 2;
            config.limits.tunnels_per_client_max = 1;
        },
    )
    .await;
    let local = echo().await;
    let _tunnel = Tunnel::open(config(&relay, local)).await;
    let mut visitors = Vec::new();
    for _ in 0..2 {
        let mut visitor = TcpStream::connect(relay.ingress).await.unwrap();
        visitor.write_all(b"x").await.unwrap();
        assert_eq!(visitor.read_u8().await.unwrap(), b'x');
        visitors.push(visitor);
    }
    assert_eq!(parts::exchange(relay.ingress, b"third").await.unwrap_or_default(), b"");
    relay.server.wait_denied("tunnel_visits_per_client", 1).await;
    visitors.clear();
    parts::wait_until_served(relay.ingress).await;
    // A wrong key brings nobody into somebody's pool.
    let mut stranger = TcpStream::connect(relay.control).await.unwrap();
    stranger.write_all(&TunnelPreface::Data.bytes()).await.unwrap();
    let hello = tagio_wire::tunnel::DataHello { session: 1, pool_key: TunnelSecret([0; 32]) };
    frames_to(&mut stranger, &hello).await;
    relay.server.wait_denied("tunnel_unknown", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_to_a_port_of_their_own_and_answers_to_who_asked() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = parts::relay(|tunnel| tunnel.ports = Some(free..=free)).await;
    let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = service.local_addr().unwrap();
    let mut echoing = JoinSet::new();
    echoing.spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((len, from)) = service.recv_from(&mut buffer).await {
            let _ = service.send_to(&buffer[..len], from).await;
        }
    });
    for (choice, carrier) in CARRIERS {
        let udp = parts::at(parts::by(config(&relay, local), choice), Place::UdpPort(0));
        let tunnel = Tunnel::open(udp).await;
        assert_eq!(tunnel.public, format!("127.0.0.1:{free}"));
        let visitors =
            [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
        for (number, visitor) in visitors.iter().enumerate() {
            visitor.connect(&tunnel.public).await.unwrap();
            for len in [1, 1200, 9000] {
                let sent = vec![u8::try_from(number).unwrap() + 1; len];
                let mut received = vec![0; 65_535];
                // Datagrams may be lost.
                let echoed = async {
                    loop {
                        visitor.send(&sent).await.unwrap();
                        if let Ok(len) = timeout(Duration::from_secs(1), visitor.recv(&mut received)).await {
                            break len.unwrap();
                        }
                    }
                };
                let len =
                    timeout(PATIENCE, echoed).await.unwrap_or_else(|_| panic!("no answer by {carrier}"));
                assert!(received[..len].iter().all(|byte| *byte == sent[0]));
            }
        }
        drop(tunnel);
        relay.server.wait_metric_is("tagio_tunnels", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_believed_proxy_tells_whose_request_it_is() {
    let relay = parts::relay_with(
        |tunnel| tunnel.domain = HostName::parse("tunnel.test"),
        |config| {
            config.trusted_proxies = ["127.0.0.0/8".parse().unwrap()].into_iter().collect();
        },
    )
    .await;
    let target = http_service("mirror").await;
    let manners = Manners { forwarded: true, allow: vec!["203.0.113.0/24".to_owned()], ..Manners::default() };
    let named = parts::at(config(&relay, target), Place::Name("app".to_owned()));
    let _tunnel = Tunnel::open(parts::with_manners(named, manners)).await;
    let ask = async |list: &str| {
        let request = format!(
            "GET /mirror HTTP/1.1\r\nHost: app.tunnel.test\r\nX-Forwarded-For: {list}\r\nX-Forwarded-Proto: https\r\n\r\n"
        );
        http(relay.ingress, &request).await.to_lowercase()
    };
    let seen = ask("6.6.6.6, 203.0.113.7").await;
    for line in
        ["x-forwarded-for: 6.6.6.6, 203.0.113.7", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https"]
    {
        assert!(seen.contains(&format!("{line}\r\n")), "{line}: {seen}");
    }
    assert!(ask("203.0.113.7, 6.6.6.6").await.starts_with("http/1.1 403"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_taken_away_ends_its_tunnels_and_a_new_one_opens_some() {
    let relay = parts::relay(|tunnel| tunnel.tokens = vec![secret("old").unwrap().into()]).await;
    let local = echo().await;
    let tunnel = Tunnel::open(parts::with_token(config(&relay, local), Some("old"))).await;
    relay.reload(|tunnel| tunnel.tokens = vec![secret("new").unwrap().into()]);
    relay.server.wait_metric_is("tagio_tunnels", 0).await;
    drop(tunnel);
    let refused = Tunnel::refused(parts::with_token(config(&relay, local), Some("old"))).await;
    assert!(matches!(refused, ClientError::Refused(TunnelRefusal::WrongToken)), "{refused}");
    let _tunnel = Tunnel::open(parts::with_token(config(&relay, local), Some("new"))).await;
    assert_eq!(parts::exchange(relay.ingress, b"in").await.unwrap(), b"in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_have_bounds_of_its_own() {
    let quota = Quota { tunnels_max: Some(1), visits_max: Some(1) };
    let token = TunnelToken { secret: secret("bounded").unwrap(), quota };
    let relay = parts::relay(|tunnel| tunnel.tokens = vec![token]).await;
    let local = echo().await;
    let bounded = parts::with_token(config(&relay, local), Some("bounded"));
    let _tunnel = Tunnel::open(bounded.clone()).await;
    let mut visitor = TcpStream::connect(relay.ingress).await.unwrap();
    visitor.write_all(b"x").await.unwrap();
    assert_eq!(visitor.read_u8().await.unwrap(), b'x');
    assert_eq!(parts::exchange(relay.ingress, b"second").await.unwrap_or_default(), b"");
    relay.server.wait_denied("tunnel_visits_per_token", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_shown_on_a_page_and_sent_again() {
    let relay = parts::relay(|_| {}).await;
    let target = http_service("hello").await;
    let recorder = Recorder::new();
    let client = ClientConfig { recorder: Some(Arc::clone(&recorder)), ..config(&relay, target) };
    let local = client.targets[0].clone();
    let _tunnel = Tunnel::open(client).await;
    let request = "GET /page?token=abc HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hidden\r\n\r\n";
    assert!(http(relay.ingress, request).await.ends_with("hello"));
    // What is no HTTP passes as it is.
    assert_eq!(parts::exchange(relay.ingress, b"\0nothing\r\n\r\n").await.unwrap_or_default().len(), 43);
    let line = &recorder.list()[0];
    assert_eq!((line.target.as_str(), line.status, line.response_bytes), ("/page?token=***", 200, 5));
    assert_eq!((line.state, recorder.list().len()), (ExchangeState::Done, 1));

    let outside = Inspector::bind("0.0.0.0:0".parse().unwrap(), Arc::clone(&recorder), local.clone()).await;
    assert!(outside.is_err(), "an inspector for everybody");
    let inspector = Inspector::bind(common::ANY, Arc::clone(&recorder), local).await.unwrap();
    let url = inspector.url();
    let (at, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(inspector.serve());
    let ask = async |method: &str, path: &str, host: &str| {
        let request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        http(at.parse().unwrap(), &request).await
    };
    let shown = ask("GET", &format!("{path}1"), at).await;
    assert!(shown.starts_with("HTTP/1.1 200") && shown.contains("hello"), "{shown}");
    assert!(!shown.contains("hidden") && !shown.contains("abc"), "{shown}");
    assert!(ask("GET", path, "rebound.example").await.starts_with("HTTP/1.1 403"));
    assert!(ask("GET", "guess/", at).await.starts_with("HTTP/1.1 404"));
    assert!(ask("POST", &format!("{path}replay/1"), at).await.starts_with("HTTP/1.1 303"));
    let again = &recorder.list()[0];
    assert_eq!((again.replay_of, again.status, again.response_bytes), (Some(1), 200, 5));
}
