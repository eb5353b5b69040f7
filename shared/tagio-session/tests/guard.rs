//! How often a secret may be tried.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

use std::time::{Duration, Instant};

use tagio_session::guard::{Attempt, CodeSpent, Guard, RotateCode};
use tagio_wire::{
    PublicKey,
    session::{AuthRefusal, SecretKind},
};

const WINDOW: Duration = Duration::from_secs(600);

fn viewer(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

/// An attempt that must be allowed and must not rotate the code.
fn begin(guard: &mut Guard, who: u8, kind: SecretKind, now: Instant) -> Attempt {
    let (attempt, rotate) = guard.begin(viewer(who), kind, now).unwrap();
    assert_eq!(rotate, None);
    attempt
}

#[test]
fn the_fifth_wrong_code_rotates_it() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    for _ in 0..2 {
        for nth in 1..=5 {
            let attempt = begin(&mut guard, 1, SecretKind::Code, now);
            assert_eq!(guard.fail(attempt), (nth == 5).then_some(RotateCode));
        }
    }
}

#[test]
fn wrong_passwords_leave_the_code_alone() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    for _ in 0..10 {
        let attempt = begin(&mut guard, 1, SecretKind::Password, now);
        assert_eq!(guard.fail(attempt), None);
    }
}

#[test]
fn challenges_left_open_use_the_code_up() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    let open: Vec<_> = (0..5).map(|who| begin(&mut guard, who, SecretKind::Code, now)).collect();
    let (sixth, rotate) = guard.begin(viewer(6), SecretKind::Code, now).unwrap();
    assert_eq!(rotate, Some(RotateCode));
    for attempt in open {
        assert_eq!(guard.succeed(attempt), Err(CodeSpent));
    }
    assert_eq!(guard.succeed(sixth), Ok(Some(RotateCode)));
}

#[test]
fn a_code_is_good_once() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    let first = begin(&mut guard, 1, SecretKind::Code, now);
    let second = begin(&mut guard, 2, SecretKind::Code, now);
    assert_eq!(guard.succeed(first), Ok(Some(RotateCode)));
    assert_eq!(guard.succeed(second), Err(CodeSpent));
}

#[test]
fn a_late_failure_does_not_count_against_the_new_code() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    let late = begin(&mut guard, 1, SecretKind::Code, now);
    guard.code_replaced();
    for who in 0..4 {
        drop(begin(&mut guard, who, SecretKind::Code, now));
    }
    assert_eq!(guard.fail(late), None);
}

#[test]
fn a_viewer_gets_ten_attempts_in_ten_minutes() {
    let (mut guard, start) = (Guard::new(), Instant::now());
    let at = |second: u64| start + Duration::from_secs(second);
    for second in 0..10 {
        drop(begin(&mut guard, 1, SecretKind::Password, at(second)));
    }
    let refused = guard.begin(viewer(1), SecretKind::Password, at(10)).err();
    assert_eq!(refused, Some(AuthRefusal::TooMany(591)));
    drop(begin(&mut guard, 2, SecretKind::Password, at(10)));
    drop(begin(&mut guard, 1, SecretKind::Password, start + WINDOW));
    assert!(guard.begin(viewer(1), SecretKind::Password, start + WINDOW).is_err());
}

#[test]
fn a_good_proof_takes_its_attempt_back() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    for _ in 0..1000 {
        let attempt = begin(&mut guard, 1, SecretKind::Password, now);
        assert_eq!(guard.succeed(attempt), Ok(None));
    }
}

#[test]
fn fresh_keys_do_not_help_a_guesser() {
    let (mut guard, now) = (Guard::new(), Instant::now());
    let allowed = (0..200).filter(|who| guard.begin(viewer(*who), SecretKind::Password, now).is_ok()).count();
    assert_eq!(allowed, 60);
}
