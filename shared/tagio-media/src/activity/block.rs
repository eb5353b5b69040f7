//! The pixels of a tile, copied out of a view so that loops over them are simple and fast.

use tagio_wire::Rect;

use crate::{
    View,
    pixels::{BYTES_PER_PIXEL, RGB_BYTES},
};

/// Rows of pixels as `0x00rrggbb`.
#[derive(Default)]
pub(crate) struct Block {
    pixels: Vec<u32>,
    width: usize,
    rgb: Vec<u8>,
}

impl Block {
    /// Takes every `step`-th row of `rect`, which must lie in the view and not be empty.
    pub(crate) fn load(&mut self, view: &View<'_>, rect: Rect, step: u32) {
        self.pixels.clear();
        self.width = rect.width as usize;
        if let Some(rows) = view.rows(rect) {
            for row in rows.step_by(step as usize) {
                let pixels = row.as_chunks::<BYTES_PER_PIXEL>().0.iter();
                self.pixels.extend(pixels.map(|pixel| u32::from_le_bytes(*pixel) & 0x00ff_ffff));
            }
            return;
        }
        self.rgb.resize(self.width * RGB_BYTES, 0);
        for y in (rect.y..rect.bottom()).step_by(step as usize) {
            view.pack_row(rect.x, y, &mut self.rgb);
            let pixels = self.rgb.as_chunks::<RGB_BYTES>().0.iter();
            self.pixels.extend(pixels.map(|[red, green, blue]| u32::from_be_bytes([0, *red, *green, *blue])));
        }
    }

    /// Its rows.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.pixels.chunks_exact(self.width.max(1))
    }

    /// A number that is another one when the pixels are others, nearly always.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.rows().fold(0, |all, row| {
            (all.rotate_left(9) ^ u64::from(row_fingerprint(row))).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }
}

/// Like [`Block::fingerprint`], of one row. Eight at a time and without products: plain x86-64 has none for
/// vectors.
pub(super) fn row_fingerprint(row: &[u32]) -> u32 {
    let (chunks, rest) = row.as_chunks::<8>();
    let mut lanes = [0_u32; 8];
    for chunk in chunks {
        for (lane, pixel) in lanes.iter_mut().zip(chunk) {
            *lane = lane.rotate_left(7).wrapping_add(*pixel);
        }
    }
    lanes.iter().chain(rest).fold(0, |all, lane| (all.rotate_left(5) ^ *lane).wrapping_mul(0x9e37_79b1))
}
