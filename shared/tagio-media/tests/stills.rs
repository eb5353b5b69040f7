//! Photographs on a thin link: recognisable soon, exact in the end, and never in the way of text.

mod desktop;

use std::time::{Duration, Instant};

use desktop::{Desktop, film, link, random::Random};
use tagio_media::{
    Framebuffer, Region, View,
    codec::picture::{Encoded, Link, PictureDecoder, PictureEncoder},
};
use tagio_wire::{
    Rect, Size,
    picture::{Codec, UpdateNumber},
    session::{Quality, VideoWish},
};

const SCREEN: Size = Size::new(1280, 800);
const PAGE: Rect = Rect::new(100, 50, 1000, 700);
const PHOTO: Rect = Rect::new(151, 117, 643, 481);
const TEXT: Rect = Rect::new(151, 617, 900, 108);

/// 1 Mb/s.
const THIN: Link = link(125_000.0);
/// 1 Gb/s.
const FAST: Link = link(125_000_000.0);

/// A host and a viewer whose link carries everything at once, but is said to be slower.
struct Session {
    encoder: PictureEncoder,
    decoder: PictureDecoder,
    number: UpdateNumber,
    now: Instant,
    /// Sent so far, in bytes.
    bytes: usize,
    jpegs: usize,
}

impl Session {
    /// With the whole desktop at the viewer.
    fn new(desktop: &Desktop, quality: Quality) -> Self {
        let mut session = Self {
            encoder: PictureEncoder::new(),
            decoder: PictureDecoder::new(),
            number: 0,
            now: Instant::now(),
            bytes: 0,
            jpegs: 0,
        };
        session.encoder.set_wish(quality, VideoWish::H264);
        session.step(&desktop.frame, &[SCREEN.rect()], Link::default());
        assert!(session.is_exact(&desktop.frame));
        session.bytes = 0;
        session
    }

    /// Sends at most one update.
    fn step(&mut self, screen: &Framebuffer, damage: &[Rect], link: Link) {
        let mut region = Region::new();
        damage.iter().for_each(|rect| region.add(*rect));
        self.now += Duration::from_millis(50);
        let next = self.number.wrapping_add(1);
        let encoded = self.encoder.encode(&View::whole(screen), &region, link, next, self.now);
        let Encoded { frames, update } = encoded.expect("the codecs work");
        for frame in frames {
            self.number = frame.header.number;
            self.bytes += frame.payload.len();
            self.decoder.frame(frame.header, frame.payload);
        }
        if let Some(update) = update {
            self.number = update.header.number;
            self.bytes += update.payload.len();
            self.jpegs += update.header.bands.iter().filter(|band| band.codec == Codec::Jpeg).count();
            self.decoder.update(&update.header, &update.payload).expect("an update of our own");
        }
    }

    /// Goes on until nothing is left to be sent.
    fn finish(&mut self, screen: &Framebuffer, link: Link) {
        // A film has to be seen to have stopped.
        let is_done = |encoder: &PictureEncoder| !encoder.is_behind() && encoder.next_deadline().is_none();
        for _ in 0..20_000 {
            if is_done(&self.encoder) {
                break;
            }
            self.step(screen, &[], link);
        }
        assert!(is_done(&self.encoder), "it never ends");
    }

    fn is_exact(&self, screen: &Framebuffer) -> bool {
        self.decoder.exact_share() >= 1.0 && self.decoder.picture().to_rgb() == screen.to_rgb()
    }

    fn shows(&self, screen: &Framebuffer, rect: Rect) -> bool {
        let pairs = self.decoder.picture().rows(rect).zip(screen.rows(rect));
        let mut pixels = pairs.flat_map(|(a, b)| a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0));
        pixels.all(|(a, b)| a[..3] == b[..3])
    }

    fn psnr(&self, screen: &Framebuffer) -> f64 {
        film::psnr(self.decoder.picture(), screen, PHOTO)
    }
}

/// Shows a page with a photograph and some text.
fn draw_page(desktop: &mut Desktop, t: f32) {
    desktop.fill(PAGE, [0xff; 3]);
    film::photo(&mut desktop.frame, PHOTO, t, &mut Random::new(3));
    desktop.draw_text(TEXT, 5, [0xff; 3], false);
}

#[test]
fn a_page_with_a_photograph_is_recognisable_soon_and_exact_in_the_end() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut exact = Session::new(&desktop, Quality::Sharp);
    let mut auto = Session::new(&desktop, Quality::Auto);
    draw_page(&mut desktop, 1.0);
    exact.step(&desktop.frame, &[PAGE], THIN);
    exact.finish(&desktop.frame, THIN);
    assert!(exact.jpegs == 0 && exact.is_exact(&desktop.frame));

    auto.step(&desktop.frame, &[PAGE], THIN);
    let (mut text, mut photo) = (None, None);
    while auto.encoder.is_behind() {
        auto.step(&desktop.frame, &[], THIN);
        if auto.shows(&desktop.frame, TEXT) {
            text.get_or_insert(auto.bytes);
        }
        if auto.psnr(&desktop.frame) >= 30.0 {
            photo.get_or_insert(auto.bytes);
        }
    }
    assert!(auto.is_exact(&desktop.frame));
    let (text, photo) = (text.unwrap(), photo.unwrap());
    assert!(text * 4 < exact.bytes, "text after {text} of {} bytes", exact.bytes);
    assert!(photo * 3 < exact.bytes, "the photograph after {photo} of {} bytes", exact.bytes);
    assert!(auto.bytes < exact.bytes * 2, "{} bytes in all against {}", auto.bytes, exact.bytes);
}

#[test]
fn a_link_that_carries_it_gets_the_photograph_itself() {
    for link in [FAST, Link::default()] {
        let mut desktop = Desktop::new(SCREEN, 7);
        let mut session = Session::new(&desktop, Quality::Auto);
        draw_page(&mut desktop, 1.0);
        session.step(&desktop.frame, &[PAGE], link);
        assert!(session.jpegs == 0 && session.is_exact(&desktop.frame), "{link:?}");
    }
}

#[test]
fn what_waits_comes_exactly_when_the_link_turns_out_to_be_fast() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut session = Session::new(&desktop, Quality::Auto);
    draw_page(&mut desktop, 1.0);
    session.step(&desktop.frame, &[PAGE], THIN);
    let jpegs = session.jpegs;
    session.step(&desktop.frame, &[], FAST);
    assert!(jpegs > 0 && session.jpegs == jpegs);
    session.finish(&desktop.frame, FAST);
    assert!(session.is_exact(&desktop.frame));
}

#[test]
fn a_letter_does_not_wait_for_a_photograph() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut session = Session::new(&desktop, Quality::Auto);
    draw_page(&mut desktop, 1.0);
    session.step(&desktop.frame, &[PAGE], THIN);
    while !session.shows(&desktop.frame, TEXT) {
        session.step(&desktop.frame, &[], THIN);
    }
    for column in 0..60 {
        let cell = desktop.type_letter(column, 38, column as usize);
        session.step(&desktop.frame, &[cell], THIN);
        assert!(session.shows(&desktop.frame, cell), "letter {column} was late");
        assert!(session.encoder.is_behind(), "letter {column}: nothing is left that it could wait for");
    }
    // On the photograph too.
    for column in 0..20 {
        let cell = desktop.type_letter(column, 10, column as usize);
        assert!(cell.intersection(PHOTO) == Some(cell));
        session.step(&desktop.frame, &[cell], THIN);
        assert!(session.shows(&desktop.frame, cell), "letter {column} on the photograph was late");
    }
    session.finish(&desktop.frame, THIN);
    assert!(session.is_exact(&desktop.frame));
}

#[test]
fn on_the_thinnest_link_letters_and_photographs_take_turns() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut session = Session::new(&desktop, Quality::Auto);
    let thinnest = Link { bytes_per_second: Some(8_000.0), update_bytes_max: 2048 };
    draw_page(&mut desktop, 1.0);
    session.step(&desktop.frame, &[PAGE], thinnest);
    // What is around the photograph comes before it.
    let above = Rect::new(PAGE.x, PAGE.y, PAGE.width, PHOTO.y - PAGE.y);
    let beside = Rect::new(PHOTO.right(), PHOTO.y, PAGE.right() - PHOTO.right(), PHOTO.height);
    while ![above, beside, TEXT].iter().all(|rect| session.shows(&desktop.frame, *rect)) {
        session.step(&desktop.frame, &[], thinnest);
    }
    let mut sizes = Vec::new();
    for column in 0..20 {
        let cell = desktop.type_letter(column, 38, column as usize);
        let bytes = session.bytes;
        session.step(&desktop.frame, &[cell], thinnest);
        assert!(session.shows(&desktop.frame, cell), "letter {column} was late");
        sizes.push(session.bytes - bytes);
    }
    sizes.sort_unstable();
    assert!(sizes[8] < 300 && sizes[12] > 600, "letters came in updates of {sizes:?} bytes");
}

#[test]
fn damage_without_a_change_does_not_send_a_photograph_again() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut session = Session::new(&desktop, Quality::Auto);
    draw_page(&mut desktop, 1.0);
    session.step(&desktop.frame, &[PAGE], THIN);
    while session.psnr(&desktop.frame) < 30.0 {
        session.step(&desktop.frame, &[PAGE], THIN);
    }
    let jpegs = session.jpegs;
    for _ in 0..20 {
        session.step(&desktop.frame, &[PAGE], THIN);
    }
    assert!(session.jpegs <= jpegs + 2, "{} JPEGs instead of {jpegs}", session.jpegs);
    session.finish(&desktop.frame, THIN);
    assert!(session.is_exact(&desktop.frame));
}

#[test]
fn text_in_the_place_of_a_photograph_comes_at_once() {
    let mut desktop = Desktop::new(SCREEN, 7);
    let mut session = Session::new(&desktop, Quality::Auto);
    draw_page(&mut desktop, 1.0);
    session.step(&desktop.frame, &[PAGE], THIN);
    let notice = Rect::new(300, 300, 250, 60);
    desktop.draw_text(notice, 11, [0xff; 3], false);
    let mut steps = 1;
    session.step(&desktop.frame, &[notice], THIN);
    while !session.shows(&desktop.frame, notice) {
        session.step(&desktop.frame, &[], THIN);
        steps += 1;
    }
    assert!(steps <= 12, "the notice came after {steps} updates");
    session.finish(&desktop.frame, THIN);
    assert!(session.is_exact(&desktop.frame));
}

#[test]
fn any_sequence_ends_exact() {
    let mut jpegs = 0;
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut desktop = Desktop::new(SCREEN, seed);
        let mut session = Session::new(&desktop, Quality::Auto);
        for step in 0..40 {
            let place = random.rect(SCREEN, 700);
            let mut damage = vec![place];
            match random.below(8) {
                0 => desktop.draw_text(place, random.next(), [255; 3], true),
                1 => desktop.fill(place, [random.next() as u8, 9, 7]),
                2 => {
                    let wish = [Quality::Auto, Quality::Sharp, Quality::Smooth][random.below(3) as usize];
                    session.encoder.set_wish(wish, VideoWish::H264);
                }
                // Pages with photographs scroll.
                3 => desktop.frame.copy_rect_from(&shifted(&desktop.frame, 36), place),
                4 => damage.clear(),
                _ => film::photo(&mut desktop.frame, place, step as f32, &mut random),
            }
            let rate = [8_000.0, 125_000.0, 2_000_000.0, 1e9][random.below(4) as usize];
            session.step(&desktop.frame, &damage, link(rate));
        }
        session.finish(&desktop.frame, link(2_000_000.0));
        let share = session.decoder.exact_share();
        assert!(session.is_exact(&desktop.frame), "seed {seed}: {share} is said to be exact");
        jpegs += session.jpegs;
    }
    assert!(jpegs > 100, "only {jpegs} JPEGs: this does not test what follows them");
}

/// The screen moved up by so many rows; the last ones stay.
fn shifted(frame: &Framebuffer, rows: usize) -> Framebuffer {
    let mut shifted = frame.clone();
    let from = rows * frame.stride();
    let len = frame.bytes().len() - from;
    shifted.bytes_mut()[..len].copy_from_slice(&frame.bytes()[from..]);
    shifted
}
