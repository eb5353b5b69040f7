//! What the viewer shows is what the host shows, to the last bit.
#![cfg(target_os = "linux")]

use std::{
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{
    Canvas, Lab, Program, Seeded,
    lab::{LIMIT, PASSWORD},
    picture::assert_same,
};

/// A picture at rest has to be exact within this.
const REPAIR_LIMIT: Duration = Duration::from_secs(5);

#[test]
fn a_screenshot_is_exact_and_so_is_the_next_one() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 1);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    for seed in [1, 2, 3] {
        canvas.repaint(seed);
        let seen = lab.screenshot(Some(&relay), &host.id(), PASSWORD).expect("a screenshot");
        assert_same(&seen, canvas.picture());
    }
}

#[test]
fn a_full_screen_viewer_shows_the_same_pixels() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 4);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    let window = lab.viewer_display.screen();
    window.wait_for_picture(canvas.picture(), LIMIT);
    for seed in 5..8 {
        canvas.repaint(seed);
        window.wait_for_picture(canvas.picture(), REPAIR_LIMIT);
    }
}

#[test]
fn what_moved_is_exact_once_it_rests() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 9);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    change_for(&mut canvas, Duration::from_secs(3), 10);
    lab.viewer_display.screen().wait_for_picture(canvas.picture(), REPAIR_LIMIT);
}

#[test]
fn two_viewers_see_the_same() {
    let Some(lab) = Lab::new() else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 11);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let window: Program = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    window.word("first-frame", LIMIT);
    let seen = lab.screenshot(Some(&relay), &host.id(), PASSWORD).expect("a second viewer");
    assert_same(&seen, canvas.picture());
    lab.viewer_display.screen().wait_for_picture(canvas.picture(), REPAIR_LIMIT);
}

/// Windows that come and go, scrolling and noise, at a busy desktop's pace.
fn change_for(canvas: &mut Canvas, time: Duration, seed: u64) {
    let mut random = Seeded::new(seed);
    let end = Instant::now() + time;
    while Instant::now() < end {
        let area = canvas.picture().some_area(&mut random);
        let shade = random.byte();
        let noisy = random.below(4) == 0;
        canvas.change(area, |x, y| if noisy { [random.byte(); 3] } else { [shade, x as u8, y as u8] });
        thread::sleep(Duration::from_millis(20));
    }
}
