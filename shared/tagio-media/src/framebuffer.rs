//! A screenful of pixels.

use tagio_wire::{Rect, Size};

/// Bytes of one pixel: blue, green, red, and one that is ignored.
pub const BYTES_PER_PIXEL: usize = 4;

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
        let (start, len) = (rect.x as usize * BYTES_PER_PIXEL, rect.width as usize * BYTES_PER_PIXEL);
        let (from, to) = (rect.y as usize * self.stride(), rect.bottom() as usize * self.stride());
        self.pixels[from..to].chunks_exact(self.stride().max(1)).map(move |row| &row[start..start + len])
    }

    /// Like [`Self::rows`], to be written.
    pub fn rows_mut(&mut self, rect: Rect) -> impl Iterator<Item = &mut [u8]> {
        let stride = self.stride();
        let (start, len) = (rect.x as usize * BYTES_PER_PIXEL, rect.width as usize * BYTES_PER_PIXEL);
        let (from, to) = (rect.y as usize * stride, rect.bottom() as usize * stride);
        self.pixels[from..to].chunks_exact_mut(stride.max(1)).map(move |row| &mut row[start..start + len])
    }

    /// Rows of 3-byte RGB of the whole screen, as picture files want them.
    pub fn to_rgb(&self) -> Vec<u8> {
        self.pixels.chunks_exact(BYTES_PER_PIXEL).flat_map(|p| [p[2], p[1], p[0]]).collect()
    }
}
