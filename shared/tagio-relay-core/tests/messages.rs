//! TAGIO messages without a server: what is said, to whom it goes, what a stranger cannot do.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_relay_core::{
    Denial, Denials, Limits,
    messages::{
        Action, ClientId, ErrorCode, Messages, Quiet, Reply, SessionToken,
        message::{self, LEADING_BYTES_MAX, RegisterError, Request, find, msg_head, parse},
        stream::Stream,
    },
};

/// A relay whose mailboxes are just names.
struct World {
    messages: Messages<&'static str, StdRng>,
    denials: Arc<Denials>,
    now: Instant,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let denials = Arc::new(Denials::default());
        let rng = StdRng::seed_from_u64(7);
        Self { messages: Messages::new(limits, Arc::clone(&denials), rng), denials, now: Instant::now() }
    }

    /// A client that has been told its ID.
    fn join(&mut self, name: &'static str) -> ClientId {
        let id = self.messages.join(ip("192.0.2.1"), name, self.now).unwrap();
        let handled = self.messages.handle(id, b"TAGIO\0\0\0\x01PING", self.now).unwrap();
        assert_eq!((handled.ack, handled.then), (Some(Reply::Ack(id)), Action::Nothing));
        id
    }

    fn say<'m>(&mut self, id: ClientId, bytes: &'m [u8]) -> Action<'m, &'static str> {
        let handled = self.messages.handle(id, bytes, self.now).unwrap();
        assert_eq!(handled.ack, None);
        handled.then
    }
}

fn said(kind: &str, payload: &[u8]) -> Vec<u8> {
    [b"TAGIO\0\0\0\x01", kind.as_bytes(), payload].concat()
}

fn to(id: ClientId, payload: &[u8]) -> Vec<u8> {
    said("MSG", &[&id.number().to_le_bytes()[..], payload].concat())
}

fn error<'m>(code: ErrorCode) -> Action<'m, &'static str> {
    Action::Reply(Reply::Error(code))
}

#[test]
fn the_bytes_are_those_of_the_page() {
    let id = ClientId::new(0x0403_0201).unwrap();
    assert_eq!(Reply::Ack(id).bytes(), b"TAGIO\0\0\0\x01ACK\x01\x02\x03\x04");
    assert_eq!(Reply::Registered.bytes(), b"TAGIO\0\0\0\x01REGLACK");
    assert_eq!(Reply::NotRegistered(RegisterError::IdMismatch).bytes(), b"TAGIO\0\0\0\x01REGLERRID_MISMATCH");
    assert_eq!(Reply::Address(ip("192.0.2.1")).bytes(), b"TAGIO\0\0\0\x01CONN\x00\x09192.0.2.1");
    assert_eq!(Reply::Error(ErrorCode::QueueFull).bytes(), b"TAGIO\0\0\0\x01ERRQUEUE_FULL");
    assert_eq!(&msg_head(id), b"TAGIO\0\0\0\x01MSG\x01\x02\x03\x04");
    assert_eq!(parse(&to(id, b"hi")), Ok(Request::Message { to: Some(id), payload: b"hi" }));
    assert_eq!(parse(&said("CONN", &[1, 2, 3, 4])), Ok(Request::Address { of: Some(id) }));
    assert_eq!(parse(&said("MSG", &[0; 4])), Ok(Request::Message { to: None, payload: b"" }));
}

#[test]
fn what_is_no_message_is_told_apart() {
    for bytes in [&b""[..], b"TAGI", b"TAGIO", b"TAGIO\0\0", b"tagio\0\0\0\x01PING"] {
        assert_eq!(parse(bytes), Err(ErrorCode::BadMessage), "{bytes:?}");
    }
    for (kind, payload) in
        [("", &b""[..]), ("PIN", b""), ("MSG", b"\x01\x02\x03"), ("CONN", b"\x01\x02\x03\x04\x05")]
    {
        assert_eq!(parse(&said(kind, payload)), Err(ErrorCode::BadMessage), "{kind}");
    }
    // The version is these very bytes, not a number in either order.
    assert_eq!(parse(b"TAGIO\x01\0\0\0PING"), Err(ErrorCode::BadVersion));
}

#[test]
fn the_magic_may_stand_after_other_bytes_of_a_body_but_not_anywhere() {
    let ping = said("PING", b"");
    assert_eq!(find(&[b"data=", &ping[..]].concat()), Some(&ping[..]));
    assert_eq!(find(&[&vec![b'T'; LEADING_BYTES_MAX][..], &ping].concat()), Some(&ping[..]));
    assert_eq!(find(&[&vec![b'T'; LEADING_BYTES_MAX + 1][..], &ping].concat()), None);
    assert_eq!(find(b"TAGI"), None);
}

#[test]
fn a_message_arrives_with_the_senders_id_whatever_it_says() {
    let mut world = World::new();
    let (a, b) = (world.join("a"), world.join("b"));
    let forged = to(b, &to(a, b"from somebody else"));
    let Action::Deliver { to: mailbox, from, payload } = world.say(a, &forged) else {
        panic!("not delivered")
    };
    assert_eq!((mailbox, from), ("b", a));
    assert_eq!(payload, to(a, b"from somebody else"));
    assert_eq!(world.messages.delivered().messages, 1);
}

#[test]
fn the_first_message_is_answered_with_an_id_whatever_it_is() {
    let mut world = World::new();
    let b = world.join("b");
    for first in [said("REGL", b"REGISTER:5"), b"nonsense".to_vec(), to(b, b"hello")] {
        let id = world.messages.join(ip("192.0.2.1"), "a", world.now).unwrap();
        let handled = world.messages.handle(id, &first, world.now).unwrap();
        assert_eq!(handled.ack, Some(Reply::Ack(id)));
        assert_ne!(handled.then, Action::Nothing, "it is handled, too");
        assert_eq!(world.say(id, b"TAGIO\0\0\0\x01PING"), Action::Reply(Reply::Ack(id)), "the ID stays");
    }
}

#[test]
fn registering_confirms_the_own_id_only() {
    let mut world = World::new();
    let (a, b) = (world.join("a"), world.join("b"));
    let mut register = |text: &str| match world.say(a, &said("REGL", text.as_bytes())) {
        Action::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    assert_eq!(register(&format!("REGISTER:{}", a.number())), Reply::Registered);
    let not = Reply::NotRegistered;
    assert_eq!(register(&format!("REGISTER:{}", b.number())), not(RegisterError::IdMismatch));
    assert_eq!(register("REGISTER:+5"), not(RegisterError::InvalidId));
    assert_eq!(register("REGISTER:99999999999"), not(RegisterError::InvalidId));
    assert_eq!(register("REGISTER:0"), not(RegisterError::InvalidId));
    assert_eq!(register("REGISTER:"), not(RegisterError::MissingId));
    assert_eq!(register("12345"), not(RegisterError::MissingRegister));
    assert_eq!(register(""), not(RegisterError::MissingRegister));
    assert_eq!(register("REGISTER:\u{e9}"), not(RegisterError::InvalidFormat));
}

#[test]
fn an_address_is_told_to_whoever_knows_the_id() {
    let mut world = World::new();
    let a = world.join("a");
    let b = world.messages.join(ip("2001:db8::7"), "b", world.now).unwrap();
    let asked = said("CONN", &b.number().to_le_bytes());
    assert_eq!(world.say(a, &asked), Action::Reply(Reply::Address(ip("2001:db8::7"))));
    world.messages.leave(b);
    assert_eq!(world.say(a, &asked), error(ErrorCode::UnknownTarget));
}

#[test]
fn whoever_guesses_ids_soon_learns_nothing_more() {
    let mut world = World::with(Limits { tagio_miss_burst: 3, ..Limits::default() });
    let (a, b) = (world.join("a"), world.join("b"));
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..3 {
        let guess = ClientId::new(rng.random()).unwrap();
        assert_eq!(world.say(a, &to(guess, b"?")), error(ErrorCode::UnknownTarget));
    }
    assert_eq!(world.say(a, &to(b, b"?")), error(ErrorCode::RateLimited), "an ID in use looks like another");
    world.now += Duration::from_secs(1);
    assert!(matches!(world.say(a, &to(b, b"!")), Action::Deliver { .. }));
    assert_eq!(world.denials.of(Denial::TagioMissRate), 1);
}

#[test]
fn ids_are_spread_over_the_whole_range() {
    let mut world =
        World::with(Limits { tagio_client_burst: 2000, tagio_clients_per_ip_max: 2000, ..Limits::default() });
    let ids: BTreeSet<_> = (0..1000).map(|_| world.join("a").number()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(!ids.contains(&0));
    // A counter, or a space of four digits, leaves most sixteenths empty.
    let sixteenths: BTreeSet<_> = ids.iter().map(|id| id >> 28).collect();
    assert_eq!(sixteenths.len(), 16);
}

#[test]
fn clients_are_bounded_in_all_by_address_and_by_pace() {
    let limits = Limits {
        tagio_clients_max: 4,
        tagio_clients_per_ip_max: 2,
        tagio_client_burst: 3,
        ..Limits::default()
    };
    let mut world = World::with(limits);
    let now = world.now;
    let mut join = |text: &str| world.messages.join(ip(text), "x", now);
    let (first, second) = (join("192.0.2.1").unwrap(), join("192.0.2.1").unwrap());
    assert_eq!(join("192.0.2.1"), Err(Denial::TagioClientsPerIp));
    assert!(join("192.0.2.2").is_ok() && join("2001:db8::1").is_ok());
    assert_eq!(join("192.0.2.3"), Err(Denial::TagioClientsFull));
    world.messages.leave(first);
    world.messages.leave(first);
    world.messages.leave(second);
    assert_eq!(world.messages.len(), 2);
    let mut join = |text: &str| world.messages.join(ip(text), "x", now);
    assert!(join("192.0.2.1").is_ok());
    assert_eq!(join("192.0.2.1"), Err(Denial::TagioClientRate));
}

#[test]
fn a_session_is_found_by_its_token_only_and_ends_with_its_client() {
    let mut world = World::new();
    let a = world.join("a");
    let token = world.messages.open_session(a).unwrap();
    assert_eq!(world.messages.resume(token, ip("192.0.2.9"), world.now), Some((a, "a")));
    let mut other = token;
    other.0[15] ^= 1;
    assert_eq!(world.messages.resume(other, ip("192.0.2.9"), world.now), None);
    let newer = world.messages.open_session(a).unwrap();
    assert_eq!(world.messages.resume(token, ip("192.0.2.9"), world.now), None, "the older one is void");
    world.messages.leave(a);
    assert_eq!(world.messages.resume(newer, ip("192.0.2.9"), world.now), None);
    assert_eq!(world.messages.open_session(a), None);
    assert_eq!(format!("{:?}", SessionToken([7; 16])), "***");
}

#[test]
fn the_silent_are_asked_and_then_forgotten() {
    let mut world = World::with(Limits { tagio_silence_secs: 100, ..Limits::default() });
    let (a, b) = (world.join("a"), world.join("b"));
    world.now += Duration::from_secs(49);
    assert_eq!(world.messages.pop_quiet(world.now), None);
    world.messages.heard(b, world.now);
    world.now += Duration::from_secs(2);
    assert_eq!(world.messages.pop_quiet(world.now), Some(Quiet::Ask("a")));
    assert_eq!(world.messages.pop_quiet(world.now), None, "once");
    world.now += Duration::from_secs(50);
    let mut quiet: Vec<_> = std::iter::from_fn(|| world.messages.pop_quiet(world.now)).collect();
    quiet.sort_by_key(|quiet| format!("{quiet:?}"));
    assert_eq!(quiet, [Quiet::Ask("b"), Quiet::Gone("a")]);
    assert!(world.messages.handle(a, b"TAGIO\0\0\0\x01PING", world.now).is_none());
    world.messages.heard(b, world.now);
    world.now += Duration::from_secs(99);
    assert_eq!(world.messages.pop_quiet(world.now), Some(Quiet::Ask("b")), "it is asked again");
    assert_eq!(world.denials.of(Denial::Silent), 1);
}

#[test]
fn refusals_are_answered_and_counted() {
    let mut world = World::with(Limits { tagio_message_bytes_max: 64, ..Limits::default() });
    let a = world.join("a");
    assert_eq!(world.say(a, &to(a, &[0; 60])), error(ErrorCode::TooLarge));
    assert_eq!(world.say(a, b"TAGIO\0\0\0\x02PING"), error(ErrorCode::BadVersion));
    assert_eq!(world.say(a, b"PING"), error(ErrorCode::BadMessage));
    for denial in [Denial::TagioTooLarge, Denial::WrongVersion, Denial::TagioMalformed] {
        assert_eq!(world.denials.of(denial), 1, "{denial:?}");
    }
}

#[test]
fn a_stream_is_cut_at_headers_and_pauses() {
    let (ping, id) = (said("PING", b""), ClientId::new(9).unwrap());
    let (text, question) = (to(id, b"some text"), said("CONN", &[9, 0, 0, 0]));
    let whole = [&ping[..], &text, &ping, &question, &text].concat();
    // However the network cuts it.
    for step in [1, 3, 8, 13, whole.len()] {
        let mut stream = Stream::default();
        let mut messages = Vec::new();
        for bytes in whole.chunks(step) {
            stream.push(bytes);
            messages.extend(std::iter::from_fn(|| stream.take(false)));
        }
        assert_eq!(messages, [&ping[..], &text, &ping, &question], "{step}");
        assert_eq!(stream.len(), text.len());
        assert_eq!(stream.take(true), Some(text.clone()));
        assert!(stream.is_empty() && stream.take(true).is_none());
    }
}

#[test]
fn any_bytes_neither_panic_nor_are_delivered() {
    let mut world = World::new();
    let mut rng = StdRng::seed_from_u64(3);
    let a = world.join("a");
    let good = [to(a, b"x"), said("PING", b""), said("CONN", &[1; 4]), said("REGL", b"REGISTER:1")];
    for case in 0..20_000 {
        let mut bytes = good[case % good.len()].clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] = rng.random();
        bytes.truncate(rng.random_range(0..=bytes.len()));
        let is_whole = message::parse(&bytes).is_ok();
        let mut stream = Stream::default();
        stream.push(&bytes);
        let cut: Vec<_> = std::iter::from_fn(|| stream.take(true)).collect();
        assert_eq!(cut.concat(), bytes);
        if let Action::Deliver { from, .. } = world.say(a, &bytes) {
            assert!(is_whole && from == a);
        }
    }
}
