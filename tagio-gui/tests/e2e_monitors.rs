//! Several monitors: one can be chosen, at first or in between, they may come and go, and the screen may change its size.
#![cfg(target_os = "linux")]

use std::{thread, time::Duration};

use tagio_testkit::{
    Canvas, Lab, Picture, Program, Screen, eventually,
    lab::{DISPLAY_SIZE, Host, LIMIT, Relay},
    picture::Area,
    screen::keysym,
};

/// Not as large as each other, and less than the whole screen together.
const MONITORS: [Area; 2] =
    [Area { x: 0, y: 0, width: 500, height: 800 }, Area { x: 500, y: 0, width: 780, height: 600 }];

const SMALLER: (u16, u16) = (800, 600);

/// Between two keys of a person who looks what the first one did.
const PAUSE: Duration = Duration::from_millis(400);

/// A full-screen viewer of a screen with two monitors.
struct Session {
    canvas: Canvas,
    host_screen: Screen,
    /// In the order in which they can be chosen.
    monitors: Vec<Area>,
    seen: Screen,
    // Held, not used: they end with the test. The viewer first.
    _viewer: Program,
    _host: Host,
    _relay: Relay,
}

impl Session {
    fn start(lab: &Lab, args: &[&str]) -> Self {
        let canvas = Canvas::cover(lab.host_display.screen(), 94);
        let host_screen = lab.host_display.screen();
        let monitors = host_screen.divide(&MONITORS);
        let relay = lab.relay();
        let host = lab.host(&relay, &[]);
        let viewer = lab.viewer(Some(&relay), &host.id(), &[&["--fullscreen"], args].concat());
        viewer.word("first-frame", LIMIT);
        let seen = lab.viewer_display.screen();
        Self { canvas, host_screen, monitors, seen, _viewer: viewer, _host: host, _relay: relay }
    }

    /// Waits until the viewer shows this part of the host's screen, and one colour beside it.
    #[track_caller]
    fn shows(&self, part: Area) {
        let wanted = self.canvas.picture().part(part);
        let place = Area { x: 0, y: 0, ..part };
        let mut difference = None;
        let shown = eventually(LIMIT, || {
            let seen = self.seen.grab();
            let mut expected = Picture::plain(seen.width, seen.height, *seen.pixels.last()?);
            expected.fill_with(place, |x, y| wanted.pixels[y * wanted.width + x]);
            difference = seen.difference(&expected);
            difference.is_none().then_some(())
        });
        assert!(shown.is_some(), "{part:?} is not what is shown: {difference:?}");
    }

    /// Also once something has changed.
    #[track_caller]
    fn goes_on_showing(&mut self, part: Area, seed: u64) {
        self.shows(part);
        self.canvas.repaint(seed);
        self.shows(part);
    }

    const fn whole(&self) -> Area {
        self.canvas.picture().whole()
    }
}

#[test]
fn one_monitor_of_two_can_be_chosen_at_first() {
    let Some(lab) = Lab::new() else { return };
    for (number, seed) in [("1", 95), ("2", 96)] {
        let mut session = Session::start(&lab, &["--monitor", number]);
        let chosen = session.monitors[usize::from(number == "2")];
        session.goes_on_showing(chosen, seed);
        for index in 0..MONITORS.len() {
            session.host_screen.delete_monitor(&format!("part-{index}"));
        }
    }
}

#[test]
fn all_monitors_are_one_canvas() {
    let Some(lab) = Lab::new() else { return };
    let mut session = Session::start(&lab, &["--monitor", "all"]);
    let whole = session.whole();
    session.goes_on_showing(whole, 97);
}

#[test]
fn a_monitor_that_goes_gives_way_to_the_whole_screen_until_it_is_back() {
    let Some(lab) = Lab::new() else { return };
    let mut session = Session::start(&lab, &["--monitor", "2"]);
    let (chosen, whole) = (session.monitors[1], session.whole());
    session.shows(chosen);
    let index = MONITORS.iter().position(|area| *area == chosen).expect("one of them");
    let name = format!("part-{index}");
    session.host_screen.delete_monitor(&name);
    session.goes_on_showing(whole, 98);
    let size = (chosen.width as u16, chosen.height as u16);
    session.host_screen.set_monitor(&name, (chosen.x as i16, chosen.y as i16), size);
    let back = session.host_screen.monitors()[1];
    session.goes_on_showing(back, 99);
}

#[test]
fn a_monitor_can_be_chosen_during_a_session_by_the_keyboard() {
    let Some(lab) = Lab::new() else { return };
    let mut session = Session::start(&lab, &[]);
    session.shows(session.whole());
    session.seen.focus("TagIO", LIMIT);
    // The toolbar, its second menu, and the third choice there: all, the first, the second.
    session.seen.hold_key(keysym::CONTROL_LEFT);
    session.seen.hold_key(keysym::ALT_LEFT);
    session.seen.press_key(keysym::HOME);
    session.seen.release_key(keysym::ALT_LEFT);
    session.seen.release_key(keysym::CONTROL_LEFT);
    let path = [keysym::TAB, keysym::RETURN, keysym::TAB, keysym::TAB, keysym::TAB, keysym::RETURN];
    // The menu, then the toolbar.
    for key in path.into_iter().chain([keysym::ESCAPE; 2]) {
        thread::sleep(PAUSE);
        session.seen.press_key(key);
    }
    let chosen = session.monitors[1];
    session.goes_on_showing(chosen, 100);
}

#[test]
fn a_screen_may_change_its_size_during_a_session() {
    let Some(lab) = Lab::new() else { return };
    let mut session = Session::start(&lab, &[]);
    let whole = session.whole();
    session.shows(whole);
    session.host_screen.resize(SMALLER.0, SMALLER.1);
    let smaller = Area { x: 0, y: 0, width: SMALLER.0.into(), height: SMALLER.1.into() };
    session.goes_on_showing(smaller, 101);
    session.host_screen.resize(DISPLAY_SIZE.0, DISPLAY_SIZE.1);
    session.canvas.repaint(102);
    session.goes_on_showing(whole, 103);
}
