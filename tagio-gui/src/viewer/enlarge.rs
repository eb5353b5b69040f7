//! Brings a picture of half of the resolution to the size of the host's screen.

use tagio_media::{BYTES_PER_PIXEL, Framebuffer, Region};
use tagio_wire::{Rect, Size};

/// Keeps the enlarged picture.
#[derive(Default)]
pub(super) struct Enlarger {
    full: Framebuffer,
}

impl Enlarger {
    /// The picture in the size of `screen`, of which each pixel of `picture` stands for `scale` by `scale`, and
    /// what changed in it.
    pub(super) fn enlarge<'a>(
        &'a mut self,
        picture: &'a Framebuffer,
        changed: &Region,
        screen: Size,
        scale: u8,
    ) -> (&'a Framebuffer, Region) {
        if scale <= 1 {
            self.full.resize(Size::default());
            return (picture, changed.clone());
        }
        self.full.resize(screen);
        let mut larger = Region::new();
        for rect in changed.rects() {
            larger.add(self.enlarge_rect(picture, *rect, u32::from(scale)));
        }
        (&self.full, larger)
    }

    fn enlarge_rect(&mut self, picture: &Framebuffer, rect: Rect, scale: u32) -> Rect {
        let mut larger = Rect::new(rect.x * scale, rect.y * scale, rect.width * scale, rect.height * scale);
        // The last row and column of an odd screen stand for one only.
        larger.width = larger.width.min(self.full.size().width - larger.x);
        larger.height = larger.height.min(self.full.size().height - larger.y);
        let rows: Vec<&[u8]> = picture.rows(rect).collect();
        for (y, to) in self.full.rows_mut(larger).enumerate() {
            let from = rows[y / scale as usize].chunks_exact(BYTES_PER_PIXEL);
            for (to, from) in to.chunks_mut(BYTES_PER_PIXEL * scale as usize).zip(from) {
                to.chunks_exact_mut(BYTES_PER_PIXEL).for_each(|pixel| pixel.copy_from_slice(from));
            }
        }
        larger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_screen_is_filled_to_its_edges() {
        let mut picture = Framebuffer::new(Size::new(2, 2));
        picture.bytes_mut().chunks_exact_mut(4).zip(1..).for_each(|(pixel, grey)| pixel.fill(grey));
        let mut enlarger = Enlarger::default();
        let screen = Size::new(3, 3);
        let (full, changed) = enlarger.enlarge(&picture, &Region::whole(picture.size()), screen, 2);
        assert_eq!(changed, Region::whole(screen));
        let greys: Vec<u8> = full.bytes().chunks_exact(4).map(|pixel| pixel[0]).collect();
        assert_eq!(greys, [1, 1, 2, 1, 1, 2, 3, 3, 4]);
    }
}
