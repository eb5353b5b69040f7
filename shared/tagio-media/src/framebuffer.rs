//! A screenful of pixels.

use tagio_wire::{Rect, Size};

use crate::pixels::{self, BYTES_PER_PIXEL, RGB_BYTES, Span};

/// Pixels in rows without padding, BGRX, as X11 and Windows hand them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framebuffer {
    size: Size,
    pixels: Vec<u8>,
}

impl Framebuffer {
    /// A black screen.
    pub fn new(size: Size) -> Self {
        Self { size, pixels: vec![0; size.area() as usize * BYTES_PER_PIXEL] }
    }

    /// Makes it a black screen of `size`, if it has another size.
    pub fn resize(&mut self, size: Size) {
        if self.size != size {
            *self = Self::new(size);
        }
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.size.width as usize * BYTES_PER_PIXEL
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.pixels
    }

    /// All bytes, for a source that fills them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes of each row of `rect`, from the top. `rect` must fit.
    pub fn rows(&self, rect: Rect) -> impl Iterator<Item = &[u8]> {
        Span::new(rect, self.size.width, BYTES_PER_PIXEL).rows(&self.pixels)
    }

    /// Like [`Self::rows`], to be written.
    pub fn rows_mut(&mut self, rect: Rect) -> impl Iterator<Item = &mut [u8]> {
        Span::new(rect, self.size.width, BYTES_PER_PIXEL).rows_mut(&mut self.pixels)
    }

    /// Copies the pixels of `rect` from the same place of `other`. `rect` must fit both.
    pub fn copy_rect_from(&mut self, other: &Self, rect: Rect) {
        for (to, from) in self.rows_mut(rect).zip(other.rows(rect)) {
            to.copy_from_slice(from);
        }
    }

    /// Rows of 3-byte RGB of the whole screen, as picture files want them.
    pub fn to_rgb(&self) -> Vec<u8> {
        let mut rgb = vec![0; self.size.area() as usize * RGB_BYTES];
        pixels::rgb_from_bgrx(&mut rgb, &self.pixels);
        rgb
    }
}
