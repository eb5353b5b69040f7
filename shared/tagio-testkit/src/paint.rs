//! What a host's screen is full of, made up: pages of text that scroll, and films.

use std::f32::consts::TAU;

use crate::{Canvas, Picture, Seeded, picture::Area};

/// A cell of a page holds one letter.
pub const CELL: (usize, usize) = (8, 16);

/// Letters of a word, with the blank before it.
const WORD: usize = 7;
const WORDS: usize = 23;
/// The number of a letter without ink.
const BLANK: usize = 0;

const PAPER: [u8; 3] = [250, 250, 247];
const INK: [u8; 3] = [30, 30, 40];

/// A page of text without end: the colour of a pixel, its row counted from the first line of all.
///
/// Few words that come again and again, so that it compresses as text does, and no line twice: a page that has
/// stopped too early looks like no other. Every second line is empty.
pub fn page(x: usize, y: usize) -> [u8; 3] {
    let (column, line) = (x / CELL.0, y / CELL.1);
    let place = column / WORD + line * 0x1_0001;
    let word = (place.wrapping_mul(place ^ 0x9e37_79b1) >> 11) % WORDS;
    let is_blank = line % 2 == 1 || column % WORD == 0;
    let number = if is_blank { BLANK } else { word * WORD + column % WORD };
    letter(number, x % CELL.0, y % CELL.1)
}

/// A pixel of the letter of that number, within its cell.
pub fn letter(number: usize, x: usize, y: usize) -> [u8; 3] {
    let is_inside = (1..7).contains(&x) && (3..13).contains(&y);
    // A dozen of patterns of 6 by 10, and every fourth letter a blank.
    let pattern = 0x2f_97c5_a1e3_u64.rotate_left((number % 12) as u32 * 5);
    let is_ink = is_inside && !number.is_multiple_of(4) && pattern >> ((y - 3) / 2 * 6 + x - 1) & 1 == 1;
    if is_ink { INK } else { PAPER }
}

/// A film: photograph-like pictures with grain that follow each other.
#[derive(Debug)]
pub struct Film {
    area: Area,
    frames: Vec<Vec<[u8; 3]>>,
    next: usize,
}

impl Film {
    /// So many frames in this place of the screen; then it starts again.
    pub fn new(area: Area, frames: usize) -> Self {
        let mut random = Seeded::new(17);
        let frame = |number| Self::frame(area, number as f32 / frames as f32 * TAU, &mut random);
        Self { area, frames: (0..frames).map(frame).collect(), next: 0 }
    }

    fn frame(area: Area, time: f32, random: &mut Seeded) -> Vec<[u8; 3]> {
        let wave = |phase: f32| 128.0 + 100.0 * phase.sin();
        let columns: Vec<f32> = (0..area.width).map(|x| wave(x as f32 / 60.0 + time)).collect();
        let rows: Vec<f32> = (0..area.height).map(|y| wave(y as f32 / 45.0 - 2.0 * time)).collect();
        let pixel = |x: usize, y: usize, grain: f32| {
            [columns[x], rows[y], (columns[x] + rows[y]) / 2.0].map(|value| (value + grain) as u8)
        };
        let places = (0..area.height).flat_map(|y| (0..area.width).map(move |x| (x, y)));
        places.map(|(x, y)| pixel(x, y, (random.byte() % 8) as f32)).collect()
    }

    /// Shows the next picture.
    pub fn play(&mut self, canvas: &mut Canvas) {
        let (area, frame) = (self.area, &self.frames[self.next]);
        canvas.change(area, |x, y| frame[(y - area.y) * area.width + x - area.x]);
        self.next = (self.next + 1) % self.frames.len();
    }
}

impl Picture {
    /// A part of it.
    pub fn part(&self, area: Area) -> Self {
        let rows = self.pixels.chunks_exact(self.width).skip(area.y).take(area.height);
        let pixels = rows.flat_map(|row| &row[area.x..area.x + area.width]).copied().collect();
        Self { width: area.width, height: area.height, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_moves_and_a_page_is_ink_on_paper() {
        let area = Area { x: 0, y: 0, width: 64, height: 48 };
        let film = Film::new(area, 4);
        assert!(film.frames.windows(2).all(|pair| pair[0] != pair[1]));
        let pixels = (0..64 * 64).map(|index| page(index % 64, index / 64));
        let ink = pixels.filter(|&colour| colour == INK).count();
        assert!((64..2048).contains(&ink), "{ink} pixels of ink");
    }
}
