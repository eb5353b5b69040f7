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
    procfs::{network_bytes, udp_received},
    program::Stream,
};

/// How long a host may take to be back after the relay is, the screenshot that shows it included: half a second
/// in a debug build on two cores, so that there is room for a busy machine.
const RETURN_LIMIT: Duration = Duration::from_secs(5);

/// How long a live viewer may take to see the picture move again after the relay or its own network is back.
const RESUME_LIMIT: Duration = Duration::from_secs(10);

/// How long a viewer's network is away: a train in a tunnel, a change of the wireless network.
const OUTAGE: Duration = Duration::from_secs(8);

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
    let took = back.elapsed();
    println!("the host was back, and seen, after {took:?}");
    assert!(took < RETURN_LIMIT, "the host was back, and seen, only after {took:?}");
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
const VIEWER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

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
        let [own, router] = [2, 1].map(|end| Ipv4Addr::new(10, 77, subnet, end));
        net.join(own, relay_net, router).expect("a cable to the relay");
        Some(net)
    }

    fn relay(&self, bind: &str) -> Relay {
        Relay::start(&mut self.relay_net.inside(&self.lab.relay_command(bind)))
    }

    /// A session by a one-time code, which is good for one proof and no more.
    fn session(&self) -> Session<'_> {
        let lab = &self.lab;
        let canvas = Canvas::cover(lab.host_display.screen(), 61);
        let relay = self.relay(&format!("{RELAY_ADDRESS}:0"));
        let flag = relay.flag();
        let host_command = lab.host_command(&["--relay", &flag]);
        let host = Host::start(&mut self.host_net.inside(&host_command));
        let (id, code) = (host.id(), host.code());
        let args = ["--fullscreen", "--password", &code, "--relay", &flag];
        let command = lab.viewer_command(&id, &args);
        let viewer = Program::start("viewer", &mut self.viewer_net.inside(&command));
        viewer.word("first-frame", LIMIT);
        wait_for_path(&viewer, "relay");
        let mut session = Session { lab, canvas, relay, viewer, _host: host, seed: 61 };
        session.moves(LIMIT);
        session
    }

    /// A session whose pictures are exact and go through the relay, all of them; UDP datagrams that got there.
    fn check(&self) -> u64 {
        let mut session = self.session();
        for _ in 0..3 {
            session.moves(LIMIT);
        }
        session.assert_never_direct();
        let bytes = network_bytes(&self.relay_net.read("/proc/net/dev"));
        println!("{bytes} bytes passed the relay's network");
        assert!(bytes > PICTURE_BYTES_MIN, "{bytes} bytes hold no picture");
        udp_received(&self.relay_net.read("/proc/net/snmp"))
    }
}

/// Less than any picture of a canvas, which is noise in part.
const PICTURE_BYTES_MIN: u64 = 200_000;

/// A viewer that watches a canvas through a relay.
struct Session<'a> {
    lab: &'a Lab,
    canvas: Canvas,
    relay: Relay,
    viewer: Program,
    _host: Host,
    seed: u64,
}

impl Session<'_> {
    fn repaint(&mut self) {
        self.seed += 1;
        self.canvas.repaint(self.seed);
    }

    /// Another picture arrives.
    #[track_caller]
    fn moves(&mut self, limit: Duration) {
        self.repaint();
        self.is_exact(limit);
    }

    #[track_caller]
    fn is_exact(&self, limit: Duration) {
        self.lab.viewer_display.screen().wait_for_picture(self.canvas.picture(), limit);
    }

    #[track_caller]
    fn assert_never_direct(&self) {
        let lines = self.viewer.lines_of(Stream::Out);
        let direct = |line: &&String| line.starts_with("path direct") || line.starts_with("connected direct");
        assert_eq!(lines.iter().find(direct), None, "{lines:?}");
    }

    #[track_caller]
    fn window(&self) -> u32 {
        self.lab.viewer_display.screen().find_window("TagIO").expect("the viewer's window")
    }

    /// What was painted while there was no way is seen soon after there is one, in the window that was there.
    #[track_caller]
    fn resumes(&mut self, window: u32) {
        let start = Instant::now();
        self.is_exact(RESUME_LIMIT);
        println!("the picture moved again after {:?}", start.elapsed());
        self.moves(LIMIT);
        assert_eq!(self.window(), window);
        assert!(self.viewer.is_running());
        self.assert_never_direct();
    }
}

#[test]
fn the_relay_carries_what_cannot_meet() {
    let Some(islands) = Islands::new() else { return };
    assert!(islands.check() > 0, "UDP is free, and not used");
}

#[test]
fn tcp_is_enough() {
    let Some(islands) = Islands::new() else { return };
    islands.host_net.block_udp().expect("a firewall");
    islands.viewer_net.block_udp().expect("a firewall");
    assert_eq!(islands.check(), 0, "so TCP carried it all");
}

#[test]
fn one_side_without_udp_is_enough_trouble_to_test() {
    let Some(islands) = Islands::new() else { return };
    islands.viewer_net.block_udp().expect("a firewall");
    islands.check();
}

#[test]
fn a_relayed_session_outlives_a_restart_of_the_relay() {
    let Some(islands) = Islands::new() else { return };
    let mut session = islands.session();
    let window = session.window();
    session.relay.program.kill();
    session.repaint();
    session.relay = islands.relay(&session.relay.flag());
    session.resumes(window);
}

#[test]
fn a_session_outlives_an_outage_of_the_viewers_network() {
    let Some(islands) = Islands::new() else { return };
    let mut session = islands.session();
    let window = session.window();
    islands.relay_net.unplug(VIEWER_ADDRESS).expect("the cable pulled");
    session.repaint();
    thread::sleep(OUTAGE);
    let seen = islands.lab.viewer_display.screen().grab();
    assert!(seen.difference(session.canvas.picture()).is_some(), "the picture has found another way");
    islands.relay_net.plug_in(VIEWER_ADDRESS).expect("the cable put back");
    session.resumes(window);
}
