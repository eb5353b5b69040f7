//! Who can be called, and on which connection.

mod common;

use std::time::Duration;

use common::{World, client, id};
use tagio_relay_core::{ConnId, Denial, Output};
use tagio_wire::control::{CallFailure, ClientMessage, RelayMessage};

fn is_online(world: &mut World, asker: ConnId, n: u8) -> bool {
    let lookup = ClientMessage::Lookup { request: 1, target: id(n) };
    match &world.say(asker, lookup)[..] {
        [Output::Send { message: RelayMessage::Status { online, .. }, .. }] => *online,
        other => panic!("{other:?}"),
    }
}

fn failure(world: &mut World, caller: ConnId, n: u8) -> CallFailure {
    match &world.say(caller, ClientMessage::Call { call: 99, target: id(n) })[..] {
        [Output::Send { message: RelayMessage::CallFailed { reason, .. }, .. }] => *reason,
        other => panic!("{other:?}"),
    }
}

fn replaced(conn: ConnId) -> Vec<Output> {
    vec![Output::Send { to: conn, message: RelayMessage::Replaced }, Output::Close { conn }]
}

#[test]
fn a_newer_connection_replaces_an_older_one() {
    let mut world = World::new();
    let old = world.join(1);
    assert_eq!(world.outputs(), []);
    world.join(1);
    assert_eq!(world.outputs(), replaced(old));
    let asker = world.join(2);
    world.relay.disconnect(old);
    assert!(is_online(&mut world, asker, 1), "the old one's end does not touch the new one");
}

#[test]
fn an_unproven_connection_replaces_nobody_before_it_speaks() {
    let mut world = World::new();
    let old = world.join(1);
    let new = world.join_as(1, false);
    assert_eq!(world.outputs(), []);
    let caller = world.join(2);
    let outputs = world.say(caller, ClientMessage::Call { call: 1, target: id(1) });
    let called: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { to, message: RelayMessage::Incoming { .. } } => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(called, [old, new], "until then both are called");
    assert_eq!(world.ping(new)[..2], replaced(old));
    assert_eq!(world.ping(new).len(), 1, "once only");
}

#[test]
fn an_older_connection_that_speaks_late_does_not_replace_a_newer_one() {
    let mut world = World::new();
    let old = world.join_as(1, false);
    let new = world.join(1);
    assert_eq!(world.ping(old)[..2], replaced(old));
    world.relay.disconnect(old);
    assert_eq!(world.ping(new).len(), 1);
}

#[test]
fn silence_ends_a_presence_and_pings_keep_it() {
    let mut world = World::new();
    let (silent, loud) = (world.join(1), world.join(2));
    for _ in 0..9 {
        world.wait(5);
        world.ping(loud);
    }
    assert!(!is_online(&mut world, loud, 1));
    assert!(is_online(&mut world, loud, 2));
    assert_eq!(world.denied(Denial::Silent), 1);
    assert_eq!(world.relay.presence().len(), 1);
    world.relay.disconnect(silent);
    world.wait(1000);
    assert!(world.outputs().contains(&Output::Close { conn: loud }));
    assert!(world.relay.presence().is_empty());
}

#[test]
fn a_client_without_presence_calls_and_cannot_be_called() {
    let mut world = World::new();
    let mut viewer = client(1);
    viewer.presence = false;
    let viewer = world.relay.connect(viewer, true, world.now);
    let host = world.join(2);
    assert!(!is_online(&mut world, host, 1));
    world.call(viewer, 1, 2);
}

#[test]
fn calls_are_limited_by_key_and_by_address() {
    let mut world = World::new();
    let (a, _) = (world.join(1), world.join(9));
    for call in 0..10 {
        world.call(a, call, 9);
        world.say(a, ClientMessage::EndCall { call });
    }
    assert_eq!(failure(&mut world, a, 9), CallFailure::RateLimited(3));
    world.wait(3);
    world.call(a, 11, 9);
    assert_eq!(world.denied(Denial::CallRate), 1);
}

#[test]
fn who_waits_for_a_host_may_keep_calling() {
    let mut world = World::new();
    let viewer = world.join(1);
    // What a viewer does whose host is away for 12 seconds.
    for _ in 0..17 {
        assert_eq!(failure(&mut world, viewer, 9), CallFailure::Offline);
        world.now += Duration::from_millis(700);
    }
    world.join(9);
    world.call(viewer, 18, 9);
    for denial in [Denial::CallRate, Denial::CallRatePerIp, Denial::MessageRate] {
        assert_eq!(world.denied(denial), 0, "{denial:?}");
    }
}

#[test]
fn a_draining_relay_spreads_its_clients_and_makes_no_calls() {
    let mut world = World::new();
    let conns: Vec<_> = (1..=50).map(|n| world.join(n)).collect();
    world.relay.drain();
    let mut times = Vec::new();
    for output in world.outputs() {
        let Output::Send { message: RelayMessage::Draining { reconnect_in_ms }, .. } = output else {
            panic!("{output:?}");
        };
        times.push(reconnect_in_ms);
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 40 && times[0] >= 200 && times[times.len() - 1] <= 3000, "{times:?}");
    let outputs = world.say(conns[0], ClientMessage::Call { call: 1, target: id(2) });
    assert!(matches!(
        outputs[..],
        [Output::Send { message: RelayMessage::CallFailed { reason: CallFailure::Full, .. }, .. }]
    ));
}
