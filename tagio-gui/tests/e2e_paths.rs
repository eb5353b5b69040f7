//! A session finds a way where there is one, and survives the loss of what it does not need.
#![cfg(target_os = "linux")]

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Lab, Namespace, Program,
    lab::{Host, LIMIT, PASSWORD, Relay},
    picture::assert_same,
};

/// How long a host may take to be back after the relay is.
const RETURN_LIMIT: Duration = Duration::from_secs(5);

/// How long a picture has to follow without the relay before the session counts as alive.
const SURVIVAL_TIME: Duration = Duration::from_secs(4);

/// Ten seconds until silence counts as a loss, a minute of trying again, and room.
const VANISHED_LIMIT: Duration = Duration::from_secs(100);

/// Waits until packets travel this way: from the first frame on, or by a later change.
#[track_caller]
fn wait_for_path(viewer: &Program, kind: &str) {
    let arrives =
        |line: &str| line == format!("path {kind}") || line.starts_with(&format!("connected {kind}"));
    viewer.wait_line(arrives, LIMIT).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn two_programs_that_can_meet_go_direct() {
    let Some(lab) = Lab::new() else { return };
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    wait_for_path(&viewer, "direct");
}

#[test]
fn no_relay_is_needed_where_the_address_is_known() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 41);
    let host = lab.listening_host(&[]);
    let address = host.address().to_string();
    let seen = lab.screenshot(None, &address, PASSWORD).expect("a screenshot");
    assert_same(&seen, canvas.picture());
    lab.screenshot(None, &address, "wrong-password").expect_err("the same security");
}

#[test]
fn a_direct_session_outlives_the_relay() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 42);
    let mut relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    wait_for_path(&viewer, "direct");
    relay.program.kill();
    let start = Instant::now();
    for seed in 43.. {
        canvas.repaint(seed);
        lab.viewer_display.screen().wait_for_picture(canvas.picture(), SURVIVAL_TIME);
        if start.elapsed() > SURVIVAL_TIME {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_host_returns_to_a_restarted_relay_under_the_same_id() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 51);
    let mut relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let id = host.id();
    relay.program.kill();
    let relay = Relay::start(&mut lab.relay_command(&relay.flag()));
    let back = Instant::now();
    let seen = loop {
        match lab.screenshot(Some(&relay), &id, PASSWORD) {
            Ok(seen) => break seen,
            Err(ended) => assert!(back.elapsed() < RETURN_LIMIT, "the host is not back: {ended:?}"),
        }
    };
    assert_same(&seen, canvas.picture());
}

#[test]
fn a_host_that_says_goodbye_is_missed_at_once() {
    let Some((lab, mut viewer, host)) = watched_host() else { return };
    host.program.terminate();
    let reason = viewer.word("closed", Duration::from_secs(5));
    assert!(!reason.is_empty(), "no reason given");
    assert!(viewer.is_running(), "the window stays and says why");
    drop(lab);
}

#[test]
fn a_host_that_vanishes_is_given_up_in_the_end() {
    let Some((lab, mut viewer, mut host)) = watched_host() else { return };
    host.program.kill();
    let reason = viewer.word("closed", VANISHED_LIMIT);
    assert!(!reason.is_empty(), "no reason given");
    assert!(viewer.is_running(), "the window stays and says why");
    drop(lab);
}

fn watched_host() -> Option<((Lab, Relay), Program, Host)> {
    let lab = Lab::new()?;
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &[]);
    viewer.word("first-frame", LIMIT);
    Some(((lab, relay), viewer, host))
}

/// A relay, a host and a viewer in networks of their own; peers reach the relay's address and nothing else.
struct Islands {
    lab: Lab,
    relay_net: Namespace,
    host_net: Namespace,
    viewer_net: Namespace,
}

const RELAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

impl Islands {
    fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let relay_net = Namespace::new("relay")?;
        relay_net.add_address(RELAY_ADDRESS).expect("the relay's address");
        let host_net = Self::peer_net("host", 1, &relay_net)?;
        let viewer_net = Self::peer_net("viewer", 2, &relay_net)?;
        Some(Self { lab, relay_net, host_net, viewer_net })
    }

    fn peer_net(name: &str, subnet: u8, relay_net: &Namespace) -> Option<Namespace> {
        let net = Namespace::new(name)?;
        let (own, router) = (Ipv4Addr::new(10, 77, subnet, 2), Ipv4Addr::new(10, 77, subnet, 1));
        net.join(own, relay_net, router).expect("a cable to the relay");
        Some(net)
    }

    /// A session whose picture is exact and goes through the relay.
    fn check(&self) {
        let lab = &self.lab;
        let mut canvas = Canvas::cover(lab.host_display.screen(), 61);
        let bind = format!("{RELAY_ADDRESS}:0");
        let relay = Relay::start(&mut self.relay_net.inside(&lab.relay_command(&bind)));
        let flag = relay.flag();
        let host_command = lab.host_command(&["--password", PASSWORD, "--relay", &flag]);
        let host = Host::start(&mut self.host_net.inside(&host_command));
        let args = ["--fullscreen", "--password", PASSWORD, "--relay", &flag];
        let command = lab.viewer_command(&host.id(), &args);
        let viewer = Program::start("viewer", &mut self.viewer_net.inside(&command));
        viewer.word("first-frame", LIMIT);
        wait_for_path(&viewer, "relay");
        for seed in 62..65 {
            canvas.repaint(seed);
            lab.viewer_display.screen().wait_for_picture(canvas.picture(), LIMIT);
        }
    }
}

#[test]
fn the_relay_carries_what_cannot_meet() {
    let Some(islands) = Islands::new() else { return };
    islands.check();
}

#[test]
fn tcp_is_enough() {
    let Some(islands) = Islands::new() else { return };
    islands.host_net.block_udp().expect("a firewall");
    islands.viewer_net.block_udp().expect("a firewall");
    islands.check();
}

#[test]
fn one_side_without_udp_is_enough_trouble_to_test() {
    let Some(islands) = Islands::new() else { return };
    islands.viewer_net.block_udp().expect("a firewall");
    islands.check();
}
