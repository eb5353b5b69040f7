//! Stored bytes of each codec mean the same pixels for ever: a viewer of tomorrow shows what a host of today sends.
//!
//! `tests/golden` holds what was encoded once. What exact bands decode to stands here as hashes, what lossy files
//! decode to beside them as PNG: the last bit of a colour may be another on another processor.
//! `TAGIO_GOLDEN=write cargo test -p tagio-media --test golden` makes the files anew and prints the hashes; only for a
//! new version of the protocol, or to add a case.

mod desktop;

use std::{fs::File, io::BufReader, path::PathBuf};

use desktop::{Desktop, film, pair::Pair, random::Random};
use tagio_media::{
    Framebuffer, Region, View,
    codec::{
        bands::{BandDecoder, Bands},
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::{
    Rect, Size,
    picture::{Band, Codec},
};

const SCREEN: Size = Size::new(320, 240);
/// Where the lossy picture goes: odd sides, at an odd place.
const PLACE: Rect = Rect::new(31, 17, 65, 49);
/// Where the exact photograph goes.
const PHOTO: Rect = Rect::new(13, 29, 131, 97);
const TARGET: FrameTarget = FrameTarget { bytes: 600, qp_min: 20, qp_max: 36 };

/// What the conversion from brightness and two colours to three may differ by from processor to processor.
const ROUNDING: u8 = 2;

/// FNV-1a of the colours, row by row; the byte that nobody sees does not count.
fn hash(picture: &Framebuffer) -> u64 {
    picture
        .to_rgb()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn is_writing() -> bool {
    std::env::var("TAGIO_GOLDEN").is_ok_and(|value| value == "write")
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The stored bytes; those that `encode` gives are stored first if they are to be made anew.
fn stored(name: &str, encode: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = path(name);
    if is_writing() {
        std::fs::write(&path, encode()).expect("a place for the file");
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn assert_hash(name: &str, picture: &Framebuffer, expected: u64) {
    let found = hash(picture);
    println!("{name}: {found:#018x}");
    assert!(found == expected || is_writing(), "{name} decodes to {found:#018x} instead of {expected:#018x}");
}

/// No colour may be off by more than [`ROUNDING`].
#[track_caller]
fn assert_like(name: &str, picture: &Framebuffer) {
    let (found, Size { width, height }) = (picture.to_rgb(), picture.size());
    if is_writing() {
        let mut encoder = png::Encoder::new(File::create(path(name)).expect("a place"), width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().and_then(|mut file| file.write_image_data(&found)).expect("a place");
    }
    let file = BufReader::new(File::open(path(name)).expect("a stored picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut expected = vec![0; reader.output_buffer_size().expect("it is small")];
    reader.next_frame(&mut expected).expect("a PNG");
    assert_eq!(found.len(), expected.len(), "{name}");
    let off = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(ROUNDING), "{name}: off by {off:?}");
}

/// The bands of one update as the wire has them: the length of their descriptions, those, the payload.
fn to_bytes(update: &Bands) -> Vec<u8> {
    let bands = tagio_wire::codec::encode(&update.bands);
    let len = u32::try_from(bands.len()).expect("it is short");
    [len.to_be_bytes().as_slice(), &bands, &update.payload].concat()
}

/// Applies updates that were written by [`to_bytes`], one after the other.
fn show(updates: &[Vec<u8>]) -> (Framebuffer, Vec<Band>) {
    let (mut decoder, mut shown, mut all) = (BandDecoder::new(), Framebuffer::default(), Vec::new());
    for bytes in updates {
        let (len, rest) = bytes.split_first_chunk().expect("a length");
        let (bands, mut payload) = rest.split_at(u32::from_be_bytes(*len) as usize);
        let bands: Vec<Band> = tagio_wire::codec::decode(bands).expect("bands");
        let mut split = Vec::new();
        for band in &bands {
            let (own, later) = payload.split_at(band.len as usize);
            payload = later;
            split.push((*band, own));
        }
        decoder.apply(SCREEN, &split, &mut shown).expect("what was honest once is honest for ever");
        all.extend(bands);
    }
    (shown, all)
}

/// A first picture; noise from 60 rows above, which nothing but the prefix has; a page that moves; and a photograph:
/// intra, with a prefix, as a copy, and predicted.
fn updates() -> [Vec<u8>; 4] {
    let mut pair = Pair::default();
    let mut desktop = Desktop::new(SCREEN, 3);
    let (page, noise) = (Rect::new(0, 40, 300, 120), Rect::new(200, 20, 70, 60));
    desktop.draw_text(page, 1, [255; 3], true);
    desktop.draw_noise(noise, &mut Random::new(1));
    pair.damage.add(SCREEN.rect());
    let first = to_bytes(&pair.encode(&desktop.frame));
    let below = shift(&mut desktop.frame, noise, 0, 60);
    let mut region = Region::new();
    region.add(below);
    // What is insisted on and larger than a letter never comes as a copy.
    pair.encoder.insist(&region);
    let second = to_bytes(&pair.encode(&desktop.frame));
    pair.damage.add(shift(&mut desktop.frame, page, 11, 37));
    let third = to_bytes(&pair.encode(&desktop.frame));
    film::photo(&mut desktop.frame, PHOTO, 0.4, &mut Random::new(1));
    pair.damage.add(PHOTO);
    [first, second, third, to_bytes(&pair.encode(&desktop.frame))]
}

/// Copies pixels to the right and down, and returns where they are.
fn shift(frame: &mut Framebuffer, from: Rect, right: u32, down: u32) -> Rect {
    let to = Rect { x: from.x + right, y: from.y + down, ..from };
    let rows: Vec<Vec<u8>> = frame.rows(from).map(<[u8]>::to_vec).collect();
    frame.rows_mut(to).zip(&rows).for_each(|(to, from)| to.copy_from_slice(from));
    to
}

#[test]
fn exact_bands_and_copies() {
    let files: Vec<_> = (0..4).map(|i| stored(&format!("update-{i}.bin"), || updates()[i].clone())).collect();
    for (count, expected) in [
        (1, 0xe62f_d337_6222_2120),
        (2, 0x0354_63ae_b6b5_cf1c),
        (3, 0x27ec_8cb3_6c90_5666),
        (4, 0x87dd_8537_ee56_30ea),
    ] {
        let (shown, _) = show(&files[..count]);
        assert_hash(&format!("{count} updates"), &shown, expected);
    }
    assert!(files[1].len() < 1000, "12600 bytes of noise are in the prefix");
    let (_, bands) = show(&files);
    assert!(bands.iter().any(|band| band.codec == Codec::ZstdPrefix));
    assert!(bands.iter().any(|band| band.codec == Codec::ZstdPredicted));
    assert!(bands.iter().any(|band| matches!(band.codec, Codec::Copy { .. })));
}

#[test]
fn a_jpeg() {
    let mut frame = Framebuffer::new(SCREEN);
    film::photo(&mut frame, PLACE, 0.4, &mut Random::new(1));
    let file =
        stored("photo.jpg", || jpeg::encode(&View::whole(&frame), PLACE, 80).expect("a size that JPEG has"));
    let mut shown = Framebuffer::new(SCREEN);
    jpeg::decode(&file, PLACE, &mut shown).expect("what was honest once is honest for ever");
    assert_like("photo.png", &shown);
}

#[test]
fn h264_frames() {
    let encode = |count: usize| {
        let size = Size::new(PLACE.width, PLACE.height);
        let mut encoder = H264Encoder::new(size).expect("a size that H.264 has");
        let (mut frame, mut random) = (Framebuffer::new(SCREEN), Random::new(1));
        let mut payload = Vec::new();
        for i in 0..count {
            film::photo(&mut frame, PLACE, i as f32 / 15.0, &mut random);
            let sent = encoder.encode(&View::whole(&frame), PLACE, false, TARGET).expect("the library works");
            payload = sent.expect("a frame").payload;
        }
        payload
    };
    let (mut decoder, mut shown) = (H264Decoder::new().expect("memory"), Framebuffer::new(SCREEN));
    for i in [1, 2] {
        let file = stored(&format!("film-{i}.h264"), || encode(i));
        decoder.decode(&file, PLACE, &mut shown).expect("what was honest once is honest for ever");
        assert_like(&format!("film-{i}.png"), &shown);
    }
}
