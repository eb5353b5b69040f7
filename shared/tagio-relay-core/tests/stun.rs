//! STUN: what is answered, how long, and how often.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use stun_rs::{
    MessageClass, MessageDecoder, MessageEncoder, StunMessage, StunMessageBuilder,
    attributes::{
        discovery::{ChangeRequest, OtherAddress},
        stun::{Software, UnknownAttributes, XorMappedAddress},
    },
    methods::BINDING,
};
use tagio_relay_core::{Denial, Limits, StunServer, stun::other_address};

const ID: [u8; 12] = *b"a transactio";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn bytes(message: &StunMessage) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let len = MessageEncoder::default().encode(&mut bytes, message).unwrap();
    bytes.truncate(len);
    bytes
}

fn builder(class: MessageClass) -> StunMessageBuilder {
    StunMessageBuilder::new(BINDING, class).with_transaction_id(ID.into())
}

/// A request of 20 bytes, as most programs send it.
fn short() -> Vec<u8> {
    bytes(&builder(MessageClass::Request).build())
}

/// A request as long as the longest answer.
fn even() -> Vec<u8> {
    bytes(&builder(MessageClass::Request).with_attribute(Software::new("x".repeat(48)).unwrap()).build())
}

fn read(answer: &[u8]) -> StunMessage {
    MessageDecoder::default().decode(answer).unwrap().0
}

fn server() -> StunServer {
    StunServer::new(Limits::default())
}

#[test]
fn a_question_is_answered_with_where_it_came_from_and_where_to_ask_next() {
    for (from, other) in
        [("198.51.100.1:4000", "203.0.113.11:444"), ("[2001:db8::1]:4000", "[2001:db8::11]:444")]
    {
        for question in [short(), even()] {
            let answer = server().answer(addr(from), &question, Some(addr(other)), Instant::now()).unwrap();
            let message = read(&answer);
            assert_eq!(message.class(), MessageClass::SuccessResponse);
            assert_eq!(message.transaction_id().as_bytes(), &ID);
            let mapped = message.get::<XorMappedAddress>().unwrap().as_xor_mapped_address().unwrap();
            assert_eq!(*mapped.socket_address(), addr(from));
            let told = message.get::<OtherAddress>().unwrap().as_other_address().unwrap();
            assert_eq!(*told.socket_address(), addr(other));
            assert!(answer.len() <= even().len(), "{} bytes out for {} in", answer.len(), even().len());
        }
    }
}

#[test]
fn without_another_vantage_point_none_is_named() {
    let answer = server().answer(addr("198.51.100.1:4000"), &short(), None, Instant::now()).unwrap();
    assert!(read(&answer).get::<OtherAddress>().is_none());
    assert_eq!(answer.len(), 32);
}

#[test]
fn what_the_asker_insists_on_and_nobody_knows_is_an_error() {
    let question = bytes(&builder(MessageClass::Request).with_attribute(ChangeRequest::new(None)).build());
    let answer = server().answer(addr("198.51.100.1:4000"), &question, None, Instant::now()).unwrap();
    let message = read(&answer);
    assert_eq!(message.class(), MessageClass::ErrorResponse);
    let unknown = message.get::<UnknownAttributes>().unwrap().as_unknown_attributes().unwrap();
    assert_eq!(unknown.attributes(), [3], "CHANGE-REQUEST");
}

#[test]
fn a_question_full_of_unknown_attributes_gets_a_short_answer() {
    let mut question = short();
    for kind in 0x7000_u16..0x7100 {
        question.extend_from_slice(&kind.to_be_bytes());
        question.extend_from_slice(&[0, 0]);
    }
    let len = u16::try_from(question.len() - 20).unwrap();
    question[2..4].copy_from_slice(&len.to_be_bytes());
    let answer = server().answer(addr("198.51.100.1:4000"), &question, None, Instant::now()).unwrap();
    assert_eq!(read(&answer).class(), MessageClass::ErrorResponse);
    assert!(answer.len() < 64, "{}", answer.len());
}

#[test]
fn anything_else_is_not_answered() {
    let mut server = server();
    let mut refused = |message: &[u8]| {
        let answer = server.answer(addr("198.51.100.1:4000"), message, None, Instant::now());
        assert_eq!(answer, Err(Denial::BadStun), "{message:02x?}");
    };
    for class in [MessageClass::Indication, MessageClass::SuccessResponse, MessageClass::ErrorResponse] {
        refused(&bytes(&builder(class).build()));
    }
    let question = even();
    (0..question.len()).for_each(|end| refused(&question[..end]));
    refused(&[&question[..], &[0; 4]].concat());
    let mut no_cookie = short();
    no_cookie[4] ^= 1;
    refused(&no_cookie);
}

#[test]
fn bent_questions_do_no_harm() {
    let question = even();
    let mut server = server();
    for at in 0..question.len() {
        for bit in 0..8 {
            let mut bent = question.clone();
            bent[at] ^= 1 << bit;
            if let Ok(answer) = server.answer(addr("198.51.100.1:4000"), &bent, None, Instant::now()) {
                assert!(answer.len() <= bent.len());
            }
        }
    }
}

#[test]
fn each_address_gets_its_share_and_short_questions_a_smaller_one() {
    let limits = Limits { stun_burst: 4, stun_short_burst: 2, ..Limits::default() };
    let mut server = StunServer::new(limits.clone());
    let now = Instant::now();
    let mut ask = |from: &str, question: &[u8], now| server.answer(addr(from), question, None, now);
    for _ in 0..2 {
        ask("198.51.100.1:4000", &short(), now).unwrap();
    }
    assert_eq!(
        ask("198.51.100.1:4001", &short(), now),
        Err(Denial::StunShortRate),
        "another port is no other address"
    );
    for _ in 0..4 {
        ask("198.51.100.1:4000", &even(), now).unwrap();
    }
    assert_eq!(ask("198.51.100.1:4000", &even(), now), Err(Denial::StunRate));
    ask("198.51.100.2:4000", &short(), now).unwrap();
    let later = now + Duration::from_millis(limits.stun_short_interval_ms.into());
    ask("198.51.100.1:4000", &short(), later).unwrap();
    assert_eq!(ask("198.51.100.1:4000", &short(), later), Err(Denial::StunShortRate));
    ask("198.51.100.1:4000", &even(), later).unwrap();
}

#[test]
fn what_is_remembered_of_askers_is_bounded_and_forgotten() {
    let mut server = StunServer::new(Limits { rate_entries_max: 2, ..Limits::default() });
    let now = Instant::now();
    let mut ask = |server: &mut StunServer, from: &str, now| server.answer(addr(from), &even(), None, now);
    ask(&mut server, "198.51.100.1:1", now).unwrap();
    ask(&mut server, "198.51.100.2:1", now).unwrap();
    assert_eq!(ask(&mut server, "198.51.100.3:1", now), Err(Denial::StunRate));
    let later = now + Duration::from_secs(1);
    server.handle_timeout(later);
    ask(&mut server, "198.51.100.3:1", later).unwrap();
}

#[test]
fn the_other_address_has_another_port_and_where_possible_another_ip() {
    let open = [
        "203.0.113.10:443",
        "203.0.113.10:444",
        "203.0.113.11:443",
        "203.0.113.11:444",
        "10.0.0.5:443",
        "10.0.0.5:444",
    ]
    .map(addr);
    let other = |asked: &str, from: &str| other_address(addr(asked), addr(from), &open, None);
    let world = "198.51.100.1:4000";
    assert_eq!(other("203.0.113.10:443", world), Some(addr("203.0.113.11:444")));
    assert_eq!(other("203.0.113.11:444", world), Some(addr("203.0.113.10:443")));
    assert_eq!(
        other("10.0.0.5:443", "10.0.0.9:4000"),
        Some(addr("10.0.0.5:444")),
        "nothing else of its reach"
    );
    let one_port = [addr("203.0.113.10:443"), addr("203.0.113.11:443")];
    assert_eq!(other_address(one_port[0], addr(world), &one_port, None), None);
    assert_eq!(
        other_address(addr("0.0.0.0:443"), addr(world), &open, None),
        None,
        "nobody knows what was asked"
    );
}

#[test]
fn behind_a_nat_that_passes_ports_the_public_address_is_named() {
    let open = [addr("10.0.0.5:443"), addr("10.0.0.5:444"), addr("10.0.0.6:443"), addr("10.0.0.6:444")];
    let world = addr("198.51.100.1:4000");
    let public = "203.0.113.10".parse().unwrap();
    assert_eq!(other_address(open[0], world, &open, Some(public)), Some(addr("203.0.113.10:444")));
    assert_eq!(other_address(open[0], world, &open, None), Some(addr("10.0.0.5:444")), "the port at least");
}
