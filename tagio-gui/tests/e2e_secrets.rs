//! Who knows the secret gets in, and nobody else.
#![cfg(target_os = "linux")]

use tagio_testkit::{
    Canvas, Lab,
    lab::{LIMIT, PASSWORD, assert_helpful_failure},
    picture::assert_same,
};

/// Well-formed, and wrong with near certainty.
const WRONG_CODE: &str = "zzzz-zzzz";

/// Wrong codes after which a host makes a new one.
const WRONG_CODES_MAX: usize = 5;

#[test]
fn a_wrong_password_is_refused_and_the_right_one_still_works() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 31);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let refused = lab.screenshot(Some(&relay), &host.id(), "wrong-password").expect_err("a wrong password");
    assert_helpful_failure(&refused, &["password"]);
    let seen = lab.screenshot(Some(&relay), &host.id(), PASSWORD).expect("the right password");
    assert_same(&seen, canvas.picture());
}

#[test]
fn a_one_time_code_works_one_time() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 32);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let (id, code) = (host.id(), host.code());
    let before = host.program.lines_so_far();
    let seen = lab.screenshot(Some(&relay), &id, &code).expect("the right code");
    assert_same(&seen, canvas.picture());
    let next_code = host.program.word_after(before, "code", LIMIT);
    assert_ne!(next_code, code);
    let refused = lab.screenshot(Some(&relay), &id, &code).expect_err("a used code");
    assert_helpful_failure(&refused, &["code"]);
    lab.screenshot(Some(&relay), &id, &next_code).expect("the next code");
}

#[test]
fn guessing_a_code_makes_it_worthless() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let (id, code) = (host.id(), host.code());
    let before = host.program.lines_so_far();
    for _ in 0..WRONG_CODES_MAX {
        let refused = lab.screenshot(Some(&relay), &id, WRONG_CODE).expect_err("a wrong code");
        assert_helpful_failure(&refused, &["code"]);
    }
    assert_ne!(host.program.word_after(before, "code", LIMIT), code);
    lab.screenshot(Some(&relay), &id, &code).expect_err("the old code");
}

#[test]
fn a_secret_is_never_printed() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let host = lab.host(&relay, &["-v"]);
    lab.screenshot(Some(&relay), &host.id(), PASSWORD).expect("the right password");
    for program in [&host.program, &relay.program] {
        assert!(!format!("{program:?}").contains(PASSWORD), "{program:?}");
    }
}
