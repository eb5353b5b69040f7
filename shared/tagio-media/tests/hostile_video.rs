//! Lossy pictures that no honest host sends: an error or some picture, never a panic, never a pixel elsewhere.

mod desktop;

use desktop::{film, random::Random};
use tagio_media::{
    Framebuffer, View,
    codec::{
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::{Rect, Size};

const SCREEN: Size = Size::new(320, 240);
const PLACE: Rect = Rect::new(40, 30, 176, 144);
const TARGET: FrameTarget = FrameTarget { bytes: 3000, qp_min: 14, qp_max: 40 };
const MUTATIONS: u64 = 1000;

/// A film of a few frames, of H.264 and of JPEG.
fn honest() -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut frame, mut random) = (Framebuffer::new(SCREEN), Random::new(1));
    let mut encoder = H264Encoder::new(Size::new(PLACE.width, PLACE.height)).expect("a size that H.264 has");
    let mut frames = Vec::new();
    for i in 0..4 {
        film::photo(&mut frame, PLACE, i as f32 / 15.0, &mut random);
        let sent = encoder.encode(&View::whole(&frame), PLACE, false, TARGET).expect("the library works");
        frames.push(sent.expect("a frame").payload);
    }
    (frames, jpeg::encode(&View::whole(&frame), PLACE, 75).expect("a size that JPEG has"))
}

/// Bends some bytes, cuts the end off, or puts noise in its place.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len() as u64;
    match random.below(8) {
        0 => bytes.truncate(random.below(len) as usize),
        1 => bytes.iter_mut().skip(random.below(len) as usize).for_each(|byte| *byte = random.next() as u8),
        2 => *bytes = (0..random.below(2000)).map(|_| random.next() as u8).collect(),
        // The parameter sets and headers lie in front.
        3 | 4 => bytes[random.below(len.min(60)) as usize] = random.next() as u8,
        _ => (0..1 + random.below(4)).for_each(|_| bytes[random.below(len) as usize] ^= 1 << random.below(8)),
    }
}

/// Whether no pixel outside [`PLACE`] was written.
fn is_clean_around(shown: &Framebuffer) -> bool {
    let mut around = shown.clone();
    around.rows_mut(PLACE).for_each(|row| row.fill(0));
    around.bytes().iter().all(|byte| *byte == 0)
}

#[test]
fn bent_h264_never_panics_and_a_keyframe_heals() {
    let (frames, _) = honest();
    let mut random = Random::new(11);
    let mut refused = 0;
    let mut shown = Framebuffer::new(SCREEN);
    let mut decoder = H264Decoder::new().unwrap();
    for round in 0..MUTATIONS {
        for (i, honest) in frames.iter().enumerate() {
            let mut frame = honest.clone();
            if i as u64 == round % 4 {
                mutate(&mut frame, &mut random);
            }
            refused += u32::from(decoder.decode(&frame, PLACE, &mut shown).is_err());
        }
        if round % 100 == 0 {
            assert!(is_clean_around(&shown), "round {round}");
            decoder = H264Decoder::new().unwrap();
            decoder.decode(&frames[0], PLACE, &mut shown).unwrap();
        }
    }
    assert!(refused > 50, "only {refused} were refused");
}

#[test]
fn bent_jpeg_never_panics() {
    let (_, file) = honest();
    let mut random = Random::new(12);
    let mut refused = 0;
    let mut shown = Framebuffer::new(SCREEN);
    for _ in 0..MUTATIONS {
        let mut bent = file.clone();
        mutate(&mut bent, &mut random);
        refused += u32::from(jpeg::decode(&bent, PLACE, &mut shown).is_err());
    }
    assert!(is_clean_around(&shown));
    assert!(refused > 50, "only {refused} were refused");
}

#[test]
fn a_jpeg_that_claims_to_be_huge_is_refused_by_its_header() {
    let (_, mut file) = honest();
    let sof = file.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline file");
    file[sof + 5..sof + 9].fill(0xff);
    assert!(jpeg::decode(&file, PLACE, &mut Framebuffer::new(SCREEN)).is_err());
}
