//! A POP's book: who is chosen, who takes whose place, where it says no.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tagio_relay_core::{
    Denial, Limits, SourceNet,
    edge::{Direction, EdgeBook, LinkId, NodeId, UserName},
};

fn net(last: u8) -> SourceNet {
    SourceNet::from(IpAddr::from([192, 0, 2, last]))
}

fn node(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn book(change: impl FnOnce(&mut Limits)) -> EdgeBook {
    let mut limits = Limits::default();
    change(&mut limits);
    EdgeBook::new(limits)
}

#[test]
fn a_session_stays_with_its_node_until_that_is_gone() {
    let (mut book, now) = (book(|_| {}), Instant::now());
    assert_eq!(book.choose(&user("anna"), net(1), now).unwrap_err(), Denial::EdgeNoNode);
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    let first = book.choose(&user("anna-session-x"), net(1), now).unwrap();
    book.join(node("b"), LinkId(2), net(2)).unwrap();
    let other = book.choose(&user("anna-session-y"), net(1), now).unwrap();
    assert_eq!((first.link, other.link), (LinkId(1), LinkId(2)), "the one with fewer sessions");
    for address in [1, 2, 3] {
        let again = book.choose(&user("anna-session-x"), net(address), now).unwrap();
        assert_eq!(again.link, LinkId(1));
    }
    book.leave(&node("a"), LinkId(1));
    assert_eq!(book.choose(&user("anna-session-x"), net(1), now).unwrap().link, LinkId(2));
    book.join(node("a"), LinkId(3), net(1)).unwrap();
    assert_eq!(book.choose(&user("anna-session-x"), net(1), now).unwrap().link, LinkId(2), "where it is now");
}

#[test]
fn without_a_name_what_comes_from_one_address_stays_together_for_a_while() {
    let (mut book, now) = (book(|limits| limits.edge_sticky_secs = 10), Instant::now());
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    book.join(node("b"), LinkId(2), net(2)).unwrap();
    let first = book.choose(&user("anna"), net(1), now).unwrap();
    assert_eq!(book.choose(&user("anna"), net(1), now).unwrap().link, first.link);
    assert_ne!(book.choose(&user("anna"), net(9), now).unwrap().link, first.link);
    assert_ne!(book.choose(&user("bert"), net(2), now + Duration::from_secs(1)).unwrap().link, first.link);
    book.handle_timeout(now + Duration::from_secs(11));
    // Two sessions each: the first by name.
    assert_eq!(book.choose(&user("anna"), net(9), now).unwrap().link, LinkId(1));
}

#[test]
fn a_name_chooses_its_node_or_nothing() {
    let (mut book, now) = (book(|_| {}), Instant::now());
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    book.join(node("b"), LinkId(2), net(2)).unwrap();
    for _ in 0..3 {
        assert_eq!(book.choose(&user("anna-node-b"), net(1), now).unwrap().link, LinkId(2));
    }
    assert_eq!(book.choose(&user("anna-node-c"), net(1), now).unwrap_err(), Denial::EdgeNoNode);
}

#[test]
fn a_session_whose_node_is_full_moves_unless_its_name_forbids() {
    let (mut book, now) = (book(|limits| limits.edge_sessions_per_node_max = 2), Instant::now());
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    let first = book.choose(&user("anna-session-x"), net(1), now).unwrap();
    book.join(node("b"), LinkId(2), net(2)).unwrap();
    book.choose(&user("bert-node-a"), net(1), now).unwrap();
    assert_eq!(book.choose(&user("anna-node-a"), net(1), now).unwrap_err(), Denial::EdgeSessionsPerNode);
    assert_eq!(book.choose(&user("anna-session-x"), net(1), now).unwrap().link, LinkId(2));
    book.end(&first);
    let last = book.choose(&user("anna-session-x"), net(1), now).unwrap();
    assert_eq!(last.link, LinkId(2), "where it is now, though the first has room again");
    book.choose(&user("bert"), net(1), now).unwrap();
    assert_eq!(
        book.choose(&user("anna-session-x"), net(1), now).unwrap_err(),
        Denial::EdgeSessionsPerNode,
        "all are full"
    );
    book.end(&last);
    assert_eq!(book.choose(&user("anna-session-x"), net(1), now).unwrap().link, LinkId(2));
}

#[test]
fn a_newcomer_takes_the_place_of_its_predecessor_at_once() {
    let (mut book, now) = (book(|limits| limits.edge_nodes_max = 1), Instant::now());
    assert_eq!(book.join(node("a"), LinkId(1), net(1)).unwrap(), None);
    let session = book.choose(&user("anna"), net(1), now).unwrap();
    assert_eq!(book.join(node("a"), LinkId(2), net(2)).unwrap(), Some(LinkId(1)));
    // The old link's end, and its session's, take nothing from the new one.
    book.leave(&node("a"), LinkId(1));
    book.end(&session);
    assert_eq!(book.counts(), (1, 0));
    assert_eq!(book.choose(&user("anna"), net(1), now).unwrap().link, LinkId(2));
    assert_eq!(book.join(node("b"), LinkId(3), net(1)).unwrap_err(), Denial::EdgeNodesFull);
}

#[test]
fn every_bound_is_filled_to_the_brim_and_once_more() {
    let now = Instant::now();
    let refused = |change: fn(&mut Limits), fits: usize, names: [&str; 2]| {
        let mut book = book(change);
        book.join(node("a"), LinkId(1), net(1)).unwrap();
        book.join(node("b"), LinkId(2), net(2)).unwrap();
        for _ in 0..fits {
            book.choose(&user(names[0]), net(1), now).unwrap();
        }
        book.choose(&user(names[1]), net(1), now).unwrap_err()
    };
    assert_eq!(refused(|l| l.edge_sessions_max = 2, 2, ["anna", "bert"]), Denial::EdgeSessionsFull);
    assert_eq!(
        refused(|l| l.edge_sessions_per_user_max = 2, 2, ["anna", "anna"]),
        Denial::EdgeSessionsPerUser
    );
    let names = ["anna-node-a", "bert-node-a"];
    assert_eq!(refused(|l| l.edge_sessions_per_node_max = 2, 2, names), Denial::EdgeSessionsPerNode);
    assert_eq!(refused(|l| l.edge_session_burst = 2, 2, ["anna", "anna"]), Denial::EdgeSessionRate);

    let mut book = book(|limits| {
        limits.edge_nodes_per_ip_max = 1;
        limits.edge_token_burst = 1;
    });
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    assert_eq!(book.join(node("b"), LinkId(2), net(1)).unwrap_err(), Denial::EdgeNodesPerIp);
    assert_eq!(book.join(node("a"), LinkId(3), net(1)).unwrap(), Some(LinkId(1)), "not one more");
    book.leave(&node("a"), LinkId(3));
    book.join(node("b"), LinkId(4), net(1)).unwrap();
    book.ask(net(1), now).unwrap();
    assert_eq!(book.ask(net(1), now).unwrap_err(), Denial::EdgeTokenRate);
    book.ask(net(2), now).unwrap();
}

#[test]
fn a_full_memory_forgets_the_newest_wishes_only() {
    let (mut book, now) = (book(|limits| limits.edge_stickies_max = 1), Instant::now());
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    let first = book.choose(&user("anna-session-x"), net(1), now).unwrap();
    book.join(node("b"), LinkId(2), net(2)).unwrap();
    book.choose(&user("anna-session-y"), net(1), now).unwrap();
    assert_eq!(book.choose(&user("anna-session-x"), net(1), now).unwrap().link, first.link);
}

#[test]
fn bytes_of_a_user_and_of_a_node_go_as_fast_as_they_may_in_each_direction() {
    let now = Instant::now();
    let mut book = book(|limits| {
        limits.edge_user_bytes_per_sec = 1000;
        limits.edge_node_bytes_per_sec = 3000;
    });
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    let anna = book.choose(&user("anna"), net(1), now).unwrap();
    let again = book.choose(&user("anna-session-x"), net(2), now).unwrap();
    let bert = book.choose(&user("bert"), net(3), now).unwrap();
    let secs = Duration::from_secs;
    assert_eq!(book.spend(&anna, Direction::Up, 1000, now), secs(0), "a second's worth at once");
    assert_eq!(book.spend(&anna, Direction::Up, 1000, now), secs(1));
    assert_eq!(book.spend(&again, Direction::Up, 500, now), secs(1) + secs(1) / 2, "her sessions take turns");
    assert_eq!(book.spend(&anna, Direction::Down, 1000, now), secs(0), "the other direction is free");
    assert_eq!(book.spend(&bert, Direction::Up, 500, now), secs(0), "so are others");
    // Of the node's 3000 nothing is left.
    assert_eq!(book.spend(&bert, Direction::Up, 600, now), secs(1) / 5);
    // A second session of hers brings no new burst, nor does a pause that is too short.
    for ended in [&anna, &again] {
        book.end(ended);
    }
    book.handle_timeout(now + secs(1));
    let later = now + secs(2);
    let anna = book.choose(&user("anna"), net(1), later).unwrap();
    assert_eq!(book.spend(&anna, Direction::Up, 1000, later), secs(1) / 2);
    book.set_limits(Limits::default());
    assert_eq!(book.spend(&anna, Direction::Up, 1_000_000, later), secs(0), "no limit");
}

#[test]
fn datagrams_above_a_rate_are_refused_and_cost_nothing() {
    let now = Instant::now();
    let mut book = book(|limits| limits.edge_node_bytes_per_sec = 1000);
    book.join(node("a"), LinkId(1), net(1)).unwrap();
    let anna = book.choose(&user("anna"), net(1), now).unwrap();
    let mut send = |bytes, at| book.spend_datagram(&anna, Direction::Down, bytes, at);
    assert_eq!(send(900, now), Ok(()));
    for _ in 0..10 {
        assert_eq!(send(900, now), Err(Denial::EdgeDatagramRate));
    }
    assert_eq!(send(100, now), Ok(()));
    assert_eq!(send(900, now + Duration::from_secs(1)), Ok(()));
}
