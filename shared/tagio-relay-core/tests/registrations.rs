//! Names of the length-prefixed protocol without a server: who has one, who may take it over, what is told.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tagio_relay_core::{
    Denial, Denials, Limits,
    registrations::{
        Found, Registered, Registrations,
        wire::{Answer, NAME_BYTES_MAX, Name},
    },
};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes().to_vec()).unwrap()
}

fn registrations(limits: Limits) -> (Registrations<&'static str>, Arc<Denials>) {
    let denials = Arc::new(Denials::default());
    (Registrations::new(limits, Arc::clone(&denials)), denials)
}

#[test]
fn the_bytes_are_those_of_the_page() {
    let (alice, v4, v6) = (name("alice"), addr("192.0.2.1:80"), addr("[2001:db8::1]:258"));
    assert_eq!(Answer::Registered(v4).bytes(), b"\0\0\0\0\0\0\0\x09192.0.2.1\0\x50");
    assert_eq!(Answer::Registered(v6).bytes(), b"\0\0\0\0\0\0\0\x0b2001:db8::1\x01\x02");
    assert_eq!(Answer::WrongSecret.bytes(), b"\0\0\0\x02");
    assert_eq!(Answer::Taken.bytes(), b"\0\0\0\x05");
    let wanted = Answer::Wanted { by: &alice, addr: v4 };
    assert_eq!(wanted.bytes(), b"\0\0\0\x01\0\0\0\x05alice\0\0\0\x09192.0.2.1\0\x50");
    let found = Answer::Found { name: &alice, addr: Some(v4) };
    assert_eq!(found.bytes(), b"\0\0\0\x04\0\0\0\x05alice\0\0\0\x09192.0.2.1\0\x50\x01");
    let unknown = Answer::Found { name: &alice, addr: None };
    assert_eq!(unknown.bytes(), b"\0\0\0\x04\0\0\0\x05alice\0");
}

#[test]
fn a_name_is_utf8_of_1_to_1000_bytes() {
    assert!(Name::new(Vec::new()).is_err() && Name::new(vec![0xff]).is_err());
    assert!(
        Name::new(vec![b'a'; NAME_BYTES_MAX]).is_ok() && Name::new(vec![b'a'; NAME_BYTES_MAX + 1]).is_err()
    );
    assert!(Name::fits(1) && Name::fits(1000));
    assert!(!Name::fits(0) && !Name::fits(1001) && !Name::fits(u32::MAX));
}

#[test]
fn both_sides_of_a_look_up_learn_of_it_and_nobody_else() {
    let (mut names, now) = (registrations(Limits::default()).0, Instant::now());
    let alice = names.register(name("alice"), addr("192.0.2.1:1"), "alice").unwrap();
    names.register(name("bob"), addr("192.0.2.2:2"), "bob").unwrap();
    let from = addr("192.0.2.1:1");
    let found = names.look_up(alice.id, from, &name("bob"), now);
    assert_eq!(found, Some(Found { addr: addr("192.0.2.2:2"), tell: Some("bob") }));
    assert_eq!(names.look_up(alice.id, from, &name("carol"), now), None);
    let myself = names.look_up(alice.id, from, &name("alice"), now);
    assert_eq!(myself, Some(Found { addr: from, tell: None }));
}

#[test]
fn a_name_stays_with_its_holder_unless_the_same_address_comes_again() {
    let (mut names, now) = (registrations(Limits::default()).0, Instant::now());
    let old = names.register(name("alice"), addr("192.0.2.1:1"), "old").unwrap();
    let stranger = names.register(name("alice"), addr("192.0.2.9:1"), "stranger");
    assert_eq!(stranger, Err(Denial::RegistrationTaken));
    let new = names.register(name("alice"), addr("192.0.2.1:2"), "new").unwrap();
    assert_eq!(new, Registered { id: new.id, replaced: Some("old") });
    names.leave(old.id, &name("alice"));
    let found = names.look_up(old.id, addr("192.0.2.9:1"), &name("alice"), now).unwrap();
    assert_eq!(found.addr, addr("192.0.2.1:2"), "the older connection's end takes nothing away");
    names.leave(new.id, &name("alice"));
    assert!(names.is_empty());
    assert!(names.register(name("alice"), addr("192.0.2.9:1"), "stranger").is_ok());
}

#[test]
fn names_and_look_ups_are_bounded() {
    let limits = Limits { registrations_max: 2, registration_lookup_burst: 2, ..Limits::default() };
    let ((mut names, denials), now) = (registrations(limits), Instant::now());
    let from = addr("192.0.2.1:1");
    let a = names.register(name("a"), from, "a").unwrap();
    names.register(name("b"), from, "b").unwrap();
    assert_eq!(names.register(name("c"), from, "c"), Err(Denial::RegistrationsFull));
    assert!(names.register(name("b"), from, "b again").is_ok(), "one that comes again needs no more room");
    for _ in 0..2 {
        assert!(names.look_up(a.id, from, &name("b"), now).is_some());
    }
    assert_eq!(names.look_up(a.id, from, &name("b"), now), None);
    assert_eq!(denials.of(Denial::RegistrationLookupRate), 1);
    assert!(names.look_up(a.id, from, &name("b"), now + Duration::from_secs(1)).is_some());
}
