//! The length-prefixed protocol with real connections, from several addresses of this machine.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{
    Relay,
    carriers::tls,
    messages::{Registrant, WsClient, lp},
    secret,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Linux takes the whole of 127.0.0.0/8 for this machine.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

#[tokio::test]
async fn two_clients_find_each_other_and_nobody_else_hears_of_it() {
    let relay = Relay::start().await;
    let mut alice = Registrant::register(relay.addr, HERE, "alice").await;
    let mut bob = Registrant::register(relay.addr, ELSEWHERE, "bob").await;
    let mut carol = Registrant::register(relay.addr, HERE, "carol").await;
    alice.look_up("bob").await;
    assert_eq!(alice.found("bob").await, bob.stream.local_addr().unwrap());
    assert_eq!(bob.wanted().await, ("alice".to_owned(), alice.stream.local_addr().unwrap()));
    bob.look_up("dave").await;
    bob.not_found("dave").await;
    // The next thing that Carol hears is the answer to her own question.
    carol.look_up("alice").await;
    assert_eq!(carol.found("alice").await, alice.stream.local_addr().unwrap());
    drop(alice);
    relay.wait_metric_is("tagio_relay_registrations", 2).await;
    bob.look_up("alice").await;
    bob.not_found("alice").await;
}

#[tokio::test]
async fn a_secret_is_asked_for_where_there_is_one() {
    let relay = Relay::start_with(|config| config.auth = secret("open sesame")).await;
    let mut wrong = Registrant::open(relay.addr, HERE, "alice", &lp(b"close sesame")).await;
    assert_eq!(wrong.number().await, 2);
    assert!(wrong.is_closed().await);
    let mut right = Registrant::open(relay.addr, HERE, "alice", &lp(b"open sesame")).await;
    assert_eq!(right.number().await, 0);
    relay.wait_denied("wrong_secret", 1).await;
    let mut long = Registrant::open(relay.addr, HERE, "bob", &u32::MAX.to_be_bytes()).await;
    assert!(long.is_closed().await);
    relay.wait_denied("registration_malformed", 1).await;
}

#[tokio::test]
async fn a_name_is_its_holders_unless_the_same_address_comes_again() {
    let relay = Relay::start().await;
    let mut first = Registrant::register(relay.addr, HERE, "alice").await;
    let mut thief = Registrant::open(relay.addr, ELSEWHERE, "alice", b"").await;
    assert_eq!(thief.number().await, 5);
    assert!(thief.is_closed().await);
    relay.wait_denied("registration_taken", 1).await;
    let second = Registrant::register(relay.addr, HERE, "alice").await;
    assert!(first.is_closed().await, "the older connection is let go");
    let mut bob = Registrant::register(relay.addr, ELSEWHERE, "bob").await;
    bob.look_up("alice").await;
    assert_eq!(bob.found("alice").await, second.stream.local_addr().unwrap());
}

#[tokio::test]
async fn a_name_is_no_id_of_another_protocol() {
    let relay = Relay::start().await;
    let client = WsClient::connect(relay.addr).await;
    let mut registrant = Registrant::register(relay.addr, HERE, "alice").await;
    registrant.look_up(&client.id.to_string()).await;
    registrant.not_found(&client.id.to_string()).await;
    let own = relay.metric("tagio_relay_callable").await;
    assert_eq!(own, 0, "nor does it make anybody callable");
}

#[tokio::test]
async fn it_goes_inside_tls_too_and_byte_by_byte() {
    let relay = Relay::start().await;
    let mut stream = tls(relay.addr).await.unwrap();
    for byte in lp(b"slow") {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0; 4]);
}
