//! The whole picture, host to viewer, over a network that loses and delays video: whatever happened, once nothing
//! happens any more the viewer has the host's picture to the bit.
//!
//! Set `TAGIO_SEED` to repeat one session.

mod desktop;

use std::time::{Duration, Instant};

use desktop::{
    Desktop, film, link,
    random::Random,
    session::{Session, Tally},
};
use tagio_media::{
    Region, View,
    codec::{
        jpeg,
        picture::{Link, PictureDecoder, PictureEncoder},
    },
};
use tagio_wire::{
    Rect, Size,
    picture::{Band, Codec, Timing, UpdateHeader, VideoCodec, VideoHeader},
    session::{Quality, VideoWish},
};

const SCREEN: Size = Size::new(520, 400);
/// Sessions of each quality.
const SESSIONS: u64 = 10;
/// What happens in each.
const STEPS: usize = 110;
/// A film has at least 15 frames a second for the policy that asks for most.
const STEP: Duration = Duration::from_millis(33);

/// A session and what draws on its screen.
struct Play {
    session: Session,
    random: Random,
    quality: Quality,
    video: VideoWish,
    desktop: Desktop,
    film: Option<Rect>,
    frame: u64,
}

impl Play {
    fn new(seed: u64, quality: Quality) -> Self {
        let mut random = Random::new(seed);
        let video = if random.below(4) == 0 { VideoWish::Jpeg } else { VideoWish::H264 };
        let desktop = Desktop::new(SCREEN, seed);
        // Every other session wraps its numbers around.
        let number = if random.below(2) == 0 { 0 } else { u32::MAX - random.below(60) as u32 };
        let mut session = Session::new(desktop.frame.clone(), number);
        session.wish(quality, video, SCREEN.rect());
        Self { session, random, quality, video, desktop, film: None, frame: 0 }
    }

    /// Something happens, perhaps it is encoded, perhaps some of it arrives.
    fn step(&mut self) {
        match self.random.below(60) {
            0..=2 => self.film = if self.film.is_none() { Some(self.a_place_for_a_film()) } else { None },
            3 if self.film.is_some() => self.film = Some(self.a_place_for_a_film()),
            4 if self.random.below(2) == 0 => self.wish(),
            5 if self.random.below(3) == 0 => self.resize(),
            6 => self.session.link = self.a_link(),
            7..=27 => self.draw(),
            _ => {}
        }
        if let Some(place) = self.film {
            self.frame += 1;
            film::photo(&mut self.desktop.frame, place, self.frame as f32 / 15.0, &mut self.random);
            self.damage(place);
        }
        if self.random.below(8) != 0 {
            self.session.encode();
        }
        self.session.deliver_some(&mut self.random);
        self.session.now += STEP;
    }

    fn damage(&mut self, rect: Rect) {
        self.session.screen.copy_rect_from(&self.desktop.frame, rect);
        self.session.damage(rect);
    }

    fn draw(&mut self) {
        let size = self.desktop.frame.size();
        let side_max = [20, 150, 500][self.random.below(3) as usize];
        let place = self.random.rect(size, side_max);
        match self.random.below(6) {
            0 => self.desktop.fill(place, [self.random.next() as u8, 200, 10]),
            1 => self.desktop.draw_text(place, self.random.next(), [255; 3], true),
            2 => self.desktop.draw_noise(place, &mut self.random),
            3 => self.desktop.frame.rows_mut(place).flatten().for_each(|byte| *byte = byte.rotate_left(1)),
            _ => return self.shift(place),
        }
        self.damage(place);
    }

    /// Pixels move, as a scroll or a dragged window does; sometimes with a film in them.
    fn shift(&mut self, to: Rect) {
        let size = self.desktop.frame.size();
        let across = self.random.below(u64::from(size.width - to.width) + 1) as u32;
        let down = self.random.below(u64::from(size.height - to.height) + 1) as u32;
        let scrolled = (to.y + self.random.below(30) as u32).min(size.height - to.height);
        let from = match self.random.below(2) {
            0 => Rect { y: scrolled, ..to },
            _ => Rect { x: across, y: down, ..to },
        };
        let old: Vec<Vec<u8>> = self.desktop.frame.rows(from).map(<[u8]>::to_vec).collect();
        self.desktop.frame.rows_mut(to).zip(&old).for_each(|(row, old)| row.copy_from_slice(old));
        self.damage(to);
    }

    fn a_place_for_a_film(&mut self) -> Rect {
        let size = self.desktop.frame.size();
        let (width, height) = (size.width.min(330), size.height.min(190));
        let x = self.random.below(u64::from(size.width - width) + 1) as u32;
        let y = self.random.below(u64::from(size.height - height) + 1) as u32;
        Rect::new(x, y, width, height)
    }

    fn a_link(&mut self) -> Link {
        let rates = [None, Some(4e3), Some(60e3), Some(1e6)];
        rates[self.random.below(4) as usize].map_or_else(Link::default, link)
    }

    /// Another part of the screen, another codec for video, and where bytes are saved colour and resolution.
    fn wish(&mut self) {
        let size = self.desktop.frame.size();
        let area = match self.random.below(3) {
            0 => size.rect(),
            1 => Rect { width: size.width.div_ceil(2), ..size.rect() },
            _ => self.random.rect(size, 600),
        };
        if let Quality::Saver { grey, half } = &mut self.quality {
            (*grey, *half) = (self.random.below(2) == 0, self.random.below(2) == 0);
        }
        self.video = if self.random.below(2) == 0 { VideoWish::Jpeg } else { VideoWish::H264 };
        self.session.wish(self.quality, self.video, area);
    }

    fn resize(&mut self) {
        let size = Size::new(1 + self.random.below(600) as u32, 1 + self.random.below(450) as u32);
        self.desktop = Desktop::new(size, self.random.next());
        self.film = None;
        self.session.resize(self.desktop.frame.clone());
    }
}

/// Plays sessions of one quality, each to its exact end, twice: a picture that was exact goes on.
fn play(quality: Quality) {
    let only: Option<u64> = std::env::var("TAGIO_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = only.map_or(0..SESSIONS, |seed| seed..seed + 1);
    let mut total = Tally::default();
    for seed in seeds {
        println!("TAGIO_SEED={seed}");
        let mut play = Play::new(seed, quality);
        for _ in 0..2 {
            (0..STEPS).for_each(|_| play.step());
            play.film = None;
            play.session.settle(&mut play.random);
            play.session.assert_exact();
        }
        total.add(&play.session.tally);
    }
    println!("{total:?}");
    if only.is_none() {
        total.assert_all_happened();
    }
}

#[test]
fn a_sharp_picture_becomes_exact() {
    play(Quality::Sharp);
}

#[test]
fn an_ordinary_picture_becomes_exact() {
    play(Quality::Auto);
}

#[test]
fn a_smooth_picture_becomes_exact() {
    play(Quality::Smooth);
}

#[test]
fn a_picture_that_saves_bytes_becomes_exactly_its_view() {
    play(Quality::Saver { grey: true, half: true });
}

#[test]
fn what_the_base_has_under_a_film_becomes_exact_elsewhere() {
    let mut play = Play::new(1, Quality::Auto);
    play.session.settle(&mut play.random);
    let place = Rect::new(100, 10, 330, 190);
    let mut base = play.desktop.frame.clone();
    for frame in 0..15 {
        film::photo(&mut play.desktop.frame, place, frame as f32 / 15.0, &mut play.random);
        play.damage(place);
        play.session.encode();
        play.session.deliver_all(&mut play.random);
        play.session.now += STEP;
        if play.session.tally.h264 == 0 {
            base.clone_from(&play.desktop.frame);
        }
    }
    assert!(play.session.tally.shown > 3, "the film plays: {:?}", play.session.tally);
    let below = Rect { y: 205, ..place };
    let rows: Vec<Vec<u8>> = base.rows(place).map(<[u8]>::to_vec).collect();
    play.desktop.frame.rows_mut(below).zip(&rows).for_each(|(row, old)| row.copy_from_slice(old));
    play.damage(below);
    play.session.encode();
    play.session.settle(&mut play.random);
    play.session.assert_exact();
}

#[test]
fn a_frame_that_overtakes_a_copy_does_not_get_into_it() {
    let desktop = Desktop::new(SCREEN, 1);
    let (place, below) = (Rect::new(10, 10, 200, 120), Rect::new(30, 220, 200, 120));
    let mut decoder = PictureDecoder::new();
    let view = View::whole(&desktop.frame);
    let first = PictureEncoder::new().encode(&view, &Region::new(), Link::default(), 1, Instant::now());
    let first = first.expect("it encodes").update.expect("a picture begins");
    decoder.update(&first.header, &first.payload).expect("honest");
    let copy = Band { rect: below, codec: Codec::Copy { x: place.x, y: place.y }, len: 0 };
    let second = UpdateHeader { number: 2, bands: vec![copy], ..first.header };
    let third = VideoHeader {
        number: 3,
        screen: SCREEN,
        scale: 1,
        slot: 0,
        rect: place,
        codec: VideoCodec::Jpeg,
        after: 0,
        timing: Timing::default(),
    };
    let mut film = desktop.frame.clone();
    film::photo(&mut film, place, 0.0, &mut Random::new(1));
    let jpeg = jpeg::encode(&View::whole(&film), place, 80).expect("a size that JPEG has");
    assert_eq!(decoder.frame(third, jpeg).changed.area(), place.area());
    decoder.update(&second, &[]).expect("honest");
    let colours = |row: &[u8]| row.chunks_exact(4).flat_map(|pixel| pixel[..3].to_vec()).collect::<Vec<_>>();
    let copied = decoder.picture().rows(below).map(colours);
    assert!(copied.eq(desktop.frame.rows(place).map(colours)), "the copy is of the film");
}
