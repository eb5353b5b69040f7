//! Time and bytes of each stage of the codec on recorded screens of real programs (`benches/frames`), one line per case.
//!
//! Run: `cargo bench -p tagio-media --bench frames`. One thread; times are the best of some rounds. All of the screen
//! is damaged each time, as a program does that draws its window anew.

#[path = "../tests/desktop/mod.rs"]
mod desktop;

use std::{fs::File, io::BufReader, path::Path, time::Instant};

use desktop::pair::{Pair, split};
use tagio_media::{
    Framebuffer, Region, View,
    codec::{
        bands::{BandOptions, Bands},
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::{Rect, Size, picture::Codec};

const ROUNDS: usize = 9;
/// Programs, and what changes in each.
const SCENES: [(&str, &str); 5] = [
    ("editor", "letter"),
    ("editor", "scroll"),
    ("terminal", "scroll"),
    ("browser", "scroll"),
    ("desktop", "move"),
];
const JPEG_QUALITY: u8 = 70;
/// What a frame of a film of this size may cost on a good link.
const BITS_PER_PIXEL: f64 = 0.13;

fn main() {
    println!(
        "{:<30}{:>11}{:>12}{:>10}{:>8}{:>12}{:>10}{:>11}",
        "exact", "compare ms", "level 1 ms", "bytes", "copies", "level 3 ms", "bytes", "decode ms"
    );
    for large in [false, true] {
        for (program, change) in SCENES {
            let [before, after] = ["before", change].map(|name| load(program, name, large));
            // Each picture begins once.
            if change != "letter" {
                exact(&format!("{program}, first picture"), &Framebuffer::new(before.size()), &before);
            }
            exact(&format!("{program}, {change}"), &before, &after);
        }
    }
    println!(
        "\n{:<30}{:>8}{:>16}{:>10}{:>16}{:>10}{:>16}{:>10}",
        "lossy", "RGB ms", "JPEG ms", "bytes", "keyframe ms", "bytes", "next frame ms", "bytes"
    );
    for large in [false, true] {
        for (program, change) in SCENES.iter().filter(|(_, change)| *change != "letter") {
            lossy(program, &["before", *change].map(|name| load(program, name, large)));
        }
    }
}

/// A recorded screen; four of them side by side as one of 3840 by 2160.
fn load(program: &str, name: &str, large: bool) -> Framebuffer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/frames/{program}-{name}.png"));
    let file = BufReader::new(File::open(path).expect("a recorded frame"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut rgb = vec![0; reader.output_buffer_size().expect("it fits into memory")];
    let info = reader.next_frame(&mut rgb).expect("a PNG");
    assert_eq!(info.color_type, png::ColorType::Rgb);
    let size = Size::new(info.width, info.height);
    let tiles = if large { 2 } else { 1 };
    let mut frame = Framebuffer::new(Size::new(size.width * tiles, size.height * tiles));
    for (column, row) in (0..tiles).flat_map(|row| (0..tiles).map(move |column| (column, row))) {
        let tile = Rect::new(column * size.width, row * size.height, size.width, size.height);
        let pixels = frame.rows_mut(tile).flat_map(|row| row.as_chunks_mut::<4>().0);
        for (pixel, [red, green, blue]) in pixels.zip(rgb.as_chunks().0) {
            *pixel = [*blue, *green, *red, 0];
        }
    }
    frame
}

/// From one screen to the next, exactly.
fn exact(name: &str, before: &Framebuffer, after: &Framebuffer) {
    let [compare, one, three, decode] = &mut [const { Vec::new() }; 4];
    let mut updates = [Bands::default(), Bands::default()];
    for _ in 0..ROUNDS {
        for (level, times, update) in [(1, &mut *one, 0), (3, &mut *three, 1)] {
            let mut pair = Pair::new(BandOptions { level, ..BandOptions::default() });
            pair.update_rect(before, before.size().rect());
            if level == 1 {
                compare.push(encode(&mut pair, before).0);
            }
            let (time, bands) = encode(&mut pair, after);
            times.push(time);
            if level == 1 {
                let bands = split(&bands);
                decode.push(time_of(|| pair.decoder.apply(after.size(), &bands, &mut pair.shown)).0);
                pair.assert_exact(after, name);
            }
            updates[update] = bands;
        }
    }
    let copies = updates[0].bands.iter().filter(|band| matches!(band.codec, Codec::Copy { .. })).count();
    println!(
        "{:<30}{:>11.2}{:>12.2}{:>10}{:>8}{:>12.2}{:>10}{:>11.2}",
        label(name, after),
        best(compare),
        best(one),
        updates[0].payload.len(),
        copies,
        best(three),
        updates[1].payload.len(),
        best(decode)
    );
}

fn encode(pair: &mut Pair, screen: &Framebuffer) -> (f64, Bands) {
    let damage = Region::whole(screen.size());
    time_of(|| {
        pair.encoder.add(&damage);
        pair.encoder.encode(&View::whole(screen), pair.options).expect("zstd works")
    })
}

/// The whole of two screens as pictures and as frames of a film: encoding / decoding. Both ways include the way
/// between RGB and the planes of video.
fn lossy(program: &str, screens: &[Framebuffer; 2]) {
    let (rect, mut shown) = (screens[0].size().rect(), screens[0].clone());
    let target =
        FrameTarget { bytes: (rect.area() as f64 * BITS_PER_PIXEL / 8.0) as usize, qp_min: 16, qp_max: 36 };
    // Packing; then encoding and decoding of a JPEG, of a keyframe, and of a frame after it.
    let [packing, jpegs, keyframes, others] = &mut [const { Times::new() }; 4];
    for _ in 0..ROUNDS {
        packing.encode.push(time_of(|| screens[0].to_rgb()).0);
        let (time, file) = time_of(|| jpeg::encode(&View::whole(&screens[0]), rect, JPEG_QUALITY));
        let file = file.expect("a size that JPEG has");
        jpegs.note(time, time_of(|| jpeg::decode(&file, rect, &mut shown)).0, file.len());
        let mut encoder = H264Encoder::new(screens[0].size()).expect("a size that H.264 has");
        let mut decoder = H264Decoder::new().expect("memory for a decoder");
        for (screen, times) in screens.iter().zip([&mut *keyframes, &mut *others]) {
            let (time, sent) = time_of(|| encoder.encode_whole(screen, false, target));
            let sent = sent.expect("the library works").expect("no skips").payload;
            times.note(time, time_of(|| decoder.decode(&sent, rect, &mut shown)).0, sent.len());
        }
    }
    print!("{:<30}{:>8.2}", label(program, &screens[0]), best(&packing.encode));
    for times in [jpegs, keyframes, others] {
        let both = format!("{:.1} / {:.1}", best(&times.encode), best(&times.decode));
        print!("{both:>16}{:>10}", times.bytes);
    }
    println!();
}

/// What one codec took, in seconds, and the bytes of the last round.
struct Times {
    encode: Vec<f64>,
    decode: Vec<f64>,
    bytes: usize,
}

impl Times {
    const fn new() -> Self {
        Self { encode: Vec::new(), decode: Vec::new(), bytes: 0 }
    }

    fn note(&mut self, encode: f64, decode: f64, bytes: usize) {
        self.encode.push(encode);
        self.decode.push(decode);
        self.bytes = bytes;
    }
}

fn label(name: &str, screen: &Framebuffer) -> String {
    format!("{name}, {}p", screen.size().height)
}

fn time_of<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed().as_secs_f64(), done)
}

/// The least disturbed round, in milliseconds.
fn best(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::MAX, f64::min) * 1000.0
}
