//! What a picture of desktop duplication changed: its dirty and its moved rectangles as damage. Pure; runs on the
//! picture thread.

use tagio_media::Region;
use tagio_wire::{Rect, Size};

/// A rectangle as Windows writes it: its right and its bottom edge lie outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

/// The damage on a panel of `size`. Of what moved, `rects` has the place where it went: what the place that it left
/// shows now is dirty or was moved there too, and an encoder finds copies by itself.
pub(super) fn damage(rects: impl IntoIterator<Item = Edges>, size: Size) -> Region {
    let mut region = Region::new();
    for rect in rects.into_iter().filter_map(|edges| edges.on(size)) {
        region.add(rect);
    }
    // Drivers of virtual screens exist that know only that something changed.
    if region.is_empty() { Region::whole(size) } else { region }
}

impl Edges {
    /// Its part on a panel of `size`; `None` where there is none.
    fn on(self, size: Size) -> Option<Rect> {
        let within = |edge: i32, side: u32| u32::try_from(edge).unwrap_or(0).min(side);
        let (x, right) = (within(self.left, size.width), within(self.right, size.width));
        let (y, bottom) = (within(self.top, size.height), within(self.bottom, size.height));
        (x < right && y < bottom).then(|| Rect::new(x, y, right - x, bottom - y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: Size = Size::new(100, 50);

    fn edges(left: i32, top: i32, right: i32, bottom: i32) -> Edges {
        Edges { left, top, right, bottom }
    }

    #[test]
    fn moved_and_dirty_rectangles_are_damage_where_they_are_now() {
        // A page scrolled up by ten rows; the new ones at its bottom are dirty.
        let (moved, dirty) = (edges(0, 0, 60, 40), edges(0, 40, 60, 50));
        assert_eq!(damage([moved, dirty], PANEL).rects(), [Rect::new(0, 0, 60, 50)]);
    }

    #[test]
    fn what_lies_beyond_the_panel_is_no_damage() {
        let rects = [edges(-5, -5, 2, 3), edges(90, 45, 400, 400), edges(100, 0, 120, 50), edges(9, 9, 4, 4)];
        assert_eq!(damage(rects, PANEL).rects(), [Rect::new(0, 0, 2, 3), Rect::new(90, 45, 10, 5)]);
    }

    #[test]
    fn a_change_without_a_place_is_everywhere() {
        assert_eq!(damage([], PANEL), Region::whole(PANEL));
        assert_eq!(damage([edges(7, 7, 7, 7)], PANEL), Region::whole(PANEL));
    }
}
