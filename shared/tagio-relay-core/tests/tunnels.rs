//! Who may have which route, who gets a visitor, and what a ClientHello says.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::net::{IpAddr, Ipv4Addr};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_relay_core::{
    Denial, Limits, SourceNet,
    tunnel::{
        Access, BadNetwork, Claim, ClaimError, HostName, Naming, Owner, Quota, Route, TokenId, TunnelBook,
        sni::{ServerName, server_name},
    },
};
use tagio_wire::tunnel::{Manners, Place, TunnelRefusal, TunnelSecret};

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

fn book(change: impl FnOnce(&mut Limits)) -> TunnelBook {
    let mut limits = Limits::default();
    change(&mut limits);
    let naming = Naming { domain: Some(name("t.test")), ports: Some(20_000..=20_001), own_domains: false };
    TunnelBook::new(limits, naming)
}

fn claim(owner: u64, run: u8) -> Claim {
    Claim {
        owner: Owner::Token(TokenId(owner)),
        quota: Quota::default(),
        run: Some(TunnelSecret([run; 32]).into()),
        net: SourceNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        route: Route::Name(name("app.t.test")),
    }
}

#[test]
fn names_are_names() {
    for right in ["app", "APP.t.test.", "xn--bcher-kva.example", "1.2.3.4", &"a".repeat(63)] {
        assert!(HostName::parse(right).is_some(), "{right}");
    }
    for wrong in ["", ".", "a..b", "-a", "a-", "a_b", "a b", "[::1]", "ä", &"a".repeat(64), &"a.".repeat(128)]
    {
        assert!(HostName::parse(wrong).is_none(), "{wrong}");
    }
    assert_eq!(HostName::parse_authority("App.T.test:8081"), Some(name("app.t.test")));
    assert_eq!(HostName::parse_authority("app.t.test:http"), None);
}

#[test]
fn a_wish_becomes_a_route_or_a_refusal() {
    let book = book(|_| {});
    let mut rng = StdRng::seed_from_u64(1);
    let mut route = |place| book.route(&place, &mut rng);
    let named = |text: &str| Place::Name(text.to_owned());
    assert_eq!(route(named("App")), Ok(Route::Name(name("app.t.test"))));
    assert_eq!(route(named("app.t.test")), Ok(Route::Name(name("app.t.test"))));
    assert_eq!(route(named("a.b.t.test")), Err(TunnelRefusal::NameNotAllowed));
    assert_eq!(route(named("t.test")), Err(TunnelRefusal::NameNotAllowed));
    assert_eq!(route(named("shop.example")), Err(TunnelRefusal::NameNotAllowed));
    assert_eq!(route(named("a b")), Err(TunnelRefusal::BadName));
    assert_eq!(route(Place::TcpPort(20_001)), Ok(Route::TcpPort(20_001)));
    assert_eq!(route(Place::TcpPort(22)), Err(TunnelRefusal::PortNotAllowed));
    let (one, two) = (route(Place::Any).unwrap(), route(Place::Any).unwrap());
    assert_ne!(one, two);
    assert!(matches!(one, Route::Name(name) if name.is_under(&self::name("t.test"))));
    let plain = TunnelBook::new(Limits::default(), Naming::default());
    assert_eq!(plain.route(&Place::Any, &mut rng), Ok(Route::Ingress));
    assert_eq!(plain.route(&named("app"), &mut rng), Err(TunnelRefusal::NameNotAllowed));
    assert_eq!(plain.route(&Place::TcpPort(0), &mut rng), Err(TunnelRefusal::PortNotAllowed));
}

#[test]
fn a_route_is_its_owners_until_the_holder_gives_no_sign_of_life() {
    let mut book = book(|_| {});
    let first = book.claim(claim(0, 1)).unwrap().session;
    assert_eq!(book.claim(claim(1, 2)), Err(ClaimError::Contested(vec![first])));
    book.doubt(first);
    book.heard(first);
    assert_eq!(book.claim(claim(1, 2)), Err(ClaimError::Contested(vec![first])));
    book.doubt(first);
    let second = book.claim(claim(1, 2)).unwrap();
    assert_eq!(second.replaced, [first]);
    assert_eq!(book.choose(&claim(1, 2).route), Some(second.session));
    // The same run comes back before its old connection was found dead.
    assert_eq!(book.claim(claim(1, 2)).unwrap().replaced, [second.session]);
    assert_eq!(book.counts(), (1, 0));
}

#[test]
fn visitors_go_to_the_best_and_then_to_the_idlest() {
    let mut book = book(|_| {});
    let route = claim(0, 1).route;
    let sessions: Vec<_> = (1..=3).map(|run| book.claim(claim(0, run)).unwrap().session).collect();
    let visit = |book: &mut TunnelBook| {
        let chosen = book.choose(&route).unwrap();
        book.begin_visit(chosen).unwrap();
        chosen
    };
    let mut first: Vec<_> = (0..3).map(|_| visit(&mut book)).collect();
    first.sort();
    assert_eq!(first, sessions, "each gets one");
    book.end_visit(sessions[1]);
    assert_eq!(visit(&mut book), sessions[1]);
    book.set_health(sessions[1], false);
    book.doubt(sessions[2]);
    assert_eq!([visit(&mut book), visit(&mut book)], [sessions[0]; 2]);
    book.leave(sessions[0]);
    assert_eq!(visit(&mut book), sessions[2], "doubted is better than unhealthy");
    book.release(sessions[2]);
    assert_eq!(visit(&mut book), sessions[1], "and that better than nobody");
    book.leave(sessions[1]);
    assert_eq!(book.choose(&route), None);
    sessions.iter().for_each(|id| book.release(*id));
    assert_eq!(book.counts(), (0, 0));
}

#[test]
fn limits_are_reached_and_not_passed() {
    let mut book = book(|limits| {
        limits.tunnels_max = 3;
        limits.tunnels_per_client_max = 2;
        limits.tunnel_visits_max = 3;
        limits.tunnel_visits_per_client_max = 2;
    });
    let first = book.claim(claim(0, 1)).unwrap().session;
    let second = book.claim(claim(0, 2)).unwrap().session;
    assert_eq!(book.claim(claim(0, 3)), Err(ClaimError::Denied(Denial::TunnelsPerClient)));
    let other = |owner| Claim { route: Route::Name(name(&format!("other{owner}"))), ..claim(owner, 9) };
    book.claim(other(1)).unwrap();
    assert_eq!(book.claim(other(2)), Err(ClaimError::Denied(Denial::TunnelsFull)));
    // A successor needs no room.
    assert_eq!(book.claim(claim(0, 2)).unwrap().replaced, [second]);
    assert!(book.begin_visit(first).is_ok() && book.begin_visit(first).is_ok());
    assert_eq!(book.begin_visit(first), Err(Denial::TunnelVisitsPerClient));
    let third = book.choose(&other(1).route).unwrap();
    assert!(book.begin_visit(third).is_ok());
    assert_eq!(book.begin_visit(third), Err(Denial::TunnelVisitsFull));
    book.release(first);
    // Its visits end later than it.
    book.end_visit(first);
    assert!(book.begin_visit(third).is_ok());
}

#[test]
fn networks_and_passwords_are_read_as_meant() {
    let lists = |entries: &[&str]| {
        let allow = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Access::new(&Manners { allow, ..Manners::default() })
    };
    let access = lists(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]).unwrap();
    for (ip, allowed) in [
        ("192.0.2.200", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.3.1", false),
        ("2001:db8:9::1", true),
        ("2001:db9::1", false),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
    ] {
        assert_eq!(access.allows(ip.parse().unwrap()), allowed, "{ip}");
    }
    assert!(lists(&[]).unwrap().allows("192.0.2.1".parse().unwrap()));
    assert_eq!(lists(&["home"]).unwrap_err(), BadNetwork);
    assert_eq!(lists(&["192.0.2.1"; 65]).unwrap_err(), BadNetwork);
}

#[test]
fn any_bytes_are_a_client_hello_or_not() {
    let mut rng = StdRng::seed_from_u64(7);
    let hello: Vec<u8> = hello("app.t.test");
    assert_eq!(server_name(&hello), ServerName::Named(name("app.t.test")));
    for len in 0..hello.len() {
        assert_eq!(server_name(&hello[..len]), ServerName::Undecided, "{len}");
    }
    for _ in 0..20_000 {
        let mut bent = hello.clone();
        let at = rng.random_range(0..bent.len());
        bent[at] = rng.random();
        server_name(&bent);
        server_name(&bent[..at]);
    }
    assert_eq!(server_name(b"GET / HTTP/1.1"), ServerName::NotTls);
    // The name is cut into records of one byte, as some clients do to be left alone.
    let records: Vec<u8> = hello[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    assert_eq!(server_name(&records), ServerName::Named(name("app.t.test")));
}

/// The smallest ClientHello with a name.
fn hello(name: &str) -> Vec<u8> {
    let list16 = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let server_name = list16(&[&[0][..], &list16(name.as_bytes())].concat());
    let extensions = list16(&[&[0, 0][..], &list16(&server_name)].concat());
    let hello = [&[3, 3][..], &[7; 32], &[0], &list16(&[0x13, 0x01]), &[1, 0], &extensions].concat();
    let len = u32::try_from(hello.len()).unwrap().to_be_bytes();
    [&[22, 3, 1][..], &list16(&[&[1][..], &len[1..], &hello].concat())].concat()
}
