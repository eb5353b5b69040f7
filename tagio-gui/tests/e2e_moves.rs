//! A session goes on when a machine gets another address, when a path dies, and after a time without any network.
#![cfg(target_os = "linux")]

use std::{
    fs,
    net::Ipv4Addr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Lab, Namespace, NatLab, Program, eventually,
    lab::LIMIT,
    nat_lab::{Kind, Meeting, RELAY_ADDRESSES, Site, is_direct},
    picture::Area,
    program::Stream,
    wait_until,
};

/// How long the picture may stand still when the network changes: room for a busy machine, and less than QUIC alone
/// takes to leave a path. What it is on a quiet one
/// is printed, and stands in docs/BENCHMARKS.md.
const STILL_MAX: Duration = Duration::from_secs(4);
/// How long the picture is watched after something has happened to the network.
const WATCHED: Duration = Duration::from_secs(3);
/// Between two changes of the picture: a film's.
const FRAME: Duration = Duration::from_millis(40);
/// Until there is a direct path, or one again.
const DIRECT_LIMIT: Duration = Duration::from_secs(20);
/// How long a machine is without any network when it changes from one to another.
const BETWEEN_NETWORKS: Duration = Duration::from_secs(1);
/// A train's tunnel.
const LONG_OUTAGE: Duration = Duration::from_secs(60);
/// Longer than QUIC waits for a silent peer.
const SLEEP: Duration = Duration::from_secs(20);
/// Until a picture moves again after that.
const RESUME_LIMIT: Duration = Duration::from_secs(30);

/// What changes in the picture.
const PATCH: Area = Area { x: 600, y: 400, width: 32, height: 32 };

/// A picture that moves as soon as its last change was seen.
struct Moving<'a> {
    lab: &'a Lab,
    canvas: Canvas,
    number: u8,
}

impl<'a> Moving<'a> {
    fn new(lab: &'a Lab) -> Self {
        Self { lab, canvas: Canvas::cover(lab.host_display.screen(), 81), number: 0 }
    }

    /// Changes the picture; how long it took until the viewer saw that.
    #[track_caller]
    fn step(&mut self, limit: Duration) -> Duration {
        self.number = self.number.wrapping_add(1);
        let colour = [self.number, 255 - self.number, 77];
        self.canvas.change(PATCH, |_, _| colour);
        let start = Instant::now();
        let screen = self.lab.viewer_display.screen();
        let seen = eventually(limit, || {
            let seen = screen.grab_part(PATCH);
            seen.pixels.iter().all(|pixel| *pixel == colour).then_some(())
        });
        assert!(seen.is_some(), "the picture stands still for more than {limit:?}");
        start.elapsed()
    }

    /// The longest that the picture stood still in the time that follows.
    #[track_caller]
    fn stands_still(&mut self, what: &str) -> Duration {
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        while start.elapsed() < WATCHED {
            longest = longest.max(self.step(STILL_MAX));
            thread::sleep(FRAME);
        }
        println!("{what}: the picture stood still for {longest:?}");
        longest
    }
}

/// Waits until packets go directly.
#[track_caller]
fn wait_for_direct(viewer: &Program) {
    wait_until("a direct path", DIRECT_LIMIT, || {
        let lines = viewer.lines_of(Stream::Out);
        let is_about_paths = |line: &&String| line.starts_with("path ") || line.starts_with("connected ");
        lines.iter().rfind(is_about_paths).is_some_and(|line| is_direct(line))
    });
}

fn nets() -> Option<NatLab> {
    NatLab::new(Kind::PortCone, Kind::PortCone).map(NatLab::with_distances)
}

/// The machine changes from one network to another, as from Wi-Fi to a telephone's: for a while it is in none.
fn change_networks(net: &Namespace, nets: &NatLab, site: Site) {
    net.run(&["ip", "link", "set", "eth0", "down"]).expect("no network");
    thread::sleep(BETWEEN_NETWORKS);
    net.run(&["ip", "link", "set", "eth0", "up"]).expect("a network");
    nets.change_address(site);
}

/// From now on no datagram of the other home comes in, and nobody is told; or all do again.
fn cut_direct_path(net: &Namespace, is_cut: bool) {
    let [first, second] = RELAY_ADDRESSES.map(|address: Ipv4Addr| address.to_string());
    let relay = format!("{{ {first}, {second} }}");
    let drop = format!("add rule inet cut input meta l4proto udp ip saddr != {relay} drop");
    let commands: &[&str] = if is_cut {
        &["add table inet cut", "add chain inet cut input { type filter hook input priority 0; }", &drop]
    } else {
        &["delete table inet cut"]
    };
    for command in commands {
        net.run(&["nft", command]).expect("a firewall");
    }
}

#[test]
fn the_picture_moves_on_when_an_address_changes() {
    let (Some(lab), Some(nets)) = (Lab::new(), nets()) else { return };
    let mut moving = Moving::new(&lab);
    let mut meeting = Meeting::start(&lab, &nets);
    let mut viewer = meeting.viewer(&["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    moving.step(LIMIT);
    wait_for_direct(&viewer);
    for (site, whose) in [(Site::B, "host"), (Site::A, "viewer")] {
        nets.change_address(site);
        moving.stands_still(&format!("the {whose}'s address changes"));
        wait_for_direct(&viewer);
    }
    change_networks(nets.host(), &nets, Site::B);
    moving.stands_still("the host is in another network after a second in none");
    wait_for_direct(&viewer);
    meeting.relay.program.kill();
    moving.stands_still("the relay is killed during a direct session");
    assert!(viewer.is_running());
}

#[test]
fn the_picture_moves_on_where_only_tcp_gets_through() {
    let Some(lab) = Lab::new() else { return };
    let Some(nets) = NatLab::new(Kind::UdpBlocked, Kind::UdpBlocked).map(NatLab::with_distances) else {
        return;
    };
    let mut moving = Moving::new(&lab);
    let meeting = Meeting::start(&lab, &nets);
    let viewer = meeting.viewer(&["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    moving.step(LIMIT);
    for (site, whose) in [(Site::B, "host"), (Site::A, "viewer")] {
        nets.change_address(site);
        moving.stands_still(&format!("without UDP, the {whose}'s address changes"));
    }
    assert!(!viewer.lines_of(Stream::Out).iter().any(|line| line.starts_with("closed")), "{viewer:?}");
}

#[test]
fn a_direct_path_that_dies_silently_is_left_and_nothing_typed_is_lost() {
    let (Some(lab), Some(nets)) = (Lab::new(), nets()) else { return };
    let mut moving = Moving::new(&lab);
    let meeting = Meeting::start(&lab, &nets);
    let viewer = meeting.viewer(&["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    moving.step(LIMIT);
    wait_for_direct(&viewer);
    let cut = |is_cut| [nets.viewer(), nets.host()].into_iter().for_each(|net| cut_direct_path(net, is_cut));
    cut(true);
    moving.stands_still("the direct path is cut");
    cut(false);
    drop(moving);
    let _xterm = typing_target(&lab);
    let screen = lab.viewer_display.screen();
    screen.focus("TagIO", LIMIT);
    screen.click(640, 400, 1);
    wait_for_direct(&viewer);
    let (before, after) =
        ("what was typed before the cut, ", "and what was typed while nothing came through");
    screen.type_text(before);
    cut(true);
    screen.type_text(after);
    screen.type_text("\n");
    let typed = || fs::read_to_string(lab.file("typed")).unwrap_or_default();
    wait_until("the line in the remote file", LIMIT, || typed().ends_with('\n'));
    assert_eq!(typed(), format!("{before}{after}\n"));
}

/// An xterm all over the host's screen that writes what is typed, line by line, to a file.
fn typing_target(lab: &Lab) -> Program {
    let file = lab.file("typed");
    let script = format!("printf ready > {0}.ready; exec cat > {0}", file.display());
    let mut command = Command::new("xterm");
    command.args(["-fullscreen", "-e", "sh", "-c", &script]).env("DISPLAY", lab.host_display.name());
    let xterm = Program::start("xterm", &mut command);
    wait_until("xterm on the host's screen", LIMIT, || lab.file("typed.ready").exists());
    xterm
}

/// Takes more than three minutes: `cargo test -p tagio-gui --test e2e_moves -- --ignored --nocapture`.
#[test]
#[ignore = "takes more than three minutes"]
fn a_session_comes_back_by_itself_after_a_minute_without_a_network() {
    let (Some(lab), Some(nets)) = (Lab::new(), nets()) else { return };
    let mut moving = Moving::new(&lab);
    let meeting = Meeting::start(&lab, &nets);
    let mut viewer = meeting.viewer(&["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    moving.step(LIMIT);
    for (what, cut) in OUTAGES {
        cut(&nets, true);
        thread::sleep(LONG_OUTAGE);
        cut(&nets, false);
        let took = moving.step(RESUME_LIMIT);
        println!("{LONG_OUTAGE:?} {what}: the picture moved again {took:?} after the network was back");
    }
    assert!(viewer.is_running());
    assert!(!viewer.lines_of(Stream::Out).iter().any(|line| line.starts_with("closed")), "{viewer:?}");
}

/// A host that sleeps for longer than a connection lives: `cargo test -p tagio-gui --test e2e_moves -- --ignored`.
#[test]
#[ignore = "takes half a minute"]
fn a_session_comes_back_by_itself_after_the_host_has_slept() {
    let (Some(lab), Some(nets)) = (Lab::new(), nets()) else { return };
    let mut moving = Moving::new(&lab);
    let meeting = Meeting::start(&lab, &nets);
    let viewer = meeting.viewer(&["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    moving.step(LIMIT);
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &meeting.host.program.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal");
    };
    signal("-STOP");
    thread::sleep(SLEEP);
    // Its router has forgotten it meanwhile.
    nets.reboot(Site::B);
    signal("-CONT");
    let took = moving.step(RESUME_LIMIT);
    println!("a host that slept for {SLEEP:?}: the picture moved again {took:?} after it awoke");
    assert!(!viewer.lines_of(Stream::Out).iter().any(|line| line.starts_with("closed")), "{viewer:?}");
}

/// Takes a network away or gives it back.
type Outage = fn(&NatLab, bool);

/// Ways to be without a network, one that the machine notices and one that it does not.
const OUTAGES: [(&str, Outage); 3] = [
    ("without a cable", |nets, is_cut| {
        let state = if is_cut { "down" } else { "up" };
        nets.viewer().run(&["ip", "link", "set", "eth0", state]).expect("a cable");
        if !is_cut {
            nets.change_address(Site::A);
        }
    }),
    ("beyond a router that is cut off", |nets, is_cut| nets.cut(Site::A, is_cut)),
    ("with the host's router cut off", |nets, is_cut| nets.cut(Site::B, is_cut)),
];
