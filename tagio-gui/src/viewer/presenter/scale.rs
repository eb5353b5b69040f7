//! Scaling by the processor at a cost that follows the damage: any part of the scaled picture can be made from
//! the pixels around it alone, and looks as if all had been scaled.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use tagio_media::{BYTES_PER_PIXEL, Framebuffer};
use tagio_wire::{Rect, Size};

use super::Lender;

/// How far the filter reaches, in pixels of whichever side has the larger ones.
const REACH: f64 = 2.0;

/// Sharp for text, with a quarter of Lanczos' ringing and two thirds of its cost.
const FILTER: FilterType = FilterType::CatmullRom;

/// Makes parts of a picture of one size from one of another.
pub(super) struct Scaler {
    from: Size,
    to: Size,
    resizer: Resizer,
    /// The pixels that a part is made from.
    source: Vec<u8>,
}

impl Scaler {
    /// From a picture of size `from` to one of size `to`; neither is empty.
    pub(super) fn new(from: Size, to: Size) -> Self {
        Self { from, to, resizer: Resizer::new(), source: Vec::new() }
    }

    /// The part of the scaled picture that depends on the rectangle `changed` of the picture.
    pub(super) fn touched(&self, changed: Rect) -> Rect {
        if let Some(factor) = self.factor() {
            return Rect::new(
                changed.x * factor,
                changed.y * factor,
                changed.width * factor,
                changed.height * factor,
            );
        }
        let (x, width) = reach(changed.x, changed.right(), self.to.width, self.from.width);
        let (y, height) = reach(changed.y, changed.bottom(), self.to.height, self.from.height);
        Rect::new(x, y, width, height)
    }

    /// Makes `part` of the scaled picture. `out` has room for its rows, one after the other. Returns false,
    /// and leaves `out` as it is, when the picture has another size by now.
    pub(super) fn scale(&mut self, part: Rect, picture: &dyn Lender, out: &mut [u8]) -> bool {
        match self.factor() {
            Some(factor) => self.repeat(part, factor, picture, out),
            None => self.filter(part, picture, out),
        }
    }

    /// The whole number of times that each pixel is repeated in both directions, if that is all there is to do.
    fn factor(&self) -> Option<u32> {
        let factor = self.to.width / self.from.width.max(1);
        let exact = Size::new(self.from.width * factor, self.from.height * factor);
        (factor > 0 && exact == self.to).then_some(factor)
    }

    fn repeat(&self, part: Rect, factor: u32, picture: &dyn Lender, out: &mut [u8]) -> bool {
        let mut is_made = false;
        picture.lend(&mut |picture| {
            if picture.size() == self.from {
                repeat(part, factor, picture, out);
                is_made = true;
            }
        });
        is_made
    }

    fn filter(&mut self, part: Rect, picture: &dyn Lender, out: &mut [u8]) -> bool {
        let (x, width) = reach(part.x, part.right(), self.from.width, self.to.width);
        let (y, height) = reach(part.y, part.bottom(), self.from.height, self.to.height);
        let (from, wanted) = (self.from, Rect::new(x, y, width, height));
        let source = &mut self.source;
        source.clear();
        picture.lend(&mut |picture| {
            if picture.size() == from {
                picture.rows(wanted).for_each(|row| source.extend_from_slice(row));
            }
        });
        if self.source.is_empty() {
            return false;
        }
        self.resample(part, wanted, out);
        true
    }

    /// Makes `part` from `source`, which holds the pixels of `have`.
    fn resample(&mut self, part: Rect, have: Rect, out: &mut [u8]) {
        const ROOM: &str = "a part has a side, and buffers have room for it";
        let (x, y) = (ratio(self.from.width, self.to.width), ratio(self.from.height, self.to.height));
        let (left, top) =
            (f64::from(part.x) * x - f64::from(have.x), f64::from(part.y) * y - f64::from(have.y));
        // At the edges of the picture the product may lie a rounding error outside of it.
        let width = (f64::from(part.width) * x).min(f64::from(have.width) - left);
        let height = (f64::from(part.height) * y).min(f64::from(have.height) - top);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FILTER))
            .use_alpha(false)
            .crop(left, top, width, height);
        let source = ImageRef::new(have.width, have.height, &self.source, PixelType::U8x4).expect(ROOM);
        let mut target = Image::from_slice_u8(part.width, part.height, out, PixelType::U8x4).expect(ROOM);
        self.resizer.resize(&source, &mut target, &options).expect("the crop lies within the source");
    }
}

fn ratio(of: u32, by: u32) -> f64 {
    f64::from(of) / f64::from(by)
}

/// The pixels of a side of length `to` that depend on, or are needed for, those from `start` to `end` of a side
/// of length `from`: the first one and their number.
fn reach(start: u32, end: u32, to: u32, from: u32) -> (u32, u32) {
    let scale = ratio(to, from);
    // Half a pixel for the distance between middles, and half a one for rounding.
    let reach = REACH * scale.max(1.0) + 1.0;
    let first = (f64::from(start) * scale - reach).floor().max(0.0) as u32;
    let last = ((f64::from(end) * scale + reach).ceil() as u32).min(to);
    (first.min(last), last.saturating_sub(first))
}

fn repeat(part: Rect, factor: u32, picture: &Framebuffer, out: &mut [u8]) {
    let row_bytes = part.width as usize * BYTES_PER_PIXEL;
    let columns = Rect::new(part.x / factor, 0, (part.right() - 1) / factor - part.x / factor + 1, 1);
    let mut made: Option<u32> = None;
    for (i, y) in (part.y..part.bottom()).enumerate() {
        let (done, rest) = out.split_at_mut(i * row_bytes);
        let row = &mut rest[..row_bytes];
        if made == Some(y / factor) {
            row.copy_from_slice(&done[(i - 1) * row_bytes..]);
            continue;
        }
        made = Some(y / factor);
        for pixels in picture.rows(Rect { y: y / factor, ..columns }) {
            repeat_row(part.x % factor, factor, pixels, row);
        }
    }
}

/// Repeats pixels, beginning with the `skipped`th time of the first one.
fn repeat_row(skipped: u32, factor: u32, pixels: &[u8], row: &mut [u8]) {
    if factor == 1 {
        row.copy_from_slice(pixels);
        return;
    }
    let repeated = pixels
        .chunks_exact(BYTES_PER_PIXEL)
        .flat_map(|pixel| std::iter::repeat_n(pixel, factor as usize))
        .skip(skipped as usize);
    for (to, from) in row.chunks_exact_mut(BYTES_PER_PIXEL).zip(repeated) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests;
