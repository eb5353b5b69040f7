//! Time and bytes of the band codec on a made-up desktop, one line per case.
//!
//! Run: `cargo bench -p tagio-media --bench bands`. With a file name after `--` it also writes the desktop
//! there as a PPM picture. One thread; the times are the best of some rounds, encoding including the search for changes.

#[path = "../tests/desktop/mod.rs"]
mod desktop;

use std::time::{Duration, Instant};

use desktop::{CODE_PANE, Desktop, FULL_HD, random::Random};
use tagio_media::{
    Framebuffer, Region,
    codec::{
        VideoDecoder, VideoEncoder,
        bands::{BandDecoder, BandEncoder, BandOptions},
    },
};
use tagio_wire::Rect;

/// Repetitions of each case.
const ROUNDS: usize = 25;

fn main() {
    let before = Desktop::new(FULL_HD, 7);
    if let Some(path) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) {
        write_ppm(&path, &before.frame);
    }
    println!("{:<34}{:>6}{:>11}{:>11}{:>10}", "case", "level", "encode ms", "decode ms", "bytes");
    for level in [1, 3] {
        let black = Framebuffer::new(FULL_HD);
        case("full desktop, 1920x1080", level, &black, &before.frame, FULL_HD.rect(), true);
        let after = change(|desktop| {
            desktop.type_letter(40, 20, 5);
        });
        let letter = Desktop::new(FULL_HD, 7).type_letter(40, 20, 5);
        case("typed letter, its cell", level, &before.frame, &after, letter, false);
        let around = Rect::new(CODE_PANE.x, letter.y - 20, CODE_PANE.width, 60);
        case("typed letter, damage 1200x60", level, &before.frame, &after, around, false);
        let after = change(|desktop| desktop.draw_code(3));
        case("3-line scroll, 1200x900", level, &before.frame, &after, CODE_PANE, false);
        let after = change(|desktop| desktop.draw_code(25));
        case("half-page scroll, 1200x900", level, &before.frame, &after, CODE_PANE, false);
        let scrolled = change(|desktop| desktop.draw_code(3));
        case("3-line scroll back", level, &scrolled, &before.frame, CODE_PANE, false);
        let (here, there) = (Rect::new(300, 200, 700, 500), Rect::new(341, 237, 700, 500));
        let shown = change(|desktop| desktop.draw_window(here, 9));
        let moved = change(|desktop| desktop.draw_window(there, 9));
        case("window 700x500 moves by 41, 37", level, &shown, &moved, here.union(there), false);
        case("unchanged damage, 1920x1080", level, &before.frame, &before.frame, FULL_HD.rect(), false);
        let noise = Rect::new(300, 200, 640, 360);
        let after = change(|desktop| desktop.draw_noise(noise, &mut Random::new(1)));
        case("noise, 640x360", level, &before.frame, &after, noise, false);
    }
}

/// The desktop after a change.
fn change(draw: impl FnOnce(&mut Desktop)) -> Framebuffer {
    let mut desktop = Desktop::new(FULL_HD, 7);
    draw(&mut desktop);
    desktop.frame
}

/// Goes from `before` to `after` with that damage; `fresh` starts from no picture at all.
fn case(name: &str, level: i32, before: &Framebuffer, after: &Framebuffer, damage: Rect, fresh: bool) {
    let mut region = Region::new();
    region.add(damage);
    let (mut encoding, mut decoding, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let mut encoder = BandEncoder::new(BandOptions { level, ..BandOptions::default() });
        let (mut decoder, mut picture) = (BandDecoder::new(), Framebuffer::default());
        let (mut before, mut picture_before) = (before.clone(), Framebuffer::default());
        if fresh {
            // Memory is warm, the picture is not.
            before = Framebuffer::new(tagio_wire::Size::new(1919, 1080));
        }
        if let Ok(Some(update)) = encoder.encode(0, &before, &Region::whole(before.size())) {
            decoder.decode(&update.header, &update.payload, &mut picture_before).expect("own update");
        }
        std::mem::swap(&mut picture, &mut picture_before);
        let start = Instant::now();
        let update = encoder.encode(1, after, &region).expect("zstd works");
        encoding.push(start.elapsed());
        let start = Instant::now();
        if let Some(update) = update {
            bytes = update.payload.len();
            decoder.decode(&update.header, &update.payload, &mut picture).expect("own update");
        }
        decoding.push(start.elapsed());
        assert!(picture.to_rgb() == after.to_rgb(), "{name}: the picture differs");
    }
    let (encode, decode) = (best_ms(&encoding), best_ms(&decoding));
    println!("{name:<34}{level:>6}{encode:>11.3}{decode:>11.3}{bytes:>10}");
}

/// The least disturbed round.
fn best_ms(times: &[Duration]) -> f64 {
    times.iter().min().map_or(0.0, Duration::as_secs_f64) * 1000.0
}

fn write_ppm(path: &str, frame: &Framebuffer) {
    let mut file = format!("P6 {} {} 255\n", frame.size().width, frame.size().height).into_bytes();
    file.extend(frame.to_rgb());
    std::fs::write(path, file).expect("a place to write the picture to");
}
