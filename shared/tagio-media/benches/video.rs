//! Time, bytes and picture quality of the lossy codecs on a made-up film, one line per case; and what it costs to
//! watch for films.
//!
//! Run: `cargo bench -p tagio-media --bench video`. One thread; times are those of the least disturbed frame, quality is the worst of the frames
//! after the first ten.

#[path = "../tests/desktop/mod.rs"]
mod desktop;

use std::time::{Duration, Instant};

use desktop::{Desktop, FULL_HD, film, random::Random};
use tagio_media::{
    Framebuffer, Region, View,
    activity::Activity,
    codec::{
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::{Rect, Size};

const FPS: usize = 30;
const FRAMES: usize = 60;
/// Frames until the rate has settled.
const SETTLING: usize = 10;
const SIZES: [Size; 2] = [Size::new(640, 360), Size::new(1920, 1080)];

fn main() {
    println!(
        "{:<12}{:<14}{:>11}{:>11}{:>11}{:>9}{:>9}",
        "size", "codec", "encode ms", "decode ms", "keyframe B", "Mb/s", "PSNR dB"
    );
    for size in SIZES {
        let film = shoot(size);
        for megabits in [0.3, 0.7, 1.0, 1.3, 2.5, 6.0] {
            let bits = megabits * 1e6 * size.area() as f64 / SIZES[0].area() as f64;
            let target = FrameTarget { bytes: (bits / 8.0) as usize / FPS, qp_min: 14, qp_max: 40 };
            h264(&film, size, target);
        }
        for quality in [50, 75, 90] {
            through_jpeg(&film, size, quality);
        }
    }
    watch();
}

/// What it costs to look at damage of 860 by 940 pixels: a page that scrolls, and the same place as a film.
fn watch() {
    println!("\n{:<34}{:>14}{:>14}", "watching 860x940", "best ms", "first frame ms");
    let place = Rect::new(960, 60, 860, 940);
    let mut damage = Region::new();
    damage.add(place);
    for (name, is_film) in [("text that scrolls", false), ("a film", true)] {
        let mut desktop = Desktop::new(FULL_HD, 7);
        let (mut activity, mut random) = (Activity::new(), Random::new(1));
        let (start, mut times) = (Instant::now(), Vec::new());
        for i in 0..FRAMES as u64 {
            if is_film {
                film::photo(&mut desktop.frame, place, i as f32 / FPS as f32, &mut random);
            } else {
                desktop.draw_text(place, i, [255; 3], false);
            }
            let now = Instant::now();
            activity.note(&View::whole(&desktop.frame), &damage, start + Duration::from_millis(33 * i));
            times.push(now.elapsed().as_secs_f64());
        }
        println!("{name:<34}{:>14.3}{:>14.3}", best_ms(&times), times[0] * 1000.0);
    }
}

/// Two seconds of the film.
fn shoot(size: Size) -> Vec<Framebuffer> {
    let mut random = Random::new(5);
    let shot = |i| {
        let mut frame = Framebuffer::new(size);
        film::photo(&mut frame, size.rect(), i as f32 * 2.0 / FPS as f32, &mut random);
        frame
    };
    (0..FRAMES).map(shot).collect()
}

fn h264(film: &[Framebuffer], size: Size, target: FrameTarget) {
    let mut encoder = H264Encoder::new(size).expect("a size that H.264 has");
    let mut decoder = H264Decoder::new().expect("memory for a decoder");
    let mut shown = Framebuffer::new(size);
    let mut seen = Seen::default();
    for frame in film {
        let start = Instant::now();
        let sent = encoder.encode_whole(frame, false, target).expect("the library works").expect("no skips");
        seen.encode.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        decoder.decode(&sent.payload, size.rect(), &mut shown).expect("own frame");
        seen.decode.push(start.elapsed().as_secs_f64());
        seen.note(sent.payload.len(), film::psnr(frame, &shown, size.rect()));
    }
    seen.print(size, &format!("h264 {:.1}k", target.bytes as f64 / 1000.0));
}

fn through_jpeg(film: &[Framebuffer], size: Size, quality: u8) {
    let mut shown = Framebuffer::new(size);
    let mut seen = Seen::default();
    for frame in film {
        let start = Instant::now();
        let file = jpeg::encode(&View::whole(frame), size.rect(), quality).expect("a size that JPEG has");
        seen.encode.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        jpeg::decode(&file, size.rect(), &mut shown).expect("own file");
        seen.decode.push(start.elapsed().as_secs_f64());
        seen.note(file.len(), film::psnr(frame, &shown, size.rect()));
    }
    seen.print(size, &format!("jpeg {quality}"));
}

/// What a case showed, frame by frame.
#[derive(Default)]
struct Seen {
    encode: Vec<f64>,
    decode: Vec<f64>,
    bytes: Vec<usize>,
    psnr: Vec<f64>,
}

impl Seen {
    fn note(&mut self, bytes: usize, psnr: f64) {
        self.bytes.push(bytes);
        self.psnr.push(psnr);
    }

    fn print(&self, size: Size, codec: &str) {
        let settled = &self.bytes[SETTLING..];
        let megabits = settled.iter().sum::<usize>() as f64 / settled.len() as f64 * (8 * FPS) as f64 / 1e6;
        let worst = self.psnr[SETTLING..].iter().copied().fold(f64::MAX, f64::min);
        let size = format!("{}x{}", size.width, size.height);
        let (encode, decode) = (best_ms(&self.encode), best_ms(&self.decode));
        let keyframe = self.bytes[0];
        println!(
            "{size:<12}{codec:<14}{encode:>11.2}{decode:>11.2}{keyframe:>11}{megabits:>9.2}{worst:>9.1}"
        );
    }
}

fn best_ms(seconds: &[f64]) -> f64 {
    seconds[SETTLING..].iter().copied().fold(f64::MAX, f64::min) * 1000.0
}
