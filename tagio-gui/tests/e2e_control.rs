//! Keys and clicks in the viewer's window reach the host, unless the session is for looking only.
#![cfg(target_os = "linux")]

use std::{fs, process::Command, thread, time::Duration};

use tagio_testkit::{
    Canvas, Lab, Program,
    canvas::Happened,
    lab::{Host, LIMIT, Relay},
    screen::keysym,
    wait_until,
};

/// How long something forbidden gets to happen after all.
const FORBIDDEN_TIME: Duration = Duration::from_secs(2);

/// A session with a full-screen viewer that shows the host's first picture.
struct Session {
    viewer: Program,
    // Held, not used: they end with the test.
    _host: Host,
    _relay: Relay,
}

impl Session {
    fn start(lab: &Lab, host_args: &[&str], viewer_args: &[&str]) -> Self {
        let relay = lab.relay();
        let host = lab.host(&relay, host_args);
        let args = [&["--fullscreen"], viewer_args].concat();
        let viewer = lab.viewer(Some(&relay), &host.id(), &args);
        viewer.word("first-frame", LIMIT);
        let screen = lab.viewer_display.screen();
        screen.focus("TagIO", LIMIT);
        // Before its window has the full size, a click would land elsewhere.
        screen.wait_for_picture(&lab.host_display.screen().grab(), LIMIT);
        Self { viewer, _host: host, _relay: relay }
    }
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

#[test]
fn typed_text_arrives_in_a_remote_program() {
    let Some(lab) = Lab::new() else { return };
    let _xterm = typing_target(&lab);
    let _session = Session::start(&lab, &[], &[]);
    let viewer = lab.viewer_display.screen();
    viewer.click(640, 400, 1);
    let text = "Hello, TagIO! (1 + 2) * 3 = 9; ~/a_b \"quoted\" {x}\n";
    viewer.type_text(text);
    let typed = || fs::read_to_string(lab.file("typed")).unwrap_or_default();
    wait_until("the line in the remote file", LIMIT, || typed().ends_with('\n'));
    assert_eq!(typed(), text);
}

#[test]
fn clicks_arrive_at_the_same_pixel() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 21);
    let _session = Session::start(&lab, &[], &[]);
    let viewer = lab.viewer_display.screen();
    for (x, y, button) in [(640, 400, 1), (3, 5, 3), (1270, 790, 2), (321, 123, 1)] {
        viewer.click(x, y, button);
        assert_eq!(canvas.next_happening(LIMIT), Some(Happened::Click { button, x, y }));
    }
}

#[test]
fn a_key_that_is_held_when_the_session_ends_is_let_go() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 22);
    canvas.take_keyboard();
    let mut session = Session::start(&lab, &[], &[]);
    let viewer = lab.viewer_display.screen();
    viewer.hold_key(keysym::CONTROL_LEFT);
    let host = lab.host_display.screen();
    wait_until("control held on the host", LIMIT, || host.keys_down() == 1);
    session.viewer.kill();
    wait_until("control let go on the host", LIMIT, || host.keys_down() == 0);
}

#[test]
fn a_viewer_that_asks_to_look_only_cannot_touch() {
    nothing_is_touched(&[], &["--view-only"]);
}

#[test]
fn a_host_that_allows_looking_only_is_not_touched() {
    nothing_is_touched(&["--view-only"], &[]);
}

fn nothing_is_touched(host_args: &[&str], viewer_args: &[&str]) {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 23);
    canvas.take_keyboard();
    let _session = Session::start(&lab, host_args, viewer_args);
    let viewer = lab.viewer_display.screen();
    viewer.click(640, 400, 1);
    viewer.type_text("rm\n");
    thread::sleep(FORBIDDEN_TIME);
    assert_eq!(canvas.next_happening(Duration::ZERO), None);
    // The picture is still live: it was the input that was blocked, not the session.
    canvas.repaint(24);
    viewer.wait_for_picture(canvas.picture(), LIMIT);
}
