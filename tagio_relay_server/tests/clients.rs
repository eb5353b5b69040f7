//! Clients come, are known again, call each other and are told when the relay stops.

mod common;

use std::time::{Duration, Instant};

use common::{Client, Keys, Relay, call, hello, http, secret};
use tagio_wire::control::{CallFailure, ClientMessage, Hello, RelayMessage};

/// Less than a draining relay gives to legs in use, and time enough for a busy machine.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_id_and_the_relays_key_survive_a_restart() {
    let keys = Keys::new();
    let relay = Relay::start().await;
    let (first, key) = (Client::connect_as(&relay, &keys).await, relay.key);
    let relay = Relay::start_in(relay.stop().await, |_| {}).await;
    let again = Client::connect_as(&relay, &keys).await;
    let other = Client::connect(&relay).await;
    assert_eq!(relay.key, key);
    assert_eq!(again.id(), first.id());
    assert_ne!(other.id(), first.id());
}

#[tokio::test]
async fn a_first_contact_learns_the_key_and_gets_the_same_id() {
    let keys = Keys::new();
    let relay = Relay::start_with(|config| config.public_ip = Some([203, 0, 113, 7].into())).await;
    let mut met = Client::xx(&relay, &keys, &hello()).await.unwrap();
    met.ping(1).await;
    assert_eq!(met.relay_key, relay.key);
    assert_eq!(met.welcome.observed, met.stream.local_addr().unwrap());
    let public = met.welcome.public_addr.unwrap();
    assert_eq!(public.to_string(), format!("203.0.113.7:{}", relay.addr.port()));
    assert_eq!(Client::connect_as(&relay, &keys).await.id(), met.id());
}

#[tokio::test]
async fn a_relay_with_a_secret_lets_in_only_who_shows_it() {
    let relay = Relay::start_with(|config| config.auth = secret("right")).await;
    let keys = Keys::new();
    let with = |auth: Option<&str>| Hello { auth: auth.map(str::to_owned), ..hello() };
    for wrong in [None, Some("wrong"), Some("")] {
        let refused = Client::ik(&relay, &keys, &with(wrong)).await.err().unwrap();
        assert_eq!(refused.to_string(), "WrongSecret");
    }
    assert_eq!(relay.denied("wrong_secret").await, 3);
    Client::ik(&relay, &keys, &with(Some("right"))).await.unwrap();
    Client::xx(&relay, &keys, &with(Some("right"))).await.unwrap();
    for _ in 0..2 {
        Client::xx(&relay, &keys, &with(Some("guess"))).await.err().unwrap();
    }
    let refused = Client::ik(&relay, &keys, &with(Some("right"))).await.err().unwrap();
    assert_eq!(refused.to_string(), "TooMany", "after five wrong ones nobody from there is heard");
}

#[tokio::test]
async fn another_version_is_told_ours() {
    let relay = Relay::start().await;
    let hello = Hello { version: 77, ..hello() };
    let refused = Client::ik(&relay, &Keys::new(), &hello).await.err().unwrap();
    assert_eq!(refused.to_string(), "WrongVersion(1)");
}

#[tokio::test]
async fn the_newest_connection_of_a_key_has_its_presence() {
    let relay = Relay::start().await;
    let keys = Keys::new();
    let mut caller = Client::connect(&relay).await;
    let mut old = Client::connect_as(&relay, &keys).await;
    let mut new = Client::connect_as(&relay, &keys).await;
    assert_eq!(old.recv().await, RelayMessage::Replaced);
    assert!(old.try_recv().await.is_err(), "the old connection is closed");
    call(&mut caller, &mut new).await;
    drop(old);
    assert!(caller.online(new.id()).await, "the end of the old one takes nothing from the new one");
}

#[tokio::test]
async fn a_call_reaches_its_target_with_the_callers_identity() {
    let relay = Relay::start().await;
    let keys = Keys::new();
    let mut caller = Client::connect_as(&relay, &keys).await;
    let mut target = Client::connect(&relay).await;
    caller.send(&ClientMessage::Call { call: 5, target: target.id() }).await;
    let RelayMessage::Incoming { caller_key, caller: id, leg: theirs } = target.recv().await else {
        panic!("no call");
    };
    let RelayMessage::Ringing { call: 5, leg, .. } = caller.recv().await else { panic!("no ringing") };
    assert_eq!((caller_key, id), (keys.public, caller.id()));
    assert_eq!(leg.channel, theirs.channel);
    assert_ne!(leg.token, theirs.token);
    let target_id = target.id();
    drop(target);
    let mut online = true;
    for _ in 0..100 {
        online = caller.online(target_id).await;
        if !online {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!online);
    for (call, target, reason) in
        [(6, target_id, CallFailure::Offline), (7, caller.id(), CallFailure::Yourself)]
    {
        caller.send(&ClientMessage::Call { call, target }).await;
        assert_eq!(caller.recv().await, RelayMessage::CallFailed { call, reason });
    }
}

#[tokio::test]
async fn a_draining_relay_tells_its_clients_and_waits_for_nobody_idle() {
    let relay = Relay::start().await;
    let mut client = Client::connect(&relay).await;
    let started = Instant::now();
    relay.drain();
    let RelayMessage::Draining { reconnect_in_ms } = client.recv().await else { panic!("not told") };
    assert!((200..=3000).contains(&reconnect_in_ms));
    let addr = relay.addr;
    relay.ended().await;
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn pages_answer_people_and_machines() {
    let relay = Relay::start().await;
    let health = http(relay.addr, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    let page = http(relay.addr, "GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n").await;
    assert!(page.contains(&format!("relay.example:{}#{}", relay.addr.port(), relay.key)), "{page}");
    let evil = http(relay.addr, "GET / HTTP/1.1\r\nHost: <script>\r\n\r\n").await;
    assert!(!evil.contains("<script>"), "{evil}");
    let none = http(relay.addr, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.1 404") && none.contains("content-length: 10"), "{none}");
    let metrics = http(relay.metrics, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(metrics.starts_with("HTTP/1.1 200"));
    assert_eq!(relay.metric("tagio_relay_clients").await, 0);
    let _client = Client::connect(&relay).await;
    assert_eq!(relay.metric("tagio_relay_clients").await, 1);
}
