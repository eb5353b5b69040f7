//! Coming back after a lost connection.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};
use tagio_session::{
    ports::PortAccess,
    resume::{Issued, Redeemed, ResumeTickets},
};
use tagio_wire::{
    PublicKey,
    session::{AuthRefusal, Permission},
};

const ADA: PublicKey = PublicKey([1; 32]);
const EVE: PublicKey = PublicKey([2; 32]);
const EXPIRED: Result<Redeemed, AuthRefusal> = Err(AuthRefusal::ResumeExpired);

fn one_ticket() -> (ResumeTickets, Issued, Instant) {
    let mut tickets = ResumeTickets::new();
    let issued = tickets.issue(ADA, Permission::Control, &mut StdRng::seed_from_u64(1));
    (tickets, issued, Instant::now())
}

#[test]
fn a_ticket_is_good_once_and_keeps_its_permission() {
    let (mut tickets, issued, now) = one_ticket();
    tickets.set_permission(issued.id, Permission::View);
    tickets.set_ports(issued.id, PortAccess::Own);
    tickets.session_lost(issued.id, now);
    let redeemed = Redeemed { id: issued.id, permission: Permission::View, ports: PortAccess::Own };
    assert_eq!(tickets.redeem(&ADA, &issued.token, now), Ok(redeemed));
    assert_eq!(tickets.redeem(&ADA, &issued.token, now), EXPIRED);
}

#[test]
fn a_viewer_may_notice_the_loss_before_the_host() {
    let (mut tickets, issued, now) = one_ticket();
    assert!(tickets.redeem(&ADA, &issued.token, now + Duration::from_secs(9999)).is_ok());
}

#[test]
fn ten_minutes_after_the_loss_it_is_over() {
    for (seconds, good) in [(599, true), (600, false)] {
        let (mut tickets, issued, now) = one_ticket();
        tickets.session_lost(issued.id, now);
        tickets.session_lost(issued.id, now + Duration::from_secs(300));
        let redeemed = tickets.redeem(&ADA, &issued.token, now + Duration::from_secs(seconds));
        assert_eq!(redeemed.is_ok(), good, "{seconds} s");
    }
}

#[test]
fn a_stolen_token_is_worth_nothing_and_costs_nothing() {
    let (mut tickets, issued, now) = one_ticket();
    assert_eq!(tickets.redeem(&EVE, &issued.token, now), EXPIRED);
    assert!(tickets.redeem(&ADA, &issued.token, now).is_ok());
}

#[test]
fn who_was_sent_away_does_not_come_back() {
    let (mut tickets, issued, now) = one_ticket();
    tickets.revoke(issued.id);
    assert_eq!(tickets.redeem(&ADA, &issued.token, now), EXPIRED);
    let (mut tickets, issued, now) = one_ticket();
    tickets.revoke_all();
    assert_eq!(tickets.redeem(&ADA, &issued.token, now), EXPIRED);
}

#[test]
fn running_sessions_keep_their_tickets_when_many_are_lost() {
    let (mut tickets, running, now) = one_ticket();
    let mut rng = StdRng::seed_from_u64(2);
    let first_lost = tickets.issue(EVE, Permission::View, &mut rng);
    tickets.session_lost(first_lost.id, now);
    for _ in 0..100 {
        let lost = tickets.issue(EVE, Permission::View, &mut rng);
        tickets.session_lost(lost.id, now);
    }
    assert_eq!(tickets.redeem(&EVE, &first_lost.token, now), EXPIRED);
    assert!(tickets.redeem(&ADA, &running.token, now).is_ok());
}
