//! The way between BGRX pixels and the planes of video: BT.709, full range, 4:2:0.
//!
//! A chroma sample is the mean of 2 by 2 pixels and is spread over the same four again, so colour stays where it
//! was: sited in the middle.

use openh264::formats::YUVSource;
use tagio_wire::{Rect, Size};
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};

use crate::{
    Framebuffer, View,
    pixels::{BYTES_PER_PIXEL, RGB_BYTES},
};

const RANGE: YuvRange = YuvRange::Full;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt709;
const MODE: YuvConversionMode = YuvConversionMode::Balanced;

/// Rows that are converted at a time: even, and few enough to stay in the cache.
const STRIP_ROWS: u32 = 16;

/// Planes of a picture with even sides.
pub(crate) struct Planes {
    size: Size,
    luma: Vec<u8>,
    blue: Vec<u8>,
    red: Vec<u8>,
    strip: Vec<u8>,
}

impl Planes {
    /// Planes for a picture of `size`, rounded up to even sides; black.
    pub(crate) fn new(size: Size) -> Self {
        let size = Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2));
        let quarter = size.area() as usize / 4;
        Self {
            size,
            luma: vec![0; size.area() as usize],
            blue: vec![128; quarter],
            red: vec![128; quarter],
            strip: Vec::new(),
        }
    }

    /// Size with even sides.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Takes over the pixels of `rect`, which is as large as the planes or a column or a row less; those at
    /// the edge are repeated then.
    pub(crate) fn fill(&mut self, view: &View<'_>, rect: Rect) -> Result<(), YuvError> {
        for top in (0..rect.height).step_by(STRIP_ROWS as usize) {
            let height = STRIP_ROWS.min(rect.height - top);
            self.fill_strip(view, Rect::new(rect.x, rect.y + top, rect.width, height), top)?;
        }
        self.repeat_edges(rect);
        Ok(())
    }

    fn fill_strip(&mut self, view: &View<'_>, rect: Rect, top: u32) -> Result<(), YuvError> {
        let pixels = rect.area() as usize;
        let (stride, half) = (self.size.width as usize, self.size.width as usize / 2);
        // Exactly these rows: the library takes what is over for the second of a pair.
        let (rows, from) = (rect.height as usize, top as usize);
        let luma = from * stride..(from + rows) * stride;
        let chroma = from / 2 * half..(from + rows).div_ceil(2) * half;
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut self.luma[luma]),
            y_stride: stride as u32,
            u_plane: BufferStoreMut::Borrowed(&mut self.blue[chroma.clone()]),
            u_stride: half as u32,
            v_plane: BufferStoreMut::Borrowed(&mut self.red[chroma]),
            v_stride: half as u32,
            width: rect.width,
            height: rect.height,
        };
        if let Some(rows) = view.rows(rect) {
            let row_bytes = rect.width as usize * BYTES_PER_PIXEL;
            self.strip.resize(pixels * BYTES_PER_PIXEL, 0);
            self.strip.chunks_exact_mut(row_bytes).zip(rows).for_each(|(to, from)| to.copy_from_slice(from));
            yuv::bgra_to_yuv420(&mut planes, &self.strip, row_bytes as u32, RANGE, MATRIX, MODE)
        } else {
            let row_bytes = rect.width as usize * RGB_BYTES;
            self.strip.resize(pixels * RGB_BYTES, 0);
            for (row, y) in self.strip.chunks_exact_mut(row_bytes).zip(rect.y..) {
                view.pack_row(rect.x, y, row);
            }
            yuv::rgb_to_yuv420(&mut planes, &self.strip, row_bytes as u32, RANGE, MATRIX, MODE)
        }
    }

    /// Luma only: an odd edge has chroma of its own already.
    fn repeat_edges(&mut self, rect: Rect) {
        let width = self.size.width as usize;
        if rect.width < self.size.width {
            self.luma.chunks_exact_mut(width).for_each(|row| row[width - 1] = row[width - 2]);
        }
        if rect.height < self.size.height {
            let last = self.luma.len() - width;
            self.luma.copy_within(last - width..last, last);
        }
    }
}

impl YUVSource for Planes {
    fn dimensions(&self) -> (usize, usize) {
        (self.size.width as usize, self.size.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let half = self.size.width as usize / 2;
        (half * 2, half, half)
    }

    fn y(&self) -> &[u8] {
        &self.luma
    }

    fn u(&self) -> &[u8] {
        &self.blue
    }

    fn v(&self) -> &[u8] {
        &self.red
    }
}

/// Writes planes to `rect` of `shown`; what they have over is cut off. `rect` must fit and not be empty, the
/// planes must be at least as large.
pub(crate) fn show(planes: &impl YUVSource, rect: Rect, shown: &mut Framebuffer) -> Result<(), YuvError> {
    let (luma, blue, red) = planes.strides();
    let (rows, pairs) = (rect.height as usize, rect.height.div_ceil(2) as usize);
    let image = YuvPlanarImage {
        y_plane: &planes.y()[..rows * luma],
        y_stride: luma as u32,
        u_plane: &planes.u()[..pairs * blue],
        u_stride: blue as u32,
        v_plane: &planes.v()[..pairs * red],
        v_stride: red as u32,
        width: rect.width,
        height: rect.height,
    };
    let stride = shown.stride();
    let from = rect.y as usize * stride + rect.x as usize * BYTES_PER_PIXEL;
    yuv::yuv420_to_bgra(&image, &mut shown.bytes_mut()[from..], stride as u32, RANGE, MATRIX)
}
