//! Port mappings by the real protocols, in a network of their own. Needs root; says so where it is skipped.
#![cfg(target_os = "linux")]

mod home;
mod igd;
mod miniupnpd;
mod port_control;
mod router;

use std::{net::Ipv4Addr, thread, time::Duration};

use home::{GATEWAY, HOST, Home, Mapped, PATIENCE};
use router::{Malice, Manners, Router};
use tagio_testkit::wait_until;
use tagio_transport::MappedBy;

/// Where the small router is in the Internet.
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const ANY_PORT: &[&str] = &["0.0.0.0:0"];

fn start(home: &Home, manners: Manners) -> (Router, Mapped) {
    let router = Router::start(&home.router_net, GATEWAY, manners);
    (router, home.map(ANY_PORT))
}

#[track_caller]
fn comes_up_and_is_given_back(manners: Manners, by: MappedBy) {
    let Some(home) = Home::new() else { return };
    let (router, mapped) = start(&home, manners);
    let port = mapped.port();
    mapped.wait((EXTERNAL, port).into(), by);
    let entry = router.state().entries[&port];
    assert_eq!(entry.internal, (HOST, port).into());
    let external = mapped.mapping.external();
    home.close(mapped);
    assert!(external.borrow().is_empty(), "nobody is told of it any more");
    assert!(router.state().entries.is_empty(), "the router has it back");
}

#[test]
fn pcp_maps_and_gives_back() {
    comes_up_and_is_given_back(Manners::pcp(), MappedBy::Pcp);
}

#[test]
fn nat_pmp_maps_and_gives_back() {
    comes_up_and_is_given_back(Manners::nat_pmp(), MappedBy::NatPmp);
}

#[test]
fn upnp_maps_and_gives_back() {
    comes_up_and_is_given_back(Manners::upnp(), MappedBy::Upnp);
}

#[test]
fn a_router_with_permanent_leases_only_gives_one() {
    comes_up_and_is_given_back(Manners { only_permanent: true, ..Manners::upnp() }, MappedBy::Upnp);
}

#[test]
fn short_leases_are_renewed_for_as_long_as_the_owner_lives() {
    let Some(home) = Home::new() else { return };
    for manners in [Manners::pcp(), Manners::nat_pmp()] {
        let (router, mapped) = start(&home, Manners { lifetime_secs: 2, ..manners });
        let port = mapped.port();
        let asked = || router.state().entries.get(&port).map_or(0, |entry| entry.asked);
        wait_until("four renewals", PATIENCE, || asked() >= 5);
        assert_eq!(mapped.external().len(), 1);
        drop(mapped);
        thread::sleep(Duration::from_millis(1500));
        let at_rest = asked();
        thread::sleep(Duration::from_secs(3));
        assert_eq!(asked(), at_rest, "the task has ended with its owner");
        assert_eq!(router.state().given_back, 0, "which said nothing to the router");
    }
}

#[test]
fn upnp_is_asked_again_on_demand() {
    let Some(home) = Home::new() else { return };
    let (router, mapped) = start(&home, Manners::upnp());
    let port = mapped.port();
    mapped.wait((EXTERNAL, port).into(), MappedBy::Upnp);
    router.state().entries.clear();
    mapped.mapping.look_again();
    wait_until("the mapping is back", PATIENCE, || router.state().entries.contains_key(&port));
    mapped.wait((EXTERNAL, port).into(), MappedBy::Upnp);
}

#[test]
fn a_port_that_somebody_else_has_leads_to_another() {
    let Some(home) = Home::new() else { return };
    let mapped_by = [
        (Manners::pcp(), MappedBy::Pcp),
        (Manners::nat_pmp(), MappedBy::NatPmp),
        (Manners::upnp(), MappedBy::Upnp),
        (Manners { any_port: true, ..Manners::upnp() }, MappedBy::Upnp),
        (Manners { only_permanent: true, ..Manners::upnp() }, MappedBy::Upnp),
    ];
    for (manners, by) in mapped_by {
        let router = Router::start(&home.router_net, GATEWAY, Manners::none());
        let mapped = home.map(ANY_PORT);
        let port = mapped.port();
        router.behave(Manners { taken: vec![port], ..manners.clone() });
        mapped.mapping.look_again();
        mapped.wait_until(&format!("another port by {by:?}"), |mapped| !mapped.is_empty());
        let [external] = mapped.external()[..] else { panic!("{:?}", mapped.external()) };
        assert!(external.by == by && external.external.ip() == EXTERNAL, "{external:?}");
        assert_ne!(external.external.port(), port, "{manners:?}");
        assert_eq!(router.state().entries[&external.external.port()].internal, (HOST, port).into());
        home.close(mapped);
        assert!(router.state().entries.is_empty(), "{manners:?}");
    }
}

#[test]
fn an_address_behind_another_nat_is_not_told() {
    let Some(home) = Home::new() else { return };
    for external in [[100, 64, 0, 9], [192, 168, 0, 9], [0, 0, 0, 0]] {
        for manners in [Manners::pcp(), Manners::nat_pmp(), Manners::upnp()] {
            let (router, mapped) = start(&home, Manners { external: external.into(), ..manners.clone() });
            wait_until("the router was asked", PATIENCE, || router.state().asked > 2);
            thread::sleep(Duration::from_secs(1));
            assert!(mapped.external().is_empty(), "{manners:?}: {:?}", mapped.external());
            assert!(router.state().entries.is_empty(), "and nothing stays behind: {manners:?}");
        }
    }
}

#[test]
fn a_router_that_means_harm_does_none() {
    let Some(home) = Home::new() else { return };
    let everything = Manners { pcp: true, nat_pmp: true, upnp: true, any_port: true, ..Manners::none() };
    let over_http = [Malice::Endless, Malice::EndlessDescription, Malice::DeepXml, Malice::Mute];
    let malices = [&[Malice::Noise, Malice::Short, Malice::PortZero], &over_http[..]].concat();
    for malice in malices {
        let base = match malice {
            Malice::PortZero => Manners::pcp(),
            _ if over_http.contains(&malice) => Manners::upnp(),
            _ => everything.clone(),
        };
        let (router, mapped) = start(&home, Manners { malice: Some(malice), ..base });
        wait_until("the router was asked", PATIENCE, || router.state().asked > 2);
        thread::sleep(Duration::from_secs(2));
        assert!(mapped.external().is_empty(), "{malice:?}: {:?}", mapped.external());
        router.behave(everything.clone());
        // The question that is under way has to come to its end first, by itself.
        let is_well = || {
            mapped.mapping.look_again();
            !mapped.external().is_empty()
        };
        wait_until(&format!("life goes on after {malice:?}"), PATIENCE, is_well);
    }
}

#[test]
fn another_local_address_gets_a_mapping_of_its_own() {
    let Some(home) = Home::new() else { return };
    let (router, mapped) = start(&home, Manners::pcp());
    let port = mapped.port();
    mapped.wait((EXTERNAL, port).into(), MappedBy::Pcp);
    let cable = "to-77-1";
    home.net.run(&["ip", "address", "flush", "dev", cable]).expect("an address can go");
    home.net.run(&["ip", "address", "add", "192.168.77.9/24", "dev", cable]).expect("and another come");
    home.net.run(&["ip", "route", "add", "default", "via", "192.168.77.1"]).expect("a way out");
    let internal = ([192, 168, 77, 9], port).into();
    let is_mapped = || router.state().entries.values().any(|entry| entry.internal == internal);
    wait_until("a mapping to the new address", PATIENCE, is_mapped);
    mapped.wait_until("its external address", |mapped| mapped.len() == 1);
}

#[test]
fn a_socket_on_loopback_asks_nobody() {
    let Some(home) = Home::new() else { return };
    let everything = Manners { pcp: true, nat_pmp: true, upnp: true, ..Manners::none() };
    let router = Router::start(&home.router_net, GATEWAY, everything);
    let mapped = home.map(&["127.0.0.1:0", "[::1]:0"]);
    thread::sleep(Duration::from_secs(2));
    assert!(mapped.external().is_empty());
    assert_eq!(router.state().asked, 0);
}

#[test]
fn without_a_router_nothing_happens_and_closing_is_quick() {
    let Some(home) = Home::new() else { return };
    let mapped = home.map(ANY_PORT);
    thread::sleep(Duration::from_secs(1));
    assert!(mapped.external().is_empty());
    home.close(mapped);
}
