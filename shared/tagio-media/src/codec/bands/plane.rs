//! A picture in 3-byte RGB, as the bands carry it.

use tagio_wire::{Rect, Size};

use crate::{
    Framebuffer,
    pixels::{self, BYTES_PER_PIXEL, RGB_BYTES, Span},
};

/// Rows of RGB without padding. A quarter smaller than a [`Framebuffer`], has no ignored byte to step around
/// when it is compared, and a prefix is a plain copy of its rows.
#[derive(Default)]
pub(super) struct RgbPlane {
    size: Size,
    bytes: Vec<u8>,
}

impl RgbPlane {
    /// Makes it a black picture of `size`.
    pub(super) fn reset(&mut self, size: Size) {
        self.size = size;
        self.bytes.clear();
        self.bytes.resize(size.area() as usize * RGB_BYTES, 0);
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The bytes of each row of `rect`, from the top. `rect` must fit.
    pub(super) fn rows(&self, rect: Rect) -> impl Iterator<Item = &[u8]> {
        Span::new(rect, self.size.width, RGB_BYTES).rows(&self.bytes)
    }

    fn rows_mut(&mut self, rect: Rect) -> impl Iterator<Item = &mut [u8]> {
        Span::new(rect, self.size.width, RGB_BYTES).rows_mut(&mut self.bytes)
    }

    /// Takes the pixels of `rect` over from a screen of the same size.
    pub(super) fn pack(&mut self, screen: &Framebuffer, rect: Rect) {
        for (to, from) in self.rows_mut(rect).zip(screen.rows(rect)) {
            pixels::rgb_from_bgrx(to, from);
        }
    }

    /// Copies the pixels of `rect` from a plane of the same size.
    pub(super) fn copy_rect_from(&mut self, other: &Self, rect: Rect) {
        for (to, from) in self.rows_mut(rect).zip(other.rows(rect)) {
            to.copy_from_slice(from);
        }
    }

    /// Appends the rows of `rect` to `out`, back to back.
    pub(super) fn append_rect(&self, rect: Rect, out: &mut Vec<u8>) {
        self.rows(rect).for_each(|row| out.extend_from_slice(row));
    }
}

/// Writes the rows of `rect` of a framebuffer as RGB to `out`, which has exactly their length.
pub(super) fn pack_rect(picture: &Framebuffer, rect: Rect, out: &mut [u8]) {
    let row_bytes = rect.width as usize * RGB_BYTES;
    for (to, from) in out.chunks_exact_mut(row_bytes.max(1)).zip(picture.rows(rect)) {
        debug_assert_eq!(to.len() / RGB_BYTES, from.len() / BYTES_PER_PIXEL);
        pixels::rgb_from_bgrx(to, from);
    }
}

/// Writes rows of RGB into `rect` of a framebuffer.
pub(super) fn unpack_rect(picture: &mut Framebuffer, rect: Rect, rgb: &[u8]) {
    let row_bytes = rect.width as usize * RGB_BYTES;
    for (to, from) in picture.rows_mut(rect).zip(rgb.chunks_exact(row_bytes.max(1))) {
        pixels::bgrx_from_rgb(to, from);
    }
}
