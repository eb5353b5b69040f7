//! A picture in 3-byte RGB, as the bands carry it.

use tagio_wire::{Rect, Size};

use crate::{
    View,
    pixels::{self, RGB_BYTES, Span},
};

/// Rows of RGB without padding. A quarter smaller than a framebuffer, has no ignored byte to step around
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

    /// A black picture of `size`.
    pub(super) fn black(size: Size) -> Self {
        Self { size, bytes: vec![0; size.area() as usize * RGB_BYTES] }
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The bytes of each row of `rect`, from the top. `rect` must fit.
    pub(super) fn rows(&self, rect: Rect) -> impl Iterator<Item = &[u8]> {
        Span::new(rect, self.size.width, RGB_BYTES).rows(&self.bytes)
    }

    /// The bytes of a rectangle of a single row. It must fit.
    pub(super) fn row(&self, row: Rect) -> &[u8] {
        debug_assert_eq!(row.height, 1);
        let start = (row.y as usize * self.size.width as usize + row.x as usize) * RGB_BYTES;
        &self.bytes[start..start + row.width as usize * RGB_BYTES]
    }

    fn rows_mut(&mut self, rect: Rect) -> impl Iterator<Item = &mut [u8]> {
        Span::new(rect, self.size.width, RGB_BYTES).rows_mut(&mut self.bytes)
    }

    /// Takes the pixels of `rect` over from a view of the same size.
    pub(super) fn pack(&mut self, view: &View<'_>, rect: Rect) {
        if let Some(rows) = view.rows(rect) {
            self.rows_mut(rect).zip(rows).for_each(|(to, from)| pixels::rgb_from_bgrx(to, from));
        } else {
            self.rows_mut(rect).zip(rect.y..).for_each(|(to, y)| view.pack_row(rect.x, y, to));
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

    /// Copies the rows of `rect` to `out`, which has exactly their length.
    pub(super) fn read_rect(&self, rect: Rect, out: &mut [u8]) {
        let row_bytes = rect.width as usize * RGB_BYTES;
        out.chunks_exact_mut(row_bytes.max(1))
            .zip(self.rows(rect))
            .for_each(|(to, from)| to.copy_from_slice(from));
    }

    /// Writes rows into `rect`, back to back in `rgb`.
    pub(super) fn write_rect(&mut self, rect: Rect, rgb: &[u8]) {
        let row_bytes = rect.width as usize * RGB_BYTES;
        self.rows_mut(rect)
            .zip(rgb.chunks_exact(row_bytes.max(1)))
            .for_each(|(to, from)| to.copy_from_slice(from));
    }
}
