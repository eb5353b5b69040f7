//! What one viewer sees of a screen: a part of it, perhaps at half of the resolution or without colour.

use tagio_wire::{Point, Rect, Size, picture::scaled};

use crate::{
    Framebuffer, Region,
    pixels::{self, BYTES_PER_PIXEL, RGB_BYTES},
};

/// A viewer's picture of a screen. Rectangles are in pixels of the picture unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    frame: &'a Framebuffer,
    look: Look,
}

/// How a screen becomes a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The part of the screen that is seen, in pixels of the screen.
    pub area: Rect,
    /// Pixels of the screen per pixel of the picture in either direction: 1 or 2.
    pub scale: u8,
    /// Without colour.
    pub grey: bool,
}

impl Look {
    /// All of a screen as it is.
    pub const fn whole(screen: Size) -> Self {
        Self { area: screen.rect(), scale: 1, grey: false }
    }

    /// Whether the picture has the very pixels of the screen.
    pub const fn is_exact(&self) -> bool {
        self.scale == 1 && !self.grey
    }

    /// Size of the picture.
    pub fn size(&self) -> Size {
        scaled(Size::new(self.area.width, self.area.height), self.scale)
    }

    /// What changes in the picture when `damage` changes on the screen.
    pub fn damage(&self, damage: &Region) -> Region {
        let scale = u32::from(self.scale);
        let mut seen = Region::new();
        for rect in damage.within(self.area).rects() {
            let (left, top) = ((rect.x - self.area.x) / scale, (rect.y - self.area.y) / scale);
            let right = (rect.right() - self.area.x).div_ceil(scale);
            let bottom = (rect.bottom() - self.area.y).div_ceil(scale);
            seen.add(Rect::new(left, top, right - left, bottom - top));
        }
        seen
    }

    /// A position on the screen, as one in the part that is seen, in pixels of the screen.
    pub fn point(&self, at: Point) -> Point {
        Point::new(at.x - self.area.x as i32, at.y - self.area.y as i32)
    }
}

impl<'a> View<'a> {
    /// `frame` as `look` says; its area must lie on the screen.
    pub fn new(frame: &'a Framebuffer, look: Look) -> Self {
        debug_assert!(look.area.fits(frame.size()));
        Self { frame, look }
    }

    /// All of `frame` as it is.
    pub fn whole(frame: &'a Framebuffer) -> Self {
        Self::new(frame, Look::whole(frame.size()))
    }

    /// How the screen becomes this picture.
    pub fn look(&self) -> Look {
        self.look
    }

    /// Size of the picture.
    pub fn size(&self) -> Size {
        self.look.size()
    }

    /// The rows of `rect` as BGRX, from the top, if they lie in memory as the picture has them.
    pub fn rows(&self, rect: Rect) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let area = self.look.area;
        self.look.is_exact().then(|| self.frame.rows(Rect { x: rect.x + area.x, y: rect.y + area.y, ..rect }))
    }

    /// Writes row `y` of the picture, from column `x` on, as 3-byte RGB until `rgb` is full.
    pub fn pack_row(&self, x: u32, y: u32, rgb: &mut [u8]) {
        let Look { area, scale, grey } = self.look;
        let width = (rgb.len() / RGB_BYTES) as u32;
        if scale == 1 {
            let row = Rect::new(area.x + x, area.y + y, width, 1);
            self.frame.rows(row).for_each(|row| pixels::rgb_from_bgrx(rgb, row));
        } else {
            self.pack_half(x, y, rgb);
        }
        if grey {
            for pixel in rgb.chunks_exact_mut(RGB_BYTES) {
                pixel.fill(luma(pixel));
            }
        }
    }

    /// Averages 2 by 2 pixels; fewer at an odd edge.
    fn pack_half(&self, x: u32, y: u32, rgb: &mut [u8]) {
        let area = self.look.area;
        let top = area.y + 2 * y;
        let rows = 2.min(area.bottom() - top);
        let left = area.x + 2 * x;
        let width = (2 * (rgb.len() / RGB_BYTES) as u32).min(area.right() - left);
        let mut rows = self.frame.rows(Rect::new(left, top, width, rows));
        let upper = rows.next().unwrap_or_default();
        let lower = rows.next().unwrap_or(upper);
        let pairs = upper.chunks(2 * BYTES_PER_PIXEL).zip(lower.chunks(2 * BYTES_PER_PIXEL));
        for (to, (upper, lower)) in rgb.chunks_exact_mut(RGB_BYTES).zip(pairs) {
            let last = upper.len() - BYTES_PER_PIXEL;
            for (to, at) in to.iter_mut().zip([2, 1, 0]) {
                let sum = [upper[at], upper[last + at], lower[at], lower[last + at]].map(u16::from);
                *to = ((sum.iter().sum::<u16>() + 2) / 4) as u8;
            }
        }
    }
}

/// Brightness of an RGB pixel (ITU-R BT.709, applied to gamma-encoded values as video does).
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((red * 54 + green * 183 + blue * 19 + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Framebuffer {
        let mut frame = Framebuffer::new(Size::new(5, 3));
        frame.bytes_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7) as u8);
        frame
    }

    #[test]
    fn half_of_an_odd_area_averages_what_there_is() {
        let frame = frame();
        let look = Look { area: Rect::new(1, 0, 3, 3), scale: 2, grey: false };
        let view = View::new(&frame, look);
        assert_eq!(view.size(), Size::new(2, 2));
        let mut row = [0; 6];
        view.pack_row(0, 1, &mut row);
        let red = |x: usize| u16::from((((2 * 5 + x) * 4 + 2) * 7) as u8);
        assert_eq!(u16::from(row[0]), (red(1) * 2 + red(2) * 2 + 2) / 4);
        assert_eq!(u16::from(row[3]), red(3));
    }

    #[test]
    fn damage_moves_with_the_area() {
        let look = Look { area: Rect::new(10, 10, 21, 20), scale: 2, grey: true };
        let mut damage = Region::new();
        damage.add(Rect::new(0, 0, 14, 12));
        damage.add(Rect::new(30, 29, 9, 9));
        let mut seen = look.damage(&damage);
        seen.clip(look.size());
        assert!(seen.rects().contains(&Rect::new(0, 0, 2, 1)));
        assert!(seen.rects().contains(&Rect::new(10, 9, 1, 1)));
    }
}
