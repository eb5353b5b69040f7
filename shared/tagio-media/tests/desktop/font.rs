//! Glyphs of a few smoothed strokes: to a codec they look like letters.

use super::random::Random;

/// Columns of a glyph's cell.
pub const CELL_WIDTH: u32 = 9;
/// Rows of a glyph's cell; a line of text.
pub const CELL_HEIGHT: u32 = 18;

const GLYPHS: usize = 96;

/// Every glyph's cover per pixel, 0 to 255, in rows.
pub struct Font {
    glyphs: Vec<Vec<u8>>,
}

impl Font {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self { glyphs: (0..GLYPHS).map(|_| draw(&mut random)).collect() }
    }

    pub fn glyph(&self, letter: usize) -> &[u8] {
        &self.glyphs[letter % GLYPHS]
    }
}

/// A glyph: three or four strokes between the points of a small grid.
fn draw(random: &mut Random) -> Vec<u8> {
    let mut point = || (1.0 + random.below(3) as f32 * 3.0, 4.0 + random.below(4) as f32 * 3.3);
    let mut from = point();
    let strokes: Vec<_> = (0..4)
        .map(|_| {
            let to = point();
            (std::mem::replace(&mut from, to), to)
        })
        .collect();
    let cells = (0..CELL_HEIGHT).flat_map(|y| (0..CELL_WIDTH).map(move |x| (x as f32, y as f32)));
    cells
        .map(|cell| {
            let near = strokes.iter().map(|&(a, b)| distance(cell, a, b)).fold(f32::MAX, f32::min);
            ((1.3 - near).clamp(0.0, 1.0) * 255.0) as u8
        })
        .collect()
}

/// From point `p` to the stroke from `a` to `b`.
fn distance(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let along = ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / (dx * dx + dy * dy).max(1e-6);
    let along = along.clamp(0.0, 1.0);
    (p.0 - a.0 - along * dx).hypot(p.1 - a.1 - along * dy)
}
