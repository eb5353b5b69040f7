//! Time, bytes and picture quality of the lossy codecs on a made-up film, one line per case.
//!
//! Run: `cargo bench -p tagio-media --bench video`. One thread; times are medians, quality is the worst of the frames
//! after the first ten.

#[path = "../tests/desktop/mod.rs"]
mod desktop;

use std::time::Instant;

use desktop::{film, random::Random};
use tagio_media::{
    Framebuffer, View,
    codec::{
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::Size;

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

    fn print(mut self, size: Size, codec: &str) {
        let settled = &self.bytes[SETTLING..];
        let megabits = settled.iter().sum::<usize>() as f64 / settled.len() as f64 * (8 * FPS) as f64 / 1e6;
        let worst = self.psnr[SETTLING..].iter().copied().fold(f64::MAX, f64::min);
        let size = format!("{}x{}", size.width, size.height);
        let (encode, decode) = (median_ms(&mut self.encode), median_ms(&mut self.decode));
        let keyframe = self.bytes[0];
        println!(
            "{size:<12}{codec:<14}{encode:>11.2}{decode:>11.2}{keyframe:>11}{megabits:>9.2}{worst:>9.1}"
        );
    }
}

fn median_ms(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2] * 1000.0
}
