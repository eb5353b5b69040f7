//! Clients that reach the real relay by whatever gets through: both control connections, both ends of a leg, and a
//! QUIC connection over them.
#![cfg(target_os = "linux")]

mod meeting;
mod middlebox;
mod proxy;

use std::time::Duration;

use tagio_testkit::lab::LIMIT;
use tagio_transport::{
    Carrier, CarrierChoice, CarrierKind, FixedProxy, NetworkChanges, ProxySetting, ReachSettings,
    relay::{Relay, RelayError, RelayEvent},
};
use tokio::time::{Instant, timeout};

use meeting::{Client, config, meet, start_relay};
use middlebox::Middlebox;
use proxy::{Manners, Proxy};

/// A name that only the test's proxies know.
const RELAY_BEHIND_PROXY: &str = "relay.invalid:443";

fn only(carriers: CarrierChoice) -> ReachSettings {
    ReachSettings { carriers, ..ReachSettings::default() }
}

fn by(kind: CarrierKind) -> Carrier {
    Carrier::Stream { kind, proxied: false }
}

#[tokio::test]
async fn each_carrier_that_is_chosen_carries_everything() {
    let relay = start_relay();
    for (choice, kind) in [
        (CarrierChoice::Tls, CarrierKind::Tls),
        (CarrierChoice::WebSocket, CarrierKind::WebSocketTls),
        (CarrierChoice::Http, CarrierKind::HttpTls),
    ] {
        let met = meet(&relay.relay.flag(), &only(choice)).await;
        assert_eq!((met.control, met.leg), (by(kind), by(kind)), "{choice:?}");
        println!("{choice:?}: {:?} until registered, {:?} until connected", met.registered, met.connected);
    }
}

#[tokio::test]
async fn plain_tcp_and_udp_are_what_is_taken_where_all_work() {
    let relay = start_relay();
    let met = meet(&relay.relay.flag(), &ReachSettings::default()).await;
    assert_eq!((met.control, met.leg), (by(CarrierKind::Tcp), Carrier::Udp));
}

#[tokio::test]
async fn what_a_middlebox_swallows_is_gone_around() {
    let relay = start_relay();
    for (passes, kind) in [
        (&["\u{16}\u{3}"][..], CarrierKind::Tls),
        (&["GET /tagio "], CarrierKind::WebSocket),
        (&["POST /tagio/stream", "GET /tagio/stream", "DELETE /tagio/stream"], CarrierKind::Http),
    ] {
        let middlebox = Middlebox::start(relay.relay.address, passes).await;
        let met = meet(&middlebox.address.to_string(), &ReachSettings::default()).await;
        assert_eq!((met.control, met.leg), (by(kind), by(kind)));
        println!("{kind}: {:?} until registered, {:?} until connected", met.registered, met.connected);
    }
}

fn through(proxy: &Proxy, user: &str, password: &str) -> ReachSettings {
    let (user, password) = (user.to_owned(), password.to_owned());
    let fixed = FixedProxy { address: proxy.address.to_string(), user, password };
    ReachSettings { proxy: ProxySetting::Fixed(fixed), ..ReachSettings::default() }
}

#[tokio::test]
async fn a_proxy_that_tunnels_or_only_forwards_is_enough() {
    let relay = start_relay();
    for (manners, kind) in [(Manners::Tunnels, CarrierKind::Tls), (Manners::Forwards, CarrierKind::Http)] {
        let proxy = Proxy::start(relay.relay.address, manners, Some(("Aladdin", "open sesame"))).await;
        let met = meet(RELAY_BEHIND_PROXY, &through(&proxy, "Aladdin", "open sesame")).await;
        let expected = Carrier::Stream { kind, proxied: true };
        assert_eq!((met.control, met.leg), (expected, expected), "{manners:?}");
        println!("{expected}: {:?} until registered, {:?} until connected", met.registered, met.connected);
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_says_so() {
    let relay = start_relay();
    let proxy = Proxy::start(relay.relay.address, Manners::Tunnels, Some(("Aladdin", "open sesame"))).await;
    for (user, password, was_expected) in [("", "", false), ("Aladdin", "sesame", true)] {
        let config = config(RELAY_BEHIND_PROXY, &through(&proxy, user, password), false);
        let mut relay = Relay::spawn(config, NetworkChanges::none());
        let event = timeout(LIMIT, relay.event()).await.expect("an answer").expect("a relay");
        let RelayEvent::Offline { error, .. } = event else { panic!("{event:?}") };
        let RelayError::ProxyLogin { was_given, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*was_given, was_expected);
        let sentence = error.to_string();
        assert!(sentence.contains("name and") && sentence.contains("HTTPS_PROXY"), "{sentence}");
        assert!(!sentence.contains("sesame") || password.is_empty(), "{sentence}");
    }
}

#[tokio::test]
async fn what_worked_is_tried_first_the_next_time() {
    let relay = start_relay();
    let middlebox = Middlebox::start(relay.relay.address, &["GET /tagio "]).await;
    let mut client = Client::register(&middlebox.address.to_string(), &ReachSettings::default(), false).await;
    assert_eq!(client.route.carrier(), by(CarrierKind::WebSocket));
    let seen = middlebox.openings().len();
    middlebox.break_all();
    client.register_again().await;
    assert_eq!(client.route.carrier(), by(CarrierKind::WebSocket));
    let openings = middlebox.openings().split_off(seen);
    assert!(openings[0].starts_with("GET /tagio "), "{openings:?}");
}

#[tokio::test]
async fn an_http_stream_outlives_its_connections() {
    let relay = start_relay();
    let middlebox = Middlebox::start(relay.relay.address, &["POST", "GET", "DELETE"]).await;
    let http = only(CarrierChoice::Http);
    let mut client = Client::register(&middlebox.address.to_string(), &http, false).await;
    middlebox.break_all();
    client.relay.look_up(client.id);
    let is_online = client
        .event(|event| match event {
            RelayEvent::Status { online } => Some(online),
            other => panic!("{other:?}"),
        })
        .await;
    assert!(!is_online, "a client that cannot be called");
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_known_at_once_and_asked_once() {
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let start = Instant::now();
    let config = config(&nobody.to_string(), &ReachSettings::default(), false);
    let mut relay = Relay::spawn(config, NetworkChanges::none());
    let mut next = async || timeout(LIMIT, relay.event()).await.expect("an answer").expect("a relay");
    let event = next().await;
    assert!(matches!(event, RelayEvent::Found(addr) if addr == nobody), "{event:?}");
    let event = next().await;
    assert!(matches!(event, RelayEvent::Offline { error: RelayError::Unreachable { .. }, .. }), "{event:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "no other carrier is waited for");
}
