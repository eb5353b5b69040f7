//! Video where it moves, exact where it rests, nothing where nobody looks, and what each viewer asked for.
#![cfg(target_os = "linux")]

use std::{
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Islands, Lab, Picture, Program, Xvfb, eventually,
    lab::{DISPLAY_SIZE, Host, LIMIT, PASSWORD, Relay},
    paint::{Film, page},
    picture::{Area, assert_same},
    procfs::network_bytes,
    program::Stream,
};

/// Where the film plays; the rest of the screen is text.
const SCENE: Area = Area { x: 400, y: 200, width: 480, height: 270 };
/// Text that shares rows with the film.
const BESIDE: Area = Area { x: 0, y: 0, width: 384, height: 800 };

/// As a film from the web.
const FRAME: Duration = Duration::from_millis(33);
const FRAMES: usize = 12;

/// How long a film may play until it comes as video. 300 ms is the aim; a debug build on a busy machine draws slowly.
const BECOMES_VIDEO: Duration = Duration::from_secs(10);
/// How long the whole picture may take to be exact after the film has stopped: 150 ms is the aim.
const REPAIR: Duration = Duration::from_secs(5);

/// A host whose screen is a page with a film in it.
struct Cinema<'a> {
    lab: &'a Lab,
    canvas: Canvas,
    film: Film,
    relay: Relay,
    host: Host,
}

impl<'a> Cinema<'a> {
    fn open(lab: &'a Lab) -> Self {
        let mut canvas = Canvas::cover(lab.host_display.screen(), 91);
        canvas.change(canvas.picture().whole(), page);
        let relay = lab.relay();
        let host = lab.host(&relay, &[]);
        Self { lab, canvas, film: Film::new(SCENE, FRAMES), relay, host }
    }

    fn viewer(&self, args: &[&str]) -> Program {
        let args = [&["--fullscreen", "--stats"], args].concat();
        let viewer = self.lab.viewer(Some(&self.relay), &self.host.id(), &args);
        viewer.word("first-frame", LIMIT);
        viewer
    }

    /// The next picture of the film, at its pace.
    fn play(&mut self) {
        let start = Instant::now();
        self.film.play(&mut self.canvas);
        thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }

    /// Plays until it holds, and says whether it did within the limit.
    fn play_until(&mut self, limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        while !holds() {
            if Instant::now() > end {
                return false;
            }
            self.play();
        }
        true
    }

    fn play_for(&mut self, time: Duration) {
        self.play_until(time, || false);
    }

    fn seen(&self) -> Picture {
        self.lab.viewer_display.screen().grab()
    }
}

/// The figures of the last second; `None` before the first ones.
fn figures(viewer: &Program) -> Option<serde_json::Value> {
    let lines = viewer.lines_of(Stream::Out);
    lines.iter().rev().find(|line| line.starts_with('{')).and_then(|line| serde_json::from_str(line).ok())
}

fn has_video(viewer: &Program) -> bool {
    figures(viewer).is_some_and(|figures| figures["video"] == true)
}

#[test]
fn a_film_becomes_video_and_is_exact_once_it_stops() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&[]);
    assert!(cinema.play_until(BECOMES_VIDEO, || has_video(&viewer)), "{:?}", figures(&viewer));
    cinema.play_for(Duration::from_secs(1));
    // While it plays, and to the last pixel beside it.
    assert_same(&cinema.seen().part(BESIDE), &cinema.canvas.picture().part(BESIDE));
    lab.viewer_display.screen().wait_for_picture(cinema.canvas.picture(), REPAIR);
    let is_over = eventually(REPAIR, || (!has_video(&viewer)).then_some(()));
    assert!(is_over.is_some(), "still video: {:?}", figures(&viewer));
}

#[test]
fn a_film_without_h264_is_exact_once_it_stops_too() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&["--video", "jpeg"]);
    assert!(cinema.play_until(BECOMES_VIDEO, || has_video(&viewer)), "{:?}", figures(&viewer));
    assert_same(&cinema.seen().part(BESIDE), &cinema.canvas.picture().part(BESIDE));
    lab.viewer_display.screen().wait_for_picture(cinema.canvas.picture(), REPAIR);
}

#[test]
fn text_that_changes_never_becomes_video() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&[]);
    for step in 0..90 {
        cinema.canvas.change(BESIDE, |x, y| page(x, y + step * 16));
        thread::sleep(FRAME);
        assert!(!has_video(&viewer), "text came as video after {step} steps: {:?}", figures(&viewer));
    }
    lab.viewer_display.screen().wait_for_picture(cinema.canvas.picture(), REPAIR);
}

/// Bytes of both directions that a hidden film may cost a second: keep-alives and reports.
const HIDDEN_BYTES_PER_SECOND_MAX: u64 = 5_000;

#[test]
fn a_minimised_viewer_gets_no_picture_until_it_is_seen_again() {
    let Some(islands) = Islands::new() else { return };
    let lab = &islands.lab;
    let mut canvas = Canvas::cover(lab.host_display.screen(), 92);
    let mut film = Film::new(SCENE, FRAMES);
    let relay = islands.relay();
    let host = islands.host(&relay, &[]);
    let _viewer = islands.viewer(&relay, &host, &["--fullscreen"]);
    let screen = lab.viewer_display.screen();
    screen.wait_for_picture(canvas.picture(), LIMIT);
    let mut bytes_of_two_seconds = || {
        let before = network_bytes(&islands.host_net.read("/proc/net/dev"));
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            film.play(&mut canvas);
            thread::sleep(FRAME);
        }
        network_bytes(&islands.host_net.read("/proc/net/dev")) - before
    };
    let shown = bytes_of_two_seconds();
    let window = screen.find_window("TagIO").expect("the viewer's window");
    screen.minimise(window);
    // What is under way still arrives.
    bytes_of_two_seconds();
    let hidden = bytes_of_two_seconds();
    println!("two seconds of the film cost {shown} bytes, and {hidden} while nobody looks");
    assert!(shown > 4 * HIDDEN_BYTES_PER_SECOND_MAX, "no film came: {shown} bytes");
    assert!(hidden < 2 * HIDDEN_BYTES_PER_SECOND_MAX, "{hidden} bytes for a hidden window");
    screen.restore(window);
    screen.wait_for_picture(canvas.picture(), LIMIT);
}

#[test]
fn each_viewer_gets_what_it_asked_for() {
    let Some(lab) = Lab::new() else { return };
    let (width, height) = DISPLAY_SIZE;
    let second = Xvfb::start(width, height).and_then(Xvfb::with_window_manager);
    let Some(second) = second else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&[]);
    let mut command =
        lab.viewer_command(&cinema.host.id(), &["--fullscreen", "--quality", "saver", "--grey"]);
    command.args(["--password", PASSWORD, "--relay", &cinema.relay.flag()]).env("DISPLAY", second.name());
    let saver = Program::start("saving viewer", &mut command);
    saver.word("first-frame", LIMIT);
    assert!(cinema.play_until(BECOMES_VIDEO, || has_video(&viewer)), "{:?}", figures(&viewer));
    lab.viewer_display.screen().wait_for_picture(cinema.canvas.picture(), REPAIR);
    let is_grey = eventually(REPAIR, || grey_share(&second.screen().grab()).eq(&1.0).then_some(()));
    let seen = second.screen().grab();
    assert!(is_grey.is_some(), "grey is {} of the picture", grey_share(&seen));
    assert!(seen.pixels.iter().any(|pixel| pixel != &seen.pixels[0]), "there is a picture");
}

fn grey_share(picture: &Picture) -> f64 {
    let grey = picture.pixels.iter().filter(|[r, g, b]| r == g && g == b).count();
    grey as f64 / picture.pixels.len() as f64
}

#[test]
fn a_viewer_that_saves_sees_no_colours() {
    let Some(lab) = Lab::new() else { return };
    let _canvas = Canvas::cover(lab.host_display.screen(), 93);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen", "--quality", "saver", "--grey"]);
    viewer.word("first-frame", LIMIT);
    let is_grey = || grey_share(&lab.viewer_display.screen().grab()).eq(&1.0).then_some(());
    assert!(eventually(LIMIT, is_grey).is_some(), "there are colours");
}

#[test]
fn one_monitor_of_two_can_be_chosen() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 94);
    let halves =
        [Area { x: 0, y: 0, width: 500, height: 800 }, Area { x: 500, y: 0, width: 780, height: 600 }];
    let chosen = lab.host_display.screen().divide(&halves)[1];
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen", "--monitor", "2"]);
    viewer.word("first-frame", LIMIT);
    let screen = lab.viewer_display.screen();
    let place = Area { x: 0, y: 0, ..chosen };
    for seed in [95, 96] {
        canvas.repaint(seed);
        let wanted = canvas.picture().part(chosen);
        let seen = eventually(LIMIT, || (screen.grab_area(place) == wanted).then_some(()));
        assert!(seen.is_some(), "the second monitor is not where it should be: {chosen:?}");
    }
}
