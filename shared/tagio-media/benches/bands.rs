//! Time and bytes of the band codec on a made-up desktop, one line per case.
//!
//! Run: `cargo bench -p tagio-media --bench bands`. With a file name after `--` it also writes the desktop
//! there as a PPM picture. One thread; the times are the best of some rounds, encoding including the search for changes.

#[path = "../tests/desktop/mod.rs"]
mod desktop;

use std::time::{Duration, Instant};

use desktop::{
    CODE_PANE, Desktop, FULL_HD,
    film::photo,
    pair::{Pair, split},
    random::Random,
};
use tagio_media::{Framebuffer, Region, View, codec::bands::BandOptions};
use tagio_wire::{Rect, Size, picture::Codec};

const UHD: Size = Size::new(3840, 2160);

/// Repetitions of each case.
const ROUNDS: usize = 25;

fn main() {
    let before = Desktop::new(FULL_HD, 7);
    if let Some(path) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) {
        write_ppm(&path, &before.frame);
    }
    println!(
        "{:<34}{:>6}{:>11}{:>11}{:>10}{:>8}",
        "case", "level", "encode ms", "decode ms", "bytes", "copies"
    );
    for level in [1, 3] {
        let black = Framebuffer::new(FULL_HD);
        case("full desktop, 1920x1080", level, &black, &before.frame, FULL_HD.rect());
        let after = change(|desktop| {
            desktop.type_letter(40, 20, 5);
        });
        let letter = Desktop::new(FULL_HD, 7).type_letter(40, 20, 5);
        case("typed letter, its cell", level, &before.frame, &after, letter);
        let around = Rect::new(CODE_PANE.x, letter.y - 20, CODE_PANE.width, 60);
        case("typed letter, damage 1200x60", level, &before.frame, &after, around);
        let after = change(|desktop| desktop.draw_code(3));
        case("3-line scroll, 1200x900", level, &before.frame, &after, CODE_PANE);
        let after = change(|desktop| desktop.draw_code(25));
        case("half-page scroll, 1200x900", level, &before.frame, &after, CODE_PANE);
        let scrolled = change(|desktop| desktop.draw_code(3));
        case("3-line scroll back", level, &scrolled, &before.frame, CODE_PANE);
        let (here, there) = (Rect::new(300, 200, 700, 500), Rect::new(341, 237, 700, 500));
        let shown = change(|desktop| desktop.draw_window(here, 9));
        let moved = change(|desktop| desktop.draw_window(there, 9));
        case("window 700x500 moves by 41, 37", level, &shown, &moved, here.union(there));
        case("unchanged damage, 1920x1080", level, &before.frame, &before.frame, FULL_HD.rect());
        let after = change(|desktop| {
            desktop.fill(Rect::new(300, 500, 2, 18), [0xd4; 3]);
            desktop.draw_text(Rect::new(1800, 500, 63, 18), 77, [0x3c; 3], true);
        });
        case("caret and clock, damage a row", level, &before.frame, &after, Rect::new(0, 490, 1920, 40));
        let noise = Rect::new(300, 200, 640, 360);
        let after = change(|desktop| desktop.draw_noise(noise, &mut Random::new(1)));
        case("noise, 640x360", level, &before.frame, &after, noise);
        let after = change(|desktop| photo(&mut desktop.frame, noise, 1.0, &mut Random::new(1)));
        case("photograph, 640x360", level, &before.frame, &after, noise);
        let wide = Desktop::new(UHD, 7);
        case("full desktop, 3840x2160", level, &Framebuffer::new(UHD), &wide.frame, UHD.rect());
    }
}

/// The desktop after a change.
fn change(draw: impl FnOnce(&mut Desktop)) -> Framebuffer {
    let mut desktop = Desktop::new(FULL_HD, 7);
    draw(&mut desktop);
    desktop.frame
}

/// Goes from `before` to `after` with that damage.
fn case(name: &str, level: i32, before: &Framebuffer, after: &Framebuffer, damage: Rect) {
    let (mut encoding, mut decoding) = (Vec::new(), Vec::new());
    let (mut bytes, mut copies) = (0, 0);
    let mut pair = Pair::new(BandOptions { level, ..BandOptions::default() });
    for _ in 0..ROUNDS {
        if before.bytes().iter().all(|byte| *byte == 0) {
            pair = Pair { options: pair.options, ..Pair::default() };
        }
        pair.update_rect(before, before.size().rect());
        pair.assert_exact(before, name);
        let mut region = Region::new();
        region.add(damage);
        let start = Instant::now();
        pair.encoder.add(&region);
        let update = pair.encoder.encode(&View::whole(after), pair.options).expect("zstd works");
        encoding.push(start.elapsed());
        let start = Instant::now();
        pair.decoder.apply(after.size(), &split(&update), &mut pair.shown).expect("own update");
        decoding.push(start.elapsed());
        bytes = update.payload.len();
        copies = update.bands.iter().filter(|band| matches!(band.codec, Codec::Copy { .. })).count();
        pair.assert_exact(after, name);
    }
    let (encode, decode) = (best_ms(&encoding), best_ms(&decoding));
    println!("{name:<34}{level:>6}{encode:>11.3}{decode:>11.3}{bytes:>10}{copies:>8}");
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
