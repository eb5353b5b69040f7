//! The seam to a picture that has a window of its own inside the session's window, in that window's pixels.

use tagio_wire::{Point, Rect, Size};

/// Shows the picture in place of egui. Called on the window's thread; must not block.
pub trait PictureWindow {
    /// Shows the picture like this from now on; `None` hides it. False when it cannot, and egui has to.
    fn show(&mut self, view: Option<PictureView>) -> bool;

    /// Where the pointer was last when it was on the picture.
    fn pointer(&self) -> Option<PicturePointer>;
}

/// The pointer on a picture that has a window of its own. egui does not see it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PicturePointer {
    /// In the session's window.
    pub at: Point,
    /// It still is on the picture.
    pub is_on_it: bool,
}

/// Where and how the picture is seen. Lengths are the window's pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureView {
    /// The part of the session's window that shows it.
    pub area: Rect,
    /// Size of the picture that this is for, in its own pixels.
    pub picture: Size,
    /// Size of the whole picture as it is shown.
    pub scaled: Size,
    /// What of `scaled` is hidden to the left of `area`.
    pub scrolled_x: u32,
    /// What of `scaled` is hidden above `area`.
    pub scrolled_y: u32,
    /// What of `area` belongs to the window: its toolbar, menus, tips.
    pub covered: Vec<Cover>,
    /// Pointer events on the picture are the window's too, as while a menu is open.
    pub pointer_is_windows: bool,
    /// This viewer controls the host, so the pointer on the picture looks like the host's.
    pub has_control: bool,
    /// The host's pointer is drawn where the host has it when something on the host moves it.
    pub draws_pointer: bool,
}

/// A rectangle that covers the picture, with round corners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// In the session's window.
    pub rect: Rect,
    /// Of its corners.
    pub radius: u32,
}

impl PictureView {
    /// The part of `scaled` that is seen.
    pub fn seen(&self) -> Rect {
        Rect::new(self.scrolled_x, self.scrolled_y, self.area.width, self.area.height)
    }

    /// The picture's pixel that is nearest to a position, given from the corner of `area`.
    pub fn point_at(&self, x: i32, y: i32) -> Point {
        let along = |at: i32, scrolled: u32, scaled: u32, picture: u32| {
            // The middle of a pixel of the window.
            let at = (f64::from(at) + f64::from(scrolled) + 0.5) * f64::from(picture);
            ((at / f64::from(scaled.max(1))).floor() as i32).clamp(0, picture.saturating_sub(1) as i32)
        };
        Point::new(
            along(x, self.scrolled_x, self.scaled.width, self.picture.width),
            along(y, self.scrolled_y, self.scaled.height, self.picture.height),
        )
    }

    /// Where a pixel of the picture has its top left corner, given from the corner of `area`.
    pub fn position_of(&self, point: Point) -> (i32, i32) {
        let along = |at: i32, scrolled: u32, scaled: u32, picture: u32| {
            let at = f64::from(at) * f64::from(scaled) / f64::from(picture.max(1));
            (at - f64::from(scrolled)).round() as i32
        };
        (
            along(point.x, self.scrolled_x, self.scaled.width, self.picture.width),
            along(point.y, self.scrolled_y, self.scaled.height, self.picture.height),
        )
    }

    /// Scrolls a picture that is larger than `area` to where the pointer wants it, given from the corner of
    /// `area`. Returns whether that changed anything.
    pub fn follow(&mut self, x: i32, y: i32) -> bool {
        let before = (self.scrolled_x, self.scrolled_y);
        let along = |at: i32, area: u32, scaled: u32| {
            super::placement::scrolled_by(area as f32, scaled as f32, at as f32 / area.max(1) as f32) as u32
        };
        self.scrolled_x = along(x, self.area.width, self.scaled.width);
        self.scrolled_y = along(y, self.area.height, self.scaled.height);
        before != (self.scrolled_x, self.scrolled_y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(picture: Size, scaled: Size, area: Rect) -> PictureView {
        PictureView { picture, scaled, area, ..PictureView::default() }
    }

    #[test]
    fn positions_mean_the_pixels_beneath_them() {
        let double = view(Size::new(100, 50), Size::new(200, 100), Rect::new(0, 0, 200, 100));
        assert_eq!(double.point_at(3, 98), Point::new(1, 49));
        assert_eq!(double.point_at(-9, 500), Point::new(0, 49));
        let half = view(Size::new(100, 50), Size::new(50, 25), Rect::new(0, 0, 50, 25));
        assert_eq!(half.point_at(49, 24), Point::new(99, 49));
        assert_eq!(PictureView::default().point_at(5, 5), Point::new(0, 0));
    }

    #[test]
    fn a_larger_picture_follows_the_pointer_from_edge_to_edge() {
        let size = Size::new(300, 80);
        let mut wide = view(size, size, Rect::new(10, 20, 100, 80));
        assert!(wide.follow(99, 40));
        assert_eq!((wide.scrolled_x, wide.scrolled_y), (200, 0));
        assert_eq!(wide.point_at(99, 40), Point::new(299, 40));
        assert!(!wide.follow(98, 10), "it is at its end");
        assert!(wide.follow(0, 0));
        assert_eq!(wide.scrolled_x, 0);
    }
}
