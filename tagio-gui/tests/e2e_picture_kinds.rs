//! Video where it moves, exact where it rests, nothing where nobody looks, and what each viewer asked for.
#![cfg(target_os = "linux")]

use std::{
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Cinema, Islands, Lab, Picture, Program, Xvfb,
    cinema::{BESIDE, FRAME, FRAMES, SCENE, figures, has_video},
    eventually,
    lab::{DISPLAY_SIZE, LIMIT, PASSWORD},
    paint::{Film, page},
    picture::assert_same,
    procfs::network_bytes,
};

/// How long a film may play until it comes as video. 300 ms is the aim; a debug build on a busy machine draws slowly.
const BECOMES_VIDEO: Duration = Duration::from_secs(10);
/// How long the whole picture may take to be exact after the film has stopped: 150 ms is the aim.
const REPAIR: Duration = Duration::from_secs(5);

#[test]
fn a_film_becomes_video_and_is_exact_once_it_stops() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&[]);
    assert!(cinema.play_until(BECOMES_VIDEO, || has_video(&viewer)), "{:?}", figures(&viewer));
    cinema.play_for(Duration::from_secs(1));
    // While it plays, and to the last pixel beside it.
    assert_same(&cinema.seen().part(BESIDE), &cinema.canvas.picture().part(BESIDE));
    cinema.is_exact_within(REPAIR);
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
    cinema.is_exact_within(REPAIR);
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
    cinema.is_exact_within(REPAIR);
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
    cinema.is_exact_within(REPAIR);
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

/// As the host averages 2 by 2 pixels for a viewer that saves.
fn halved(picture: &Picture) -> Picture {
    let mut half = picture.clone();
    half.fill_with(picture.whole(), |x, y| {
        let (x, y) = (x & !1, y & !1);
        let pixels = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| {
            let (x, y) = ((x + right).min(picture.width - 1), (y + down).min(picture.height - 1));
            picture.pixels[y * picture.width + x]
        });
        [0, 1, 2].map(|colour| {
            let sum: u16 = pixels.iter().map(|pixel| u16::from(pixel[colour])).sum();
            ((sum + 2) / 4) as u8
        })
    });
    half
}

#[test]
fn a_viewer_that_saves_may_see_half_of_the_pixels() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 97);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen", "--quality", "saver", "--half"]);
    viewer.word("first-frame", LIMIT);
    for seed in [98, 99] {
        lab.viewer_display.screen().wait_for_picture(&halved(canvas.picture()), LIMIT);
        canvas.repaint(seed);
    }
}
