//! A host whose screen is a page of text with a film in it, and the figures that its viewers print.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Canvas, Lab, Picture, Program,
    lab::{Host, LIMIT, Relay},
    paint::{Film, page},
    picture::Area,
    program::Stream,
};

/// Where the film plays; the rest of the screen is text.
pub const SCENE: Area = Area { x: 400, y: 200, width: 480, height: 270 };
/// Text that shares rows with the film.
pub const BESIDE: Area = Area { x: 0, y: 0, width: 384, height: 800 };

/// As a film from the web.
pub const FRAME: Duration = Duration::from_millis(33);
/// Then it starts again.
pub const FRAMES: usize = 12;

/// The host, and what it shows.
pub struct Cinema<'a> {
    lab: &'a Lab,
    /// The page and the film.
    pub canvas: Canvas,
    film: Film,
    /// What host and viewers meet by.
    pub relay: Relay,
    /// The host.
    pub host: Host,
}

impl<'a> Cinema<'a> {
    /// Opens it on the lab's displays; the film does not play yet.
    pub fn open(lab: &'a Lab) -> Self {
        let mut canvas = Canvas::cover(lab.host_display.screen(), 91);
        canvas.change(canvas.picture().whole(), page);
        let relay = lab.relay();
        let host = lab.host(&relay, &[]);
        Self { lab, canvas, film: Film::new(SCENE, FRAMES), relay, host }
    }

    /// A full-screen viewer that prints figures, with its first frame on the screen.
    ///
    /// # Panics
    /// When that does not come.
    #[track_caller]
    pub fn viewer(&self, args: &[&str]) -> Program {
        let args = [&["--fullscreen", "--stats"], args].concat();
        let viewer = self.lab.viewer(Some(&self.relay), &self.host.id(), &args);
        viewer.word("first-frame", LIMIT);
        viewer
    }

    /// The next picture of the film, at its pace.
    pub fn play(&mut self) {
        let start = Instant::now();
        self.film.play(&mut self.canvas);
        thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }

    /// Plays until it holds, and says whether it did within the limit.
    pub fn play_until(&mut self, limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        while !holds() {
            if Instant::now() > end {
                return false;
            }
            self.play();
        }
        true
    }

    /// Plays for that long.
    pub fn play_for(&mut self, time: Duration) {
        self.play_until(time, || false);
    }

    /// What the viewers' display shows.
    pub fn seen(&self) -> Picture {
        self.lab.viewer_display.screen().grab()
    }

    /// Waits until the viewers' display is exactly the host's.
    ///
    /// # Panics
    /// When it is not within the limit.
    #[track_caller]
    pub fn is_exact_within(&self, limit: Duration) {
        self.lab.viewer_display.screen().wait_for_picture(self.canvas.picture(), limit);
    }
}

/// All figures that a viewer has printed, one object a second.
///
/// # Panics
/// When a line begins like one and is none.
#[track_caller]
pub fn all_figures(viewer: &Program) -> Vec<Value> {
    let lines = viewer.lines_of(Stream::Out);
    let objects = lines.iter().filter(|line| line.starts_with('{'));
    objects.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// The figures of the last second; `None` before the first ones.
pub fn figures(viewer: &Program) -> Option<Value> {
    all_figures(viewer).pop()
}

/// Whether a part of the picture came as video in the last second.
pub fn has_video(viewer: &Program) -> bool {
    figures(viewer).is_some_and(|figures| figures["video"] == true)
}
