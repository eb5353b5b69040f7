//! Bad links: text is exact and letters come soon where little passes, the picture ends exact where packets are lost,
//! and a link that gets slow and fast again is no harm.
#![cfg(target_os = "linux")]

use std::{
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    BadLine, Canvas, Islands, Program, Screen,
    bad_line::Impairment,
    canvas::Happened,
    cinema::{FRAME, FRAMES, SCENE},
    eventually,
    lab::{Host, LIMIT, Relay},
    paint::{self, CELL, Film, page},
    picture::Area,
};

/// The slowest link that a session has to be usable on, in kbit/s.
const SLOWEST: u32 = 64;
const SLOW: u32 = 1000;

/// What is promised of a key at 64 kbit/s: half of the letters are here sooner.
const LETTER_PROMISE: Duration = Duration::from_secs(1);
/// And how long any of them may take: the first one may find a page of text on the wire.
const LETTER_LIMIT: Duration = Duration::from_secs(10);

/// How many steps the page may scroll on until a letter that was typed meanwhile shows: half a second.
const STEPS_MAX: usize = 15;
const STEP: Duration = Duration::from_millis(33);
const LINES_PER_STEP: usize = 1;

/// A page of text is some ten kilobytes.
const PAGE_LIMIT: Duration = Duration::from_secs(60);

/// A whole screen of noise and windows after the link is fast again: 200 kB and more, half a minute at 64 kbit/s.
const RECOVERY_LIMIT: Duration = Duration::from_secs(15);

/// The part of the screen that scrolls; letters are typed beside it.
const PAGE: Area = Area { x: 0, y: 0, width: 640, height: 800 };
const NOTES: Area = Area { x: 640, y: 0, width: 640, height: 800 };

/// A watched page on the host's screen.
struct Session {
    canvas: Canvas,
    seen: Screen,
    letters: usize,
    steps: usize,
    // Held, not used: they end with the test. The viewer first.
    _viewer: Program,
    _host: Host,
    _relay: Relay,
}

impl Session {
    /// Starts over a link that is fast, and is exact before it returns.
    fn start(islands: &Islands) -> Self {
        let lab = &islands.lab;
        let mut canvas = Canvas::cover(lab.host_display.screen(), 81);
        canvas.change(canvas.picture().whole(), page);
        let relay = islands.relay();
        let host = islands.host(&relay, &[]);
        let viewer = islands.viewer(&relay, &host, &["--fullscreen"]);
        let seen = lab.viewer_display.screen();
        seen.focus("TagIO", LIMIT);
        canvas.take_keyboard();
        let session =
            Self { canvas, seen, letters: 0, steps: 0, _viewer: viewer, _host: host, _relay: relay };
        session.is_exact(LIMIT);
        session
    }

    #[track_caller]
    fn is_exact(&self, limit: Duration) {
        self.seen.wait_for_picture(self.canvas.picture(), limit);
    }

    /// Types the next letter into the notes and says where it is.
    fn type_letter(&mut self) -> Area {
        self.letters += 1;
        let (number, per_line) = (self.letters, NOTES.width / CELL.0);
        let (column, line) = (number % per_line, 1 + number / per_line);
        let cell = Area { x: NOTES.x + column * CELL.0, y: line * CELL.1, width: CELL.0, height: CELL.1 };
        // Unlike whatever was there.
        self.canvas.change(cell, |x, y| paint::letter(number, x - cell.x, y - cell.y).map(|value| !value));
        cell
    }

    fn shows(&self, area: Area) -> bool {
        self.seen.grab_area(area) == self.canvas.picture().part(area)
    }

    /// A key at the viewer, and the letter that comes of it; how long that took.
    #[track_caller]
    fn key_to_letter(&mut self) -> Duration {
        let start = Instant::now();
        self.seen.type_text("e");
        let pressed = self.canvas.next_happening(LETTER_LIMIT);
        assert!(matches!(pressed, Some(Happened::Key { .. })), "the key did not get there: {pressed:?}");
        let cell = self.type_letter();
        let shown = eventually(LETTER_LIMIT, || self.shows(cell).then_some(()));
        assert!(shown.is_some(), "letter {} did not show within {LETTER_LIMIT:?}", self.letters);
        start.elapsed()
    }

    /// Some letters, at a person's pace.
    #[track_caller]
    fn write(&mut self) {
        let mut times: Vec<Duration> = (0..9).map(|_| self.key_to_letter()).collect();
        times.sort_unstable();
        println!("from a key to its letter: {times:?}");
        let median = times[times.len() / 2];
        assert!(median <= LETTER_PROMISE, "from a key to its letter it takes {median:?}");
    }

    /// The page moves on, at a person's pace.
    fn scroll(&mut self) {
        self.steps += 1;
        let first_row = self.steps * LINES_PER_STEP * CELL.1;
        self.canvas.change(PAGE, |x, y| page(x, first_row + y));
        thread::sleep(STEP);
    }

    /// Scrolls until a letter typed now shows; how many steps that took.
    fn steps_until_letter(&mut self) -> usize {
        let cell = self.type_letter();
        for step in 0..10 * STEPS_MAX {
            if self.shows(cell) {
                return step;
            }
            self.scroll();
        }
        panic!("letter {} never showed", self.letters);
    }
}

#[test]
fn at_64_kbit_letters_show_soon_and_text_is_exact() {
    let Some(islands) = Islands::new() else { return };
    let mut session = Session::start(&islands);
    islands.limit_host_link(Some(SLOWEST));
    session.write();
    session.is_exact(PAGE_LIMIT);
    session.scroll();
    session.is_exact(PAGE_LIMIT);
}

#[test]
fn at_64_kbit_letters_come_while_a_whole_page_does() {
    let Some(islands) = Islands::new() else { return };
    let mut session = Session::start(&islands);
    islands.limit_host_link(Some(SLOWEST));
    let other_page = |x: usize, y: usize| page(x + y / CELL.1 % 3 * 17, y + 7777);
    session.canvas.change(session.canvas.picture().whole(), other_page);
    session.write();
    session.is_exact(PAGE_LIMIT);
}

#[test]
fn at_64_kbit_letters_come_while_a_photograph_beside_them_does() {
    let Some(islands) = Islands::new() else { return };
    let mut session = Session::start(&islands);
    islands.limit_host_link(Some(SLOWEST));
    // It has learnt by then how little passes.
    let other_page = |x: usize, y: usize| page(x, y + 7777);
    session.canvas.change(session.canvas.picture().whole(), other_page);
    session.is_exact(PAGE_LIMIT);
    Film::new(PAGE, 1).play(&mut session.canvas);
    session.write();
}

#[test]
fn at_64_kbit_a_session_starts_and_its_first_picture_is_exact() {
    let Some(islands) = Islands::new() else { return };
    islands.limit_host_link(Some(SLOWEST));
    let mut session = Session::start(&islands);
    session.write();
}

#[test]
fn a_scrolling_page_does_not_hold_letters_up() {
    let Some(islands) = Islands::new() else { return };
    let mut session = Session::start(&islands);
    islands.limit_host_link(Some(SLOW));
    for _ in 0..STEPS_MAX {
        session.scroll();
    }
    let mut steps: Vec<usize> = (0..9).map(|_| session.steps_until_letter()).collect();
    steps.sort_unstable();
    println!("a letter shows after {steps:?} steps of the page");
    let median = steps[steps.len() / 2];
    assert!(median <= STEPS_MAX, "a letter shows after {median} steps of the page");
    session.is_exact(PAGE_LIMIT);
}

#[test]
fn a_link_that_gets_slow_and_fast_again_is_no_harm() {
    let Some(islands) = Islands::new() else { return };
    let mut session = Session::start(&islands);
    for _ in 0..20 {
        session.scroll();
    }
    islands.limit_host_link(Some(SLOWEST));
    for _ in 0..60 {
        session.scroll();
    }
    session.is_exact(PAGE_LIMIT);
    session.write();
    islands.limit_host_link(None);
    session.write();
    session.canvas.repaint(82);
    session.is_exact(RECOVERY_LIMIT);
}

/// A long way over the air: 40 ms there and back.
const LOSSY: Impairment =
    Impairment { delay: Duration::from_millis(20), loss_percent: 1, kilobits_per_second: 20_000 };

#[test]
fn on_a_lossy_line_the_picture_ends_exact() {
    let Some(islands) = Islands::new() else { return };
    let lab = &islands.lab;
    let mut canvas = Canvas::cover(lab.host_display.screen(), 83);
    let relay = islands.relay();
    let host = islands.host(&relay, &[]);
    let line = BadLine::open(&islands.relay_net, relay.address, LOSSY);
    let _viewer = islands.viewer_by(line.address, &host, &["--fullscreen"]);
    let seen = lab.viewer_display.screen();
    seen.wait_for_picture(canvas.picture(), LIMIT);
    let mut film = Film::new(SCENE, FRAMES);
    for round in 0..3 {
        // Text and a film at once, then a whole new screen.
        for step in 0..60 {
            film.play(&mut canvas);
            let first_row = step * CELL.1;
            canvas.change(Area { height: SCENE.y, ..PAGE }, |x, y| page(x, first_row + y));
            thread::sleep(FRAME);
        }
        seen.wait_for_picture(canvas.picture(), LIMIT);
        canvas.repaint(84 + round);
        seen.wait_for_picture(canvas.picture(), LIMIT);
    }
    let (arrived, lost) = line.counts();
    println!("{lost} datagrams of {} were lost", arrived + lost);
    assert!(lost * 500 > arrived, "{lost} lost, {arrived} arrived: the line was no bad one");
}
