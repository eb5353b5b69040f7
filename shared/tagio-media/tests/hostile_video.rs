//! Lossy pictures that no honest host sends: an error or some picture, never a panic, never a pixel elsewhere.

mod desktop;

use desktop::{film, random::Random};
use tagio_media::{
    Framebuffer, View,
    codec::{
        VideoError,
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

/// Writes numbers as Exp-Golomb codes (ITU-T H.264, 9.1) and plain bits.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn plain(mut self, number: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| number >> bit & 1 == 1));
        self
    }

    fn numbers(self, numbers: &[u32]) -> Self {
        numbers.iter().fold(self, |bits, number| {
            let len = (number + 1).ilog2();
            bits.plain(0, len).plain(number + 1, len + 1)
        })
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        let byte =
            |bits: &[bool]| bits.iter().zip(0..).fold(0, |byte, (bit, at)| byte | u8::from(*bit) << (7 - at));
        self.0.chunks(8).map(byte).collect()
    }
}

/// A sequence parameter set of the Main profile, level 5.2, for pictures of so many macroblocks.
fn parameter_set(columns: u32, rows: u32) -> Vec<u8> {
    let bits = Bits::default().plain(77, 8).plain(0, 8).plain(52, 8).numbers(&[0, 4, 2, 1]).plain(0, 1);
    let bits = bits.numbers(&[columns - 1, rows - 1]).plain(0b1_1000, 5);
    [[0, 0, 0, 1, 0x67].as_slice(), &bits.bytes()].concat()
}

#[test]
fn a_frame_that_claims_to_be_huge_is_refused_before_the_library_reads_it() {
    let (frames, _) = honest();
    let mut shown = Framebuffer::new(SCREEN);
    for (columns, rows) in [(12, 9), (11, 10), (256, 144), (2000, 2000)] {
        let frame = [parameter_set(columns, rows), frames[0].clone()].concat();
        let mut decoder = H264Decoder::new().unwrap();
        match decoder.decode(&frame, PLACE, &mut shown) {
            Err(VideoError::Misfit { size, .. }) => assert_eq!(size, Size::new(columns * 16, rows * 16)),
            other => panic!("{columns} by {rows} macroblocks: {other:?}"),
        }
    }
    let fitting = [parameter_set(11, 9), frames[0].clone()].concat();
    H264Decoder::new().unwrap().decode(&fitting, PLACE, &mut shown).expect("the size is right");
    let mut picture = Framebuffer::default();
    for (columns, rows, fits) in [(240, 135, true), (135, 240, true), (241, 1, false), (136, 136, false)] {
        let frame = [parameter_set(columns, rows), frames[0].clone()].concat();
        let outcome = H264Decoder::new().unwrap().decode_whole(&frame, &mut picture);
        assert_eq!(
            !matches!(outcome, Err(VideoError::Misfit { .. })),
            fits,
            "{columns} by {rows} macroblocks"
        );
    }
}

#[test]
fn layers_and_partitions_are_refused() {
    let (frames, _) = honest();
    for kind in [2, 14, 15, 20] {
        let frame = [frames[0].as_slice(), &[0, 0, 1, 0x60 | kind, 0x42, 0x80]].concat();
        let outcome = H264Decoder::new().unwrap().decode(&frame, PLACE, &mut Framebuffer::new(SCREEN));
        assert!(matches!(outcome, Err(VideoError::Damaged { .. })), "{kind}: {outcome:?}");
    }
}
