//! What fails says so in one line that helps, and with the status that scripts expect.
#![cfg(target_os = "linux")]

use std::process::Command;

use tagio_testkit::{
    Lab, Program, binaries,
    lab::{Host, LIMIT, PASSWORD, assert_helpful_failure},
    program::Ended,
};

/// The discard port, where nothing listens.
const NOBODY: &str = "127.0.0.1:9";

fn run_gui(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = Command::new(binaries::gui());
    command
        .args(args)
        .arg("--data-dir")
        .arg(lab.file("some"))
        .env("RUST_LOG", "off")
        .env_remove("TAGIO_RELAY");
    Program::start("tagio-gui", &mut command).wait_exit(LIMIT * 2)
}

#[test]
fn a_relay_that_is_not_there_is_named() {
    let Some(lab) = Lab::new() else { return };
    let mut command = lab.viewer_command("123456789", &["--password", PASSWORD, "--relay", NOBODY]);
    let ended = lab.take(&mut command).expect_err("no relay");
    assert_helpful_failure(&ended, &["relay"]);
}

#[test]
fn a_host_that_is_not_there_is_named() {
    let Some(lab) = Lab::new() else { return };
    let ended = lab.screenshot(None, NOBODY, PASSWORD).expect_err("no host");
    assert_helpful_failure(&ended, &["127.0.0.1:9", "host"]);
}

#[test]
fn an_id_that_nobody_has_is_said_to_be_offline() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let ended = lab.screenshot(Some(&relay), "123456789", PASSWORD).expect_err("nobody has this ID");
    assert_helpful_failure(&ended, &["online", "offline", "unknown", "no host"]);
}

#[test]
fn status_tells_online_from_offline() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let mut host = lab.host(&relay, &[]);
    let id = host.id();
    let status = |id: &str| run_gui(&lab, &["status", id, "--relay", &relay.flag()]);
    let online = status(&id);
    assert!(online.out.iter().any(|line| line.starts_with("online")), "{online:?}");
    host.program.kill();
    let offline = status(&id);
    assert!(offline.out.iter().any(|line| line.starts_with("offline")), "{offline:?}");
}

#[test]
fn what_is_no_id_is_wrong_usage() {
    let Some(lab) = Lab::new() else { return };
    for args in [&["client", "12"][..], &["status", "abc"], &["client"], &["no-such-subcommand"]] {
        let ended = run_gui(&lab, args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_viewer_of_a_host_without_a_screen_is_told_so() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let mut command = lab.host_command(&["--password", PASSWORD, "--relay", &relay.flag()]);
    let host = Host::start(command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY"));
    let ended = lab.screenshot(Some(&relay), &host.id(), PASSWORD).expect_err("no screen");
    assert_helpful_failure(&ended, &["screen"]);
}

#[test]
fn a_relay_whose_port_is_taken_names_it() {
    let Some(lab) = Lab::new() else { return };
    let first = lab.relay();
    let mut command = lab.relay_command(&first.flag());
    command.env("RUST_LOG", "off");
    let ended = Program::start("second relay", &mut command).wait_exit(LIMIT);
    assert_helpful_failure(&ended, &[&first.flag()]);
}
