//! A film that never ends: smooth colours, an edge that moves, and grain.

use tagio_media::Framebuffer;
use tagio_wire::Rect;

use super::random::Random;

/// Draws the film at time `t` in seconds, with 3 bits of grain.
pub fn photo(frame: &mut Framebuffer, place: Rect, t: f32, random: &mut Random) {
    let (width, height) = (place.width as f32, place.height as f32);
    let centre = (0.5 + 0.3 * (t * 0.7).sin(), 0.5 + 0.3 * (t * 0.9).cos());
    let blues: Vec<f32> =
        (0..place.width).map(|x| 90.0 + 80.0 * (6.0 * x as f32 / width + t).sin()).collect();
    for (y, row) in frame.rows_mut(place).enumerate() {
        let v = y as f32 / height;
        let level = 110.0 + 70.0 * (5.0 * v - t * 0.8).cos();
        for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let u = x as f32 / width;
            let near = (u - centre.0).powi(2) + (v - centre.1).powi(2) < 0.18 * 0.18;
            let edge = if near { 70.0 } else { 0.0 };
            let grain = (random.next() & 7) as f32;
            let blue = blues[x] + edge + grain;
            let green = level + edge * 0.5 + grain;
            let red = 120.0 + 90.0 * (4.0 * (u + v) + t * 0.5).sin() - edge + grain;
            *pixel = [blue as u8, green as u8, red as u8, 0];
        }
    }
}

/// Peak signal-to-noise ratio of the colours within a rectangle, in decibels.
pub fn psnr(a: &Framebuffer, b: &Framebuffer, rect: Rect) -> f64 {
    let rows = a.rows(rect).zip(b.rows(rect));
    let pixels = rows.flat_map(|(a, b)| a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0));
    let squares: u64 =
        pixels.map(|(a, b)| (0..3).map(|i| u64::from(a[i].abs_diff(b[i])).pow(2)).sum::<u64>()).sum();
    let mean = squares as f64 / (rect.area() * 3) as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}
