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

    /// Its pixels within `rect`, row by row, for [`Self::write`]; `None` if there are none.
    pub(super) fn read(&self, rect: Rect) -> Option<Vec<u8>> {
        let rows = (self.area > 0).then(|| Span::new(rect, self.size.width, 1).rows(&self.pixels))?;
        let read: Vec<u8> = rows.flatten().copied().collect();
        read.contains(&1).then_some(read)
    }

    /// Adds what was read from a rectangle as large as `rect`.
    pub(super) fn write(&mut self, rect: Rect, read: &[u8]) {
        self.pixels.resize(self.size.area() as usize, 0);
        let rows = Span::new(rect, self.size.width, 1).rows_mut(&mut self.pixels);
        for (to, from) in rows.zip(read.chunks_exact(rect.width as usize)) {
            for (to, from) in to.iter_mut().zip(from) {
                self.area += u64::from(from & !*to);
                *to |= from;
            }
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
    fn it_counts_every_pixel_once_and_copies_to_the_pixel() {
        let mut mask = Mask::new(Size::new(50, 40));
        mask.add(Rect::new(10, 10, 20, 10));
        mask.add(Rect::new(20, 5, 20, 10));
        assert_eq!(mask.area(), 200 + 200 - 50);
        let from = Rect::new(15, 5, 10, 10);
        let read = mask.read(from).expect("some of it is there");
        let to = Rect::new(40, 30, 10, 10);
        mask.write(to, &read);
        mask.write(to, &read);
        let copied = 5 * 5 + 5 * 10;
        assert_eq!(mask.area(), 350 + copied);
        assert!(mask.read(Rect::new(0, 0, 10, 40)).is_none());
        mask.subtract(Rect::new(0, 0, 50, 25));
        assert_eq!(mask.area(), copied);
        mask.subtract(to);
        assert_eq!((mask.area(), mask.pixels.len()), (0, 0));
    }
}
