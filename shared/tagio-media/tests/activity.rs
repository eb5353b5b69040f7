//! What plays and what only moves: films become video soon and exactly where they are, text never does.

mod desktop;

use std::time::{Duration, Instant};

use desktop::{CODE_PANE, Desktop, FULL_HD, film, random::Random};
use tagio_media::{
    Framebuffer, Region, View,
    activity::{Activity, Playing, Policy, natural_parts},
};
use tagio_wire::Rect;

/// Where a film plays: neither aligned with anything nor even.
const FILM: Rect = Rect::new(1003, 117, 641, 359);
const FRAME: Duration = Duration::from_nanos(33_333_333);

/// A screen on which time passes.
struct Stage {
    desktop: Desktop,
    activity: Activity,
    random: Random,
    start: Instant,
    now: Instant,
    frame: u64,
}

impl Stage {
    fn new() -> Self {
        let now = Instant::now();
        let desktop = Desktop::new(FULL_HD, 7);
        let mut stage =
            Self { desktop, activity: Activity::new(), random: Random::new(3), start: now, now, frame: 0 };
        stage.note(&[FULL_HD.rect()]);
        stage.pass(Duration::from_secs(1));
        stage.start = stage.now;
        stage
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn note(&mut self, damage: &[Rect]) {
        let mut region = Region::new();
        damage.iter().for_each(|rect| region.add(*rect));
        self.activity.note(&View::whole(&self.desktop.frame), &region, self.now);
    }

    /// A frame of a film somewhere.
    fn play(&mut self, place: Rect) {
        self.frame += 1;
        film::photo(&mut self.desktop.frame, place, self.frame as f32 / 15.0, &mut self.random);
    }

    fn videos(&mut self) -> Vec<Playing> {
        self.activity.videos(self.now).into_iter().flatten().collect()
    }

    fn rects(&mut self) -> Vec<Rect> {
        self.videos().into_iter().map(|video| video.rect).collect()
    }

    /// Frames of a film with damage as tight as it gets.
    fn play_frames(&mut self, place: Rect, frames: usize) {
        for _ in 0..frames {
            self.play(place);
            self.note(&[place]);
            self.pass(FRAME);
        }
    }

    /// Draws so many frames; nothing may ever play.
    fn never(&mut self, frames: usize, mut draw: impl FnMut(&mut Self, usize) -> Vec<Rect>) {
        for i in 0..frames {
            let damage = draw(self, i);
            self.note(&damage);
            assert_eq!(self.rects(), [], "frame {i}");
            self.pass(FRAME);
        }
    }
}

/// The part of `wanted` that lies outside `rect`, and the other way round, in pixels.
fn off_by(rect: Rect, wanted: Rect) -> u64 {
    let shared = rect.intersection(wanted).map_or(0, Rect::area);
    rect.area() + wanted.area() - 2 * shared
}

#[test]
fn a_film_starts_within_300_ms_where_it_is_and_ends_100_ms_after_its_last_frame() {
    let mut stage = Stage::new();
    let mut started = None;
    for _ in 0..60 {
        stage.play(FILM);
        stage.note(&[FILM]);
        if !stage.videos().is_empty() {
            started.get_or_insert(stage.now - stage.start);
            assert_eq!(stage.rects(), [FILM]);
        }
        stage.pass(FRAME);
    }
    let started = started.expect("it plays");
    assert!((Duration::from_millis(150)..=Duration::from_millis(300)).contains(&started), "{started:?}");
    assert_eq!(stage.videos()[0].id, 1, "it never started again");
    let last = stage.now - FRAME;
    let deadline = stage.activity.next_deadline().expect("it may stop");
    assert!((Duration::from_millis(90)..=Duration::from_millis(110)).contains(&(deadline - last)));
    stage.now = deadline - Duration::from_millis(1);
    assert_eq!(stage.rects(), [FILM]);
    stage.now = deadline;
    assert_eq!(stage.rects(), []);
    assert_eq!(stage.activity.next_deadline(), None);
    stage.pass(Duration::from_secs(3));
    stage.play_frames(FILM, 9);
    assert_eq!(stage.rects(), [FILM], "it goes on after a pause");
}

#[test]
fn a_film_of_ten_frames_a_second_plays_without_a_break() {
    let mut stage = Stage::new();
    for i in 0..40 {
        stage.play(FILM);
        stage.note(&[FILM]);
        for _ in 0..10 {
            stage.pass(Duration::from_millis(10));
            assert!(i < 4 || stage.rects() == [FILM], "frame {i}");
        }
    }
    assert_eq!(stage.videos()[0].id, 1);
}

#[test]
fn coarse_damage_finds_the_film_and_swallows_no_text() {
    let mut stage = Stage::new();
    stage.desktop.draw_text(Rect::new(900, 60, 1000, 500), 5, [255; 3], false);
    stage.note(&[FULL_HD.rect()]);
    stage.pass(Duration::from_secs(1));
    for _ in 0..30 {
        stage.play(FILM);
        stage.note(&[FULL_HD.rect()]);
        stage.pass(FRAME);
    }
    let found = stage.rects();
    assert_eq!(found.len(), 1);
    assert!(off_by(found[0], FILM) < FILM.area() / 50, "{found:?}");
    assert!(FILM.contains(found[0]), "text beside the film is not part of it: {found:?}");
}

#[test]
fn a_pointer_and_subtitles_over_a_film_do_not_disturb_it() {
    let mut stage = Stage::new();
    stage.play_frames(FILM, 15);
    let before = stage.videos();
    let words = Rect::new(FILM.x + 120, FILM.bottom() - 60, 400, 36);
    for i in 0..90 {
        stage.play(FILM);
        let pointer = Rect::new(FILM.x - 40 + i * 5, FILM.y + 100, 16, 24);
        stage.desktop.fill(pointer, [255; 3]);
        if i % 40 < 30 {
            stage.desktop.draw_text(words, u64::from(i / 40), [0; 3], false);
        }
        stage.note(&[FILM, pointer, words]);
        assert_eq!(stage.videos(), before, "frame {i}");
        stage.pass(FRAME);
    }
}

#[test]
fn a_pointer_over_a_film_that_stands_still_does_not_keep_it_alive() {
    let mut stage = Stage::new();
    stage.play_frames(FILM, 15);
    for i in 0..10 {
        let pointer = Rect::new(FILM.x + 10 + i * 6, FILM.y + 100, 16, 24);
        stage.desktop.fill(pointer, [255; 3]);
        stage.note(&[pointer]);
        stage.pass(FRAME);
    }
    assert_eq!(stage.rects(), []);
}

#[test]
fn a_film_that_grows_or_moves_begins_anew_there() {
    let mut stage = Stage::new();
    stage.play_frames(FILM, 15);
    let first = stage.videos()[0];
    let grown = Rect::new(800, 40, 1080, 680);
    stage.play_frames(grown, 12);
    let second = stage.videos()[0];
    assert_eq!(second.rect, grown);
    assert_ne!(second.id, first.id);
    stage.desktop.fill(grown, [60, 50, 40]);
    stage.note(&[grown]);
    let moved = Rect::new(300, 200, 640, 360);
    stage.play_frames(moved, 12);
    assert_eq!(stage.rects(), [moved]);
    let shrunk = Rect::new(400, 250, 400, 225);
    stage.desktop.fill(moved, [60, 50, 40]);
    stage.note(&[moved]);
    stage.play_frames(shrunk, 30);
    assert_eq!(stage.rects(), [shrunk]);
}

#[test]
fn two_films_play_and_a_third_does_not_push_them_out() {
    let mut stage = Stage::new();
    let places = [Rect::new(20, 20, 480, 270), Rect::new(700, 500, 320, 240), Rect::new(1400, 20, 300, 200)];
    for i in 0..40 {
        let shown = if i < 20 { &places[..2] } else { &places[..] };
        shown.iter().for_each(|place| stage.play(*place));
        stage.note(shown);
        stage.pass(FRAME);
    }
    assert_eq!(stage.rects(), places[..2]);
    let second = stage.activity.videos(stage.now)[1];
    for _ in 0..12 {
        stage.play(places[1]);
        stage.note(&places[1..2]);
        stage.pass(FRAME);
    }
    assert_eq!(stage.activity.videos(stage.now), [None, second], "the other one keeps its slot");
}

#[test]
fn scrolling_text_is_no_film() {
    Stage::new().never(120, |stage, i| {
        stage.desktop.draw_code(i as u64);
        vec![CODE_PANE]
    });
    Stage::new().never(120, |stage, i| {
        stage.desktop.draw_text(Rect::new(300, 100, 1200, 800), i as u64, [255; 3], false);
        vec![Rect::new(300, 100, 1200, 800)]
    });
}

/// Letters with fringes in three colours, smoothed over three subpixels, as `ClearType` has them.
fn draw_clear_type(frame: &mut Framebuffer, place: Rect, seed: u64, offset: u32) {
    let mut random = Random::new(seed);
    let strokes: Vec<bool> = (0..60_000).map(|_| random.below(9) == 0).collect();
    for (y, row) in frame.rows_mut(place).enumerate() {
        let line = (y as u32 + offset) % 18;
        for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let is_ink = line < 12 && x % 70 < 58;
            // Strokes are as tall as four rows, so that letters hang together.
            let from = ((y as u32 + offset) as usize / 4 * 2000 + x) * 3;
            let cover = |i: usize| (0..3).filter(|n| strokes[(from + i + n) % strokes.len()]).count() as u8;
            *pixel = if is_ink {
                [255 - cover(0) * 80, 255 - cover(1) * 80, 255 - cover(2) * 80, 0]
            } else {
                [255; 4]
            };
        }
    }
}

#[test]
fn scrolling_clear_type_is_no_film() {
    let page = Rect::new(300, 100, 900, 800);
    Stage::new().never(60, |stage, i| {
        draw_clear_type(&mut stage.desktop.frame, page, 4, i as u32 * 6);
        vec![page]
    });
}

#[test]
fn typing_and_blinking_are_no_film() {
    Stage::new().never(120, |stage, i| {
        let letter = stage.desktop.type_letter(i as u32 % 100, 20, i % 60);
        let block = Rect::new(1000, 700, 400, 300);
        if i % 4 == 0 {
            stage.desktop.fill(block, [[0; 3], [255; 3]][i / 4 % 2]);
        }
        vec![letter, block]
    });
}

#[test]
fn a_text_window_that_is_dragged_over_a_photograph_is_no_film() {
    for step in [2, 7, 23] {
        let mut stage = Stage::new();
        film::photo(&mut stage.desktop.frame, FULL_HD.rect(), 1.0, &mut Random::new(1));
        stage.note(&[FULL_HD.rect()]);
        stage.pass(Duration::from_secs(1));
        let wallpaper = stage.desktop.frame.clone();
        let mut old = Rect::new(100, 100, 600, 400);
        stage.never(80, |stage, i| {
            let i = i as u32 % 40;
            let new = Rect::new(100 + i * step, 100 + i * step / 2, 600, 400);
            stage.desktop.frame.copy_rect_from(&wallpaper, old);
            stage.desktop.draw_window(new, 9);
            let damage = vec![old, new];
            old = new;
            damage
        });
    }
}

#[test]
fn a_wallpaper_that_is_redrawn_is_no_film() {
    let mut stage = Stage::new();
    let place = Rect::new(0, 0, 800, 600);
    film::photo(&mut stage.desktop.frame, place, 1.0, &mut Random::new(1));
    stage.never(60, |_, _| vec![place]);
}

#[test]
fn a_film_that_turns_into_text_ends_within_two_seconds() {
    let mut stage = Stage::new();
    stage.play_frames(FILM, 20);
    assert_eq!(stage.rects(), [FILM]);
    let end = stage.now + Duration::from_secs(2);
    let mut line = 0;
    while stage.now < end {
        line += 1;
        stage.desktop.draw_text(FILM, line, [255; 3], false);
        stage.note(&[FILM]);
        stage.pass(FRAME);
    }
    assert_eq!(stage.rects(), []);
}

#[test]
fn wishes_move_the_threshold() {
    for (policy, fps, plays) in [
        (Policy::SHARP, 12, false),
        (Policy::AUTO, 12, true),
        (Policy::AUTO, 6, false),
        (Policy::SMOOTH, 6, true),
    ] {
        let mut stage = Stage::new();
        stage.activity.set_policy(policy);
        for _ in 0..2 * fps {
            stage.play(FILM);
            stage.note(&[FILM]);
            stage.pass(Duration::from_secs(1) / fps);
        }
        stage.now -= Duration::from_secs(1) / fps;
        assert_eq!(!stage.rects().is_empty(), plays, "{policy:?}, {fps} frames a second");
    }
}

#[test]
fn photographs_are_told_from_text() {
    let mut stage = Stage::new();
    let photo = Rect::new(256, 128, 512, 384);
    stage.desktop.draw_text(Rect::new(0, 0, 1280, 1080), 3, [255; 3], false);
    film::photo(&mut stage.desktop.frame, photo, 1.0, &mut Random::new(1));
    let view = View::whole(&stage.desktop.frame);
    assert_eq!(natural_parts(&view, Rect::new(0, 600, 1280, 400)), []);
    assert_eq!(natural_parts(&view, FULL_HD.rect()), [photo]);
}
