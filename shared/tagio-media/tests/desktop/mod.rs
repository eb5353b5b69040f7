//! A made-up desktop of text, repeatable from a seed: what the codec's tests and its bench look at.
#![allow(dead_code, unreachable_pub, reason = "each test and the bench use a part of it, as a module")]

pub mod film;
pub mod font;
pub mod pair;
pub mod random;
pub mod session;

use tagio_media::{Framebuffer, codec::picture::Link};
use tagio_wire::{Rect, Size};

use font::{CELL_HEIGHT, CELL_WIDTH, Font};
use random::Random;

/// A full HD screen.
pub const FULL_HD: Size = Size::new(1920, 1080);
/// Where the code editor shows its lines.
pub const CODE_PANE: Rect = Rect::new(260, 80, 1200, 900);

const WALLPAPER: [u8; 3] = [0x36, 0x2e, 0x2a];
const EDITOR: [u8; 3] = [0x1e, 0x1e, 0x1e];
const PAPER: [u8; 3] = [0xff, 0xff, 0xff];
const BAR: [u8; 3] = [0x3c, 0x3c, 0x3c];
/// Blue, green, red of keywords, names, literals, comments and the rest.
const INKS: [[u8; 3]; 5] =
    [[0xd6, 0x9c, 0x56], [0xaa, 0xdc, 0xdc], [0x78, 0x91, 0xce], [0x55, 0x99, 0x6a], [0xd4, 0xd4, 0xd4]];

/// A link of so many bytes a second, whose updates take at most 50 ms of it.
pub const fn link(bytes_per_second: f64) -> Link {
    let moment = (bytes_per_second * 0.05) as usize;
    Link {
        bytes_per_second: Some(bytes_per_second),
        update_bytes_max: if moment > 4096 { moment } else { 4096 },
    }
}

/// A screen and what draws on it.
pub struct Desktop {
    pub frame: Framebuffer,
    font: Font,
    /// Words of the code, by number: line `n` is always the same.
    seed: u64,
}

impl Desktop {
    /// An editor with code, a list of files, a page of prose and bars above and below.
    pub fn new(size: Size, seed: u64) -> Self {
        let mut desktop = Self { frame: Framebuffer::new(size), font: Font::new(seed), seed };
        desktop.fill(size.rect(), WALLPAPER);
        desktop.fill(Rect::new(0, 0, size.width, 30), BAR);
        desktop.fill(Rect::new(0, size.height.saturating_sub(40), size.width, 40), BAR);
        desktop.draw_text(Rect::new(10, 6, size.width.min(900), 18), seed ^ 1, BAR, true);
        desktop.draw_text(Rect::new(10, 40, 240, size.height.saturating_sub(100)), seed ^ 2, EDITOR, true);
        let page = Rect::new(1480, 60, 430, size.height.saturating_sub(120));
        desktop.draw_text(page, seed ^ 3, PAPER, false);
        desktop.draw_code(0);
        desktop
    }

    /// Shows the code from line `first` on.
    pub fn draw_code(&mut self, first: u64) {
        let seed = self.seed;
        self.fill(CODE_PANE, EDITOR);
        for row in 0..CODE_PANE.height / CELL_HEIGHT {
            let mut random = Random::new(seed.wrapping_mul(31) + first + u64::from(row));
            let line = Rect::new(CODE_PANE.x, CODE_PANE.y + row * CELL_HEIGHT, CODE_PANE.width, CELL_HEIGHT);
            self.draw_line(line, &mut random, true);
        }
    }

    /// Draws one letter into the code pane and returns where.
    pub fn type_letter(&mut self, column: u32, row: u32, letter: usize) -> Rect {
        let (x, y) = (CODE_PANE.x + column * CELL_WIDTH, CODE_PANE.y + row * CELL_HEIGHT);
        self.draw_glyph(x, y, letter, INKS[4]);
        Rect::new(x, y, CELL_WIDTH, CELL_HEIGHT)
    }

    /// Draws a window with a title and a page of text.
    pub fn draw_window(&mut self, place: Rect, seed: u64) {
        self.fill(place, PAPER);
        self.fill(Rect { height: 30, ..place }, BAR);
        let inner = Rect::new(place.x + 12, place.y + 40, place.width - 24, place.height - 52);
        self.draw_text(inner, seed, PAPER, false);
    }

    /// Fills `place` with noise, as a film would.
    pub fn draw_noise(&mut self, place: Rect, random: &mut Random) {
        for row in self.frame.rows_mut(place) {
            row.iter_mut().for_each(|byte| *byte = random.next() as u8);
        }
    }

    /// Fills what of `place` is on the screen.
    pub fn fill(&mut self, place: Rect, [blue, green, red]: [u8; 3]) {
        let Some(place) = place.intersection(self.frame.size().rect()) else { return };
        for row in self.frame.rows_mut(place) {
            row.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&[blue, green, red, 0xff]));
        }
    }

    /// Fills `place` with lines of words.
    pub fn draw_text(&mut self, place: Rect, seed: u64, paper: [u8; 3], coloured: bool) {
        self.fill(place, paper);
        let mut random = Random::new(seed);
        for row in 0..place.height / CELL_HEIGHT {
            let line = Rect::new(place.x, place.y + row * CELL_HEIGHT, place.width, CELL_HEIGHT);
            self.draw_line(line, &mut random, coloured);
        }
    }

    fn draw_line(&mut self, line: Rect, random: &mut Random, coloured: bool) {
        let columns = line.width / CELL_WIDTH;
        let end = random.below(u64::from(columns) + 1) as u32;
        let mut column = if coloured { 4 * random.below(5) as u32 } else { 0 };
        while column < end {
            let ink = if coloured { INKS[random.below(5) as usize] } else { [0x20, 0x20, 0x20] };
            // Words come from a small vocabulary, as they do in real text.
            let mut word = Random::new(random.below(300));
            for _ in 0..2 + word.below(9) {
                if column < end {
                    let letter = word.below(60) as usize;
                    self.draw_glyph(line.x + column * CELL_WIDTH, line.y, letter, ink);
                }
                column += 1;
            }
            column += 1;
        }
    }

    fn draw_glyph(&mut self, x: u32, y: u32, letter: usize, ink: [u8; 3]) {
        let cell = Rect::new(x, y, CELL_WIDTH, CELL_HEIGHT);
        if !cell.fits(self.frame.size()) {
            return;
        }
        let glyph = self.font.glyph(letter);
        for (row, cover) in self.frame.rows_mut(cell).zip(glyph.chunks_exact(CELL_WIDTH as usize)) {
            for (pixel, cover) in row.chunks_exact_mut(4).zip(cover) {
                for (value, ink) in pixel.iter_mut().zip(ink) {
                    let mixed =
                        u32::from(*value) * (255 - u32::from(*cover)) + u32::from(ink) * u32::from(*cover);
                    *value = (mixed / 255) as u8;
                }
            }
        }
    }
}
