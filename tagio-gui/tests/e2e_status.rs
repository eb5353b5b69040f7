//! `status -v` says how a path from this network would go, and what could be done about it.
#![cfg(target_os = "linux")]

use std::process::Command;

use tagio_testkit::{
    Lab, Namespace, NatLab, Program, binaries,
    lab::LIMIT,
    nat_lab::{Kind, Meeting},
};

/// What it prints on a machine in `net`.
fn status(lab: &Lab, meeting: &Meeting<'_>, net: &Namespace) -> Vec<String> {
    let mut command = Command::new(binaries::gui());
    command.args(["status", &meeting.host.id(), "--verbose", "--relay", &meeting.relay.flag()]);
    command.arg("--data-dir").arg(lab.file("status")).env("RUST_LOG", "off");
    let ended = Program::start("status", &mut net.inside(&command)).wait_exit(LIMIT);
    assert!(ended.status.success(), "{ended:?}");
    ended.out
}

/// The line that starts with this word.
#[track_caller]
fn line<'a>(lines: &'a [String], word: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.split(' ').next() == Some(word))
        .unwrap_or_else(|| panic!("{word}: {lines:?}"))
}

#[test]
fn status_says_what_the_network_does_and_what_could_be_changed() {
    let Some(lab) = Lab::new() else { return };
    let Some(nets) = NatLab::new(Kind::Symmetric, Kind::UdpBlocked) else { return };
    let meeting = Meeting::start(&lab, &nets);
    let hidden = status(&lab, &meeting, nets.viewer());
    assert_eq!(line(&hidden, "online"), "online");
    assert!(line(&hidden, "network").contains("at random, seen as 198.51.100.1:"), "{hidden:?}");
    assert_eq!(line(&hidden, "lan"), "lan not found");
    assert!(line(&hidden, "advice").contains("UPnP"), "{hidden:?}");
    let blocked = status(&lab, &meeting, nets.host());
    assert!(line(&blocked, "relay").ends_with("no UDP"), "{blocked:?}");
    assert!(line(&blocked, "lan").starts_with("lan 192.168.2.10:"), "the host is on this very machine");
    assert!(line(&blocked, "advice").contains("firewall"), "{blocked:?}");
}
