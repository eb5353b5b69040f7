//! Whatever bytes a decoder is given, it takes them or refuses them: honest ones, honest ones that were bent, and noise.
//!
//! `fuzz/` runs the same bodies for as long as one likes. `TAGIO_CORPUS=fuzz/corpus` writes the honest input there, to
//! begin with.

mod bodies;
#[path = "../desktop/mod.rs"]
mod desktop;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use desktop::{Desktop, film, random::Random};
use tagio_media::{
    Framebuffer, Region, View,
    codec::{
        EncodedFrame, EncodedUpdate,
        h264::{FrameTarget, H264Encoder},
        jpeg,
        picture::{Link, PictureEncoder},
    },
};
use tagio_wire::{
    Rect, Size,
    session::{Quality, StreamKind, VideoWish},
};

const ROUNDS: u64 = 1500;
const SCREEN: Size = Size::new(220, 180);
const FILM: Rect = Rect::new(20, 30, 176, 128);

/// Something behind its length.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("it is short").to_be_bytes(), bytes].concat()
}

fn update(update: &EncodedUpdate) -> Vec<u8> {
    [chunk(&tagio_wire::encode(&update.header)), update.payload.clone()].concat()
}

fn frame(frame: &EncodedFrame) -> Vec<u8> {
    [chunk(&tagio_wire::encode(&frame.header)), chunk(&frame.payload)].concat()
}

/// A short session: text, a film over it, text again. The updates alone, and all that travels.
fn session(video: VideoWish) -> (Vec<u8>, Vec<u8>) {
    let (mut encoder, mut desktop) = (PictureEncoder::new(), Desktop::new(SCREEN, 1));
    encoder.set_wish(Quality::Smooth, video);
    let (start, mut random, mut number) = (Instant::now(), Random::new(1), 0);
    let (mut exact, mut all) = (Vec::new(), Vec::new());
    for step in 0..16 {
        match step {
            0 => {}
            1..=11 => film::photo(&mut desktop.frame, FILM, step as f32 / 15.0, &mut random),
            _ => desktop.draw_text(FILM, step, [255; 3], true),
        }
        let mut damage = Region::new();
        damage.add(if step == 0 { SCREEN.rect() } else { FILM });
        let (view, now) = (View::whole(&desktop.frame), start + Duration::from_millis(40 * step));
        let sent = encoder.encode(&view, &damage, Link::default(), number + 1, now).expect("it encodes");
        number += sent.frames.len() as u32 + u32::from(sent.update.is_some());
        for sent in &sent.frames {
            all.extend([vec![StreamKind::Video.byte()], frame(sent)].concat());
        }
        if let Some(sent) = &sent.update {
            exact.extend(update(sent));
            all.extend([vec![StreamKind::Picture.byte()], update(sent)].concat());
        }
    }
    (exact, all)
}

/// The frames of a film, and the last as JPEG.
fn film() -> (Vec<u8>, Vec<u8>) {
    let place = bodies::PLACE;
    let target = FrameTarget { bytes: 900, qp_min: 14, qp_max: 40 };
    let mut encoder = H264Encoder::new(Size::new(place.width, place.height)).expect("a size that H.264 has");
    let (mut frame, mut random) = (Framebuffer::new(Size::new(96, 80)), Random::new(1));
    let mut frames = Vec::new();
    for i in 0..4 {
        film::photo(&mut frame, place, i as f32 / 15.0, &mut random);
        let sent = encoder.encode(&View::whole(&frame), place, false, target).expect("the library works");
        frames.extend(chunk(&sent.expect("a frame").payload));
    }
    (frames, jpeg::encode(&View::whole(&frame), place, 75).expect("a size that JPEG has"))
}

/// Bends bits and numbers, cuts, repeats, or puts noise in place of a part.
fn bend(honest: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    let place = |random: &mut Random| random.below(honest.len() as u64) as usize;
    for _ in 0..1 + random.below(3) {
        let at = place(random).min(bytes.len().saturating_sub(1));
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at).take(40).for_each(|byte| *byte = random.next() as u8),
            2 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
            3 => bytes = [&bytes[..at], &honest[place(random)..]].concat(),
            // Headers lie in front.
            4 => bytes.iter_mut().take(60).skip(at % 60).take(1).for_each(|byte| *byte = random.next() as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// Feeds one decoder; of honest input it must take at least so many parts.
fn feed(name: &str, body: fn(&[u8]) -> usize, honest: &[Vec<u8>], least: usize) {
    for (i, honest) in honest.iter().enumerate() {
        let taken = body(honest);
        assert!(taken >= least, "{name}: {taken} parts of honest input were taken");
        if let Ok(folder) = std::env::var("TAGIO_CORPUS") {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join(name);
            std::fs::create_dir_all(&folder).expect("a place for the input");
            std::fs::write(folder.join(format!("honest-{i}")), honest).expect("a place for the input");
        }
    }
    let only: Option<u64> = std::env::var("TAGIO_SEED").ok().map(|seed| seed.parse().expect("a number"));
    for seed in only.map_or(0..ROUNDS, |seed| seed..seed + 1) {
        let mut random = Random::new(seed);
        let honest = &honest[random.below(honest.len() as u64) as usize];
        let input = match seed % 16 {
            0 => (0..random.below(3000)).map(|_| random.next() as u8).collect(),
            _ => bend(honest, &mut random),
        };
        let outcome = std::panic::catch_unwind(|| body(&input));
        assert!(outcome.is_ok(), "{name}: TAGIO_SEED={seed} repeats it");
    }
}

#[test]
fn exact_bands() {
    feed("bands", bodies::bands, &[session(VideoWish::H264).0], 5);
}

#[test]
fn whole_sessions() {
    let sessions = [VideoWish::H264, VideoWish::Jpeg].map(|video| session(video).1);
    feed("picture", bodies::picture, &sessions, 12);
}

#[test]
fn h264_frames() {
    feed("h264", bodies::h264, &[film().0], 4);
}

#[test]
fn jpeg_files() {
    feed("jpeg", bodies::jpeg, &[film().1], 1);
}
