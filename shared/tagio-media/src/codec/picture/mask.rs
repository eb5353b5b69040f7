//! Which pixels of the viewer's picture are not exact.

use tagio_wire::{Rect, Size};

use crate::pixels::Span;

/// A set of pixels, to the pixel: a `Region` may hold more than it was given, and then nothing would ever make that
/// exact. One byte for each, none while the set is empty.
#[derive(Debug, Default)]
pub(super) struct Mask {
    size: Size,
    /// 1 for a pixel of the set; empty or one for each pixel of the picture.
    pixels: Vec<u8>,
    /// How many pixels it holds.
    area: u64,
}

impl Mask {
    /// No pixel of a picture of `size`.
    pub(super) fn new(size: Size) -> Self {
        Self { size, pixels: Vec::new(), area: 0 }
    }

    /// How many pixels it holds.
    pub(super) fn area(&self) -> u64 {
        self.area
    }

    /// Adds a rectangle, which must lie in the picture.
    pub(super) fn add(&mut self, rect: Rect) {
        self.pixels.resize(self.size.area() as usize, 0);
        self.fill(rect, 1);
    }

    /// Takes a rectangle out, which must lie in the picture.
    pub(super) fn subtract(&mut self, rect: Rect) {
        if self.area > 0 {
            self.fill(rect, 0);
        }
        if self.area == 0 {
            self.pixels = Vec::new();
        }
    }

    fn fill(&mut self, rect: Rect, value: u8) {
        for row in Span::new(rect, self.size.width, 1).rows_mut(&mut self.pixels) {
            let had: u64 = row.iter().map(|pixel| u64::from(*pixel)).sum();
            row.fill(value);
            self.area = self.area - had + u64::from(value) * row.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_every_pixel_once() {
        let mut mask = Mask::new(Size::new(50, 40));
        mask.add(Rect::new(10, 10, 20, 10));
        mask.add(Rect::new(20, 5, 20, 10));
        assert_eq!(mask.area(), 200 + 200 - 50);
        mask.subtract(Rect::new(0, 0, 50, 12));
        assert_eq!(mask.area(), 20 * 8 + 10 * 3);
        mask.subtract(Rect::new(0, 0, 50, 40));
        assert_eq!((mask.area(), mask.pixels.len()), (0, 0));
    }
}
