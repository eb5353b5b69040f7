//! Monitors that stand on their side: Windows hands out their pixels as the panel has them, to be turned here.
//! Pure; runs on the picture thread.

use tagio_media::{BYTES_PER_PIXEL, Framebuffer};
use tagio_wire::{Rect, Size};

/// How far, clockwise, the panel's pixels are turned to be what the desktop shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

/// Pixels in rows of `stride` bytes, as the panel has them.
pub(super) struct Panel<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
}

/// A turned monitor within a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub(super) rotation: Rotation,
    /// Where it is in the frame.
    pub(super) place: Rect,
}

impl Turned {
    /// The size of the panel's own picture.
    pub(super) fn panel_size(self) -> Size {
        let Rect { width, height, .. } = self.place;
        match self.rotation {
            Rotation::None | Rotation::Half => Size::new(width, height),
            Rotation::Quarter | Rotation::ThreeQuarters => Size::new(height, width),
        }
    }

    /// Where a rectangle of the panel, which must lie on it, is in the frame.
    pub(super) fn in_frame(self, rect: Rect) -> Rect {
        let Rect { width, height, .. } = self.place;
        let Rect { x, y, .. } = rect;
        let (right, bottom) = (rect.right(), rect.bottom());
        let at = |x: u32, y: u32, width, height| Rect::new(self.place.x + x, self.place.y + y, width, height);
        match self.rotation {
            Rotation::None => at(x, y, rect.width, rect.height),
            Rotation::Quarter => at(width - bottom, x, rect.height, rect.width),
            Rotation::Half => at(width - right, height - bottom, rect.width, rect.height),
            Rotation::ThreeQuarters => at(y, height - right, rect.height, rect.width),
        }
    }

    /// Copies a rectangle of the panel, which must lie on it, to where it is in `frame`.
    pub(super) fn copy(self, panel: &Panel<'_>, rect: Rect, frame: &mut Framebuffer) {
        let to = self.in_frame(rect);
        for (y, row) in (to.y..).zip(frame.rows_mut(to)) {
            if self.rotation == Rotation::None {
                let from = panel.at(to.x - self.place.x, y - self.place.y);
                row.copy_from_slice(&panel.bytes[from..from + row.len()]);
            } else {
                for (x, pixel) in (to.x..).zip(row.as_chunks_mut::<BYTES_PER_PIXEL>().0) {
                    let from = self.on_panel(panel, x - self.place.x, y - self.place.y);
                    pixel.copy_from_slice(&panel.bytes[from..from + BYTES_PER_PIXEL]);
                }
            }
        }
    }

    /// The panel's byte at which a pixel of the monitor begins.
    fn on_panel(self, panel: &Panel<'_>, x: u32, y: u32) -> usize {
        let Rect { width, height, .. } = self.place;
        match self.rotation {
            Rotation::None => panel.at(x, y),
            Rotation::Quarter => panel.at(y, width - 1 - x),
            Rotation::Half => panel.at(width - 1 - x, height - 1 - y),
            Rotation::ThreeQuarters => panel.at(height - 1 - y, x),
        }
    }
}

impl Panel<'_> {
    fn at(&self, x: u32, y: u32) -> usize {
        y as usize * self.stride + x as usize * BYTES_PER_PIXEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of a panel's six pixels, by its blue: 1 2 3 in the first row, 4 5 6 in the second; rows are padded.
    fn panel_bytes() -> Vec<u8> {
        let row = |blues: [u8; 3]| blues.into_iter().flat_map(|blue| [blue, 0, 0, 0]).chain([99; 4]);
        row([1, 2, 3]).chain(row([4, 5, 6])).collect()
    }

    /// The blues of a frame of 4 by 4 after `rects` of the panel were copied to (1, 0).
    fn shown(rotation: Rotation, rects: &[Rect]) -> Vec<u8> {
        let (width, height) = match rotation {
            Rotation::None | Rotation::Half => (3, 2),
            Rotation::Quarter | Rotation::ThreeQuarters => (2, 3),
        };
        let turned = Turned { rotation, place: Rect::new(1, 0, width, height) };
        assert_eq!(turned.panel_size(), Size::new(3, 2));
        let bytes = panel_bytes();
        let mut frame = Framebuffer::new(Size::new(4, 4));
        for rect in rects {
            turned.copy(&Panel { bytes: &bytes, stride: 16 }, *rect, &mut frame);
        }
        frame.bytes().iter().step_by(BYTES_PER_PIXEL).copied().collect()
    }

    const WHOLE: Rect = Rect::new(0, 0, 3, 2);

    #[test]
    fn a_panel_is_turned_clockwise_to_its_place() {
        assert_eq!(shown(Rotation::None, &[WHOLE]), [0, 1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(shown(Rotation::Quarter, &[WHOLE]), [0, 4, 1, 0, 0, 5, 2, 0, 0, 6, 3, 0, 0, 0, 0, 0]);
        assert_eq!(shown(Rotation::Half, &[WHOLE]), [0, 6, 5, 4, 0, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            shown(Rotation::ThreeQuarters, &[WHOLE]),
            [0, 3, 6, 0, 0, 2, 5, 0, 0, 1, 4, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn the_parts_of_a_panel_make_the_whole() {
        let parts =
            [Rect::new(0, 0, 1, 2), Rect::new(1, 0, 2, 1), Rect::new(1, 1, 1, 1), Rect::new(2, 1, 1, 1)];
        for rotation in [Rotation::None, Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarters] {
            assert_eq!(shown(rotation, &parts), shown(rotation, &[WHOLE]), "{rotation:?}");
        }
    }
}
