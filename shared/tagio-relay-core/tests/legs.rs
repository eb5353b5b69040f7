//! Which packet goes where.

mod common;

use std::net::IpAddr;

use common::{World, client, home, id, peer};
use tagio_relay_core::{
    Client, Denial, Limits, Output, Route, SocketIndex, SourceNet, UdpPeer, relay::Verdict,
};
use tagio_wire::{
    control::{CallFailure, ClientMessage, RelayMessage},
    leg::{Datagram, LegGrant, LegToken},
};

#[test]
fn packets_go_to_the_other_end_and_nowhere_else() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    assert_eq!(world.data(peer(1), a), Verdict::Forward(Route::Udp(peer(2))));
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Udp(peer(1))));
    let other_socket = UdpPeer { socket: SocketIndex(1), ..peer(1) };
    for stranger in [peer(3), other_socket] {
        assert_eq!(world.data(stranger, a), Verdict::Drop);
    }
    assert_eq!(world.denied(Denial::LegWrongSource), 2);
    assert_eq!(world.relay.traffic().packets, 2);
}

#[test]
fn a_cookie_is_good_for_one_address_one_channel_and_some_minutes() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let ((a, _), (other, _)) = (world.call(caller, 1, 2), world.call(caller, 2, 2));
    let cookie = world.cookie(peer(1), a);
    let is_bound = |verdict| matches!(verdict, Verdict::Reply(Datagram::Bound { .. }));
    assert!(!is_bound(world.datagram(peer(2), &Datagram::Bind { grant: a, cookie })));
    assert!(!is_bound(world.datagram(peer(1), &Datagram::Bind { grant: other, cookie })));
    assert_eq!(world.denied(Denial::BadCookie), 2);
    assert!(is_bound(world.datagram(peer(1), &Datagram::Bind { grant: a, cookie })));

    let mut world = World::with(Limits { leg_unbound_secs: 10_000, ..Limits::default() });
    let (caller, _) = (world.join(1), world.join(2));
    let (a, _) = world.call(caller, 1, 2);
    let cookie = world.cookie(peer(1), a);
    world.wait(121);
    assert!(is_bound(world.datagram(peer(1), &Datagram::Bind { grant: a, cookie })), "the one before");
    world.wait(240);
    assert!(!is_bound(world.datagram(peer(1), &Datagram::Bind { grant: a, cookie })));
}

#[test]
fn only_who_has_shown_a_cookie_hears_that_there_is_no_such_leg() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, _) = world.call(caller, 1, 2);
    let guess = LegGrant { token: LegToken([0; 16]), ..a };
    let unknown = Verdict::Reply(Datagram::Unknown { channel: a.channel });
    let without = world.datagram(peer(1), &Datagram::Bind { grant: guess, cookie: [0; 16] });
    assert!(matches!(without, Verdict::Reply(Datagram::Challenge { .. })));
    assert_eq!(world.bind(peer(1), guess), unknown);
    assert_eq!(world.data(peer(1), a), Verdict::Drop);
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, _) = world.call(caller, 1, 2);
    let question = Datagram::Bind { grant: a, cookie: [0; 16] }.bytes().len();
    for verdict in [
        world.datagram(peer(1), &Datagram::Bind { grant: a, cookie: [0; 16] }),
        world.bind(peer(1), a),
        world.bind(peer(1), LegGrant { token: LegToken([0; 16]), ..a }),
    ] {
        let Verdict::Reply(answer) = verdict else { panic!("{verdict:?}") };
        assert!(answer.bytes().len() <= question);
    }
}

#[test]
fn an_end_moves_between_udp_and_tcp() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    let first = world.relay.bind_tcp(&a, world.now).unwrap();
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Tcp(first)));
    assert_eq!(world.data(peer(1), a), Verdict::Drop, "no longer its address");
    let second = world.relay.bind_tcp(&a, world.now).unwrap();
    assert_eq!(world.outputs(), [Output::CloseLeg { leg: first }]);
    world.relay.tcp_closed(first, a.channel);
    let to = world.relay.forward_tcp(second, a.channel, b"packet", world.now);
    assert_eq!(to, Some(Route::Udp(peer(2))), "the end of the first connection does not touch the second");
    assert_eq!(world.relay.forward_tcp(first, a.channel, b"packet", world.now), None);
    world.bind(peer(3), a);
    assert_eq!(world.outputs(), [], "late: the client has chosen TCP");
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Tcp(second)));
    world.relay.tcp_closed(second, a.channel);
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Udp(peer(3))), "its turn has come");
    world.bind(peer(1), a);
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Udp(peer(1))));
}

#[test]
fn a_client_that_chose_udp_has_it_when_its_connection_closes() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    let late = world.relay.bind_tcp(&a, world.now).unwrap();
    assert_eq!(
        world.bind(peer(1), a),
        Verdict::Drop,
        "neither bound nor unknown: it does not end what waits"
    );
    world.relay.tcp_closed(late, a.channel);
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Udp(peer(1))));
    assert_eq!(world.data(peer(1), a), Verdict::Forward(Route::Udp(peer(2))));
    // Only the connection that has the end gives it back.
    let only = world.relay.bind_tcp(&a, world.now).unwrap();
    let next = world.relay.bind_tcp(&a, world.now).unwrap();
    world.relay.tcp_closed(only, a.channel);
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Tcp(next)));
}

#[test]
fn legs_go_when_unbound_or_idle_and_stay_while_used() {
    let mut world = World::with(Limits { keepalive_secs: 10_000, ..Limits::default() });
    let (caller, _) = (world.join(1), world.join(2));
    let ((a, b), (half, _)) = (world.call(caller, 1, 2), world.call(caller, 2, 2));
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    for _ in 0..29 {
        world.wait(1);
        world.bind(peer(3), half);
    }
    assert_eq!(world.relay.legs().len(), 2);
    world.wait(1);
    assert_eq!(world.relay.legs().len(), 1, "one end alone keeps no leg, however often it binds");
    for _ in 0..10 {
        world.wait(50);
        assert_eq!(world.data(peer(1), a), Verdict::Forward(Route::Udp(peer(2))));
    }
    let tcp = world.relay.bind_tcp(&b, world.now).unwrap();
    world.wait(89);
    assert_eq!(world.relay.legs().len(), 1);
    world.wait(1);
    assert!(world.relay.legs().is_empty());
    assert_eq!(world.outputs(), [Output::CloseLeg { leg: tcp }]);
}

#[test]
fn legs_are_limited_for_caller_target_and_relay() {
    let limits = Limits { legs_per_caller_max: 2, legs_per_target_max: 3, legs_max: 4, ..Limits::default() };
    let mut world = World::with(limits);
    let conns: Vec<_> = (1..=4).map(|n| world.join(n)).collect();
    let refused = |world: &mut World, conn, target| {
        let outputs = world.say(conn, ClientMessage::Call { call: 99, target: id(target) });
        matches!(
            outputs[..],
            [Output::Send { message: RelayMessage::CallFailed { reason: CallFailure::Full, .. }, .. }]
        )
    };
    world.call(conns[0], 1, 4);
    world.call(conns[0], 2, 4);
    assert!(refused(&mut world, conns[0], 3));
    assert_eq!(world.denied(Denial::LegsPerCaller), 1);
    world.call(conns[1], 1, 4);
    assert!(refused(&mut world, conns[1], 4));
    assert_eq!(world.denied(Denial::LegsPerTarget), 1);
    world.call(conns[2], 1, 1);
    assert!(refused(&mut world, conns[3], 1));
    assert_eq!(world.denied(Denial::LegsFull), 1);
    world.say(conns[0], ClientMessage::EndCall { call: 1 });
    world.call(conns[1], 2, 4);
}

#[test]
fn strangers_of_one_network_cannot_fill_a_host() {
    let mut world = World::new();
    let host = world.join(99);
    let mut keys = Vec::new();
    for n in 1..=4 {
        let caller = world.join(n);
        keys.push(caller);
        for call in 0..2 {
            world.call(caller, call, 99);
        }
    }
    let refused = |world: &mut World, caller, call| {
        let outputs = world.say(caller, ClientMessage::Call { call, target: id(99) });
        matches!(
            outputs[..],
            [Output::Send { message: RelayMessage::CallFailed { reason: CallFailure::Full, .. }, .. }]
        )
    };
    assert!(keys.iter().all(|caller| refused(&mut world, *caller, 2)), "also with another key");
    assert_eq!(world.denied(Denial::UnmetLegsPerNet), 4);
    world.join(98);
    world.call(keys[0], 3, 98);
    let elsewhere = SourceNet::from(IpAddr::from([192, 0, 3, 1]));
    let elsewhere = world.relay.connect(Client { net: elsewhere, ..client(50) }, true, world.now);
    let (a, b) = world.call(elsewhere, 1, 99);
    // Those that meet, end or expire give their places back.
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    world.say(keys[0], ClientMessage::EndCall { call: 0 });
    let (a, b) = world.call(keys[0], 4, 99);
    assert!(refused(&mut world, keys[0], 5));
    world.bind(peer(3), a);
    world.bind(peer(4), b);
    world.call(keys[0], 6, 99);
    assert!(refused(&mut world, keys[1], 7));
    world.say(keys[0], ClientMessage::EndCall { call: 4 });
    assert!(refused(&mut world, keys[1], 8), "one that had met has given its place back before");
    world.wait(30);
    world.ping(host);
    assert_eq!(world.relay.legs().len(), 1);
    for call in 10..18 {
        world.call(keys[call as usize % 4], call, 99);
    }
    assert!(refused(&mut world, keys[0], 20));
}

#[test]
fn a_network_is_a_neighbourhood() {
    let net = |text: &str| SourceNet::from(text.parse::<IpAddr>().unwrap()).neighbourhood();
    assert_eq!(net("192.0.2.1"), net("::ffff:192.0.2.255"));
    assert_ne!(net("192.0.2.1"), net("192.0.3.1"));
    assert_eq!(net("2001:db8:0:1200::1"), net("2001:db8:0:12ff::2"));
    assert_ne!(net("2001:db8:0:1200::1"), net("2001:db8:0:1300::1"));
}

#[test]
fn first_packets_wait_for_the_other_end() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let ((a, b), (c, d)) = (world.call(caller, 1, 2), world.call(caller, 2, 2));
    let data = |packet: &'static [u8], grant: LegGrant| Datagram::Data { channel: grant.channel, packet };
    let handed = |to, grant: LegGrant, packet: &[u8]| Output::Packet {
        to,
        channel: grant.channel,
        packet: packet.into(),
    };
    // By UDP: too long, two that are kept, one too many.
    world.bind(peer(1), a);
    for packet in [&[1; 1501][..], &[2; 1500], b"second", b"third"] {
        let datagram = Datagram::Data { channel: a.channel, packet };
        assert_eq!(world.datagram(peer(1), &datagram), Verdict::Drop);
    }
    assert_eq!(world.datagram(peer(9), &data(b"of a stranger", a)), Verdict::Drop);
    assert_eq!(world.denied(Denial::LegUnbound), 2);
    assert_eq!(world.denied(Denial::LegWrongSource), 1);
    world.bind(peer(1), a);
    assert_eq!(world.outputs(), [], "its own end coming again does not hand them out");
    assert_eq!((world.relay.traffic().held, world.relay.traffic().packets), (2, 0));
    world.bind(peer(2), b);
    let to = Route::Udp(peer(2));
    assert_eq!(world.outputs(), [handed(to, b, &[2; 1500]), handed(to, b, b"second")]);
    assert_eq!((world.relay.traffic().packets, world.relay.traffic().bytes), (2, 1506));
    world.bind(peer(2), b);
    assert_eq!(world.outputs(), [], "once only");
    // By TCP.
    let first = world.relay.bind_tcp(&c, world.now).unwrap();
    assert_eq!(world.relay.forward_tcp(first, c.channel, b"packet", world.now), None);
    let second = world.relay.bind_tcp(&d, world.now).unwrap();
    assert_eq!(world.outputs(), [handed(Route::Tcp(second), d, b"packet")]);
    // An end that is lost later is not waited for.
    world.relay.tcp_closed(second, d.channel);
    assert_eq!(world.relay.forward_tcp(first, c.channel, b"packet", world.now), None);
    assert_eq!(world.denied(Denial::LegUnbound), 3);
    world.relay.bind_tcp(&d, world.now).unwrap();
    assert_eq!(world.outputs(), []);
}

#[test]
fn first_packets_do_not_wait_for_the_cookie_of_who_is_at_home() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    let packets = [b"first", b"other", b"third"];
    let send = |world: &mut World, from| {
        packets.map(|packet| world.datagram(from, &Datagram::Data { channel: a.channel, packet }))
    };
    world.cookie(home(1), a);
    world.cookie(home(2), b);
    let to = Verdict::Forward(Route::Udp(home(2)));
    let verdicts = send(&mut world, home(1));
    assert_eq!((&verdicts[0], &verdicts[1]), (&to, &to));
    assert_eq!(verdicts[2], Verdict::Drop, "without a cookie no more than the first flight");
    world.cookie(home(2), b);
    assert_eq!(world.outputs(), [], "nor by asking again");
    world.bind(home(2), b);
    let third = Output::Packet { to: Route::Udp(home(2)), channel: b.channel, packet: packets[2][..].into() };
    assert_eq!(world.outputs(), [third], "what came later was kept");
    assert_eq!(world.data(home(2), b), Verdict::Forward(Route::Udp(home(1))), "the caller's end has begun");
    world.bind(home(1), a);
    assert_eq!(send(&mut world, home(1))[2], to);
}

#[test]
fn who_is_elsewhere_or_has_another_token_waits_for_the_cookie() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    let guess = LegGrant { token: LegToken([0; 16]), ..b };
    world.cookie(home(1), a);
    for (from, grant) in [(peer(1), b), (home(1), b), (home(3), b), (home(2), a), (home(2), guess)] {
        world.cookie(from, grant);
        assert_eq!(world.data(home(1), a), Verdict::Drop, "{from:?}");
        assert_eq!(world.outputs(), []);
    }
    // What was kept meanwhile, once it comes home; then no more.
    world.cookie(home(2), b);
    assert_eq!(world.outputs().len(), 2);
    assert_eq!(world.data(home(1), a), Verdict::Drop);
    // A call whose caller has gone begins nothing.
    let (a, b) = world.call(caller, 2, 2);
    world.relay.disconnect(caller);
    world.bind(peer(2), b);
    world.cookie(home(1), a);
    assert_eq!(world.data(home(1), a), Verdict::Drop);
}

#[test]
fn packets_that_wait_in_vain_go_with_their_leg() {
    let mut world = World::with(Limits { keepalive_secs: 10_000, ..Limits::default() });
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    for _ in 0..29 {
        world.wait(1);
        world.bind(peer(1), a);
        world.data(peer(1), a);
        world.cookie(home(2), b);
        world.data(home(2), b);
    }
    world.outputs();
    assert_eq!(world.relay.legs().len(), 1);
    world.wait(1);
    assert!(world.relay.legs().is_empty(), "they keep no leg alive");
    world.bind(peer(2), b);
    assert_eq!(world.outputs(), []);
}

#[test]
fn a_call_number_used_again_ends_the_call_before() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    world.call(caller, 1, 2);
    let (_, _) = world.call(caller, 1, 2);
    assert_eq!(world.relay.legs().len(), 1);
    world.say(caller, ClientMessage::EndCall { call: 1 });
    assert!(world.relay.legs().is_empty());
}

#[test]
fn a_leg_outlives_the_callers_control_connection() {
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    world.relay.disconnect(caller);
    assert_eq!(world.data(peer(2), b), Verdict::Forward(Route::Udp(peer(1))));
}

#[test]
fn every_bad_datagram_is_counted_by_its_kind() {
    let mut world = World::new();
    let cases: [(&[u8], Denial); 6] = [
        (&[], Denial::MalformedUdp),
        (&[64, 1, 2], Denial::ForeignUdp),
        (&[0, 1, 0, 0], Denial::ForeignUdp),
        (&[4, 1, 2], Denial::MalformedUdp),
        (&[9, 0, 0, 0, 1], Denial::UnexpectedUdp),
        (&[7; 2054], Denial::Oversized),
    ];
    for (bytes, denial) in cases {
        let before = world.denied(denial);
        assert_eq!(world.relay.handle_datagram(peer(1), bytes, world.now), Verdict::Drop);
        assert_eq!(world.denied(denial), before + 1, "{bytes:?}");
    }
}
