//! Where the remote picture lies in the window, and which of its pixels a position means.

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};
use tagio_wire::{Point, Rect as PixelRect, Size};

use super::PictureView;

/// How large the picture is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleMode {
    /// As large as the window allows.
    #[default]
    Fit,
    /// One pixel for one pixel. A picture that is larger than the window follows the pointer.
    Original,
}

/// A whole multiple that is this close to a perfect fit is taken instead: its pixels stay sharp.
const SNAP: f32 = 0.05;

/// The picture's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// In points; may be larger than the window.
    pub rect: Rect,
    /// The window's pixels for one of the picture's.
    pub scale: f32,
    screen: Size,
}

impl Placement {
    /// The picture's pixel at this position, if it is on the picture.
    pub fn point_at(&self, pos: Pos2) -> Option<Point> {
        (self.screen.area() > 0 && self.rect.contains(pos)).then(|| self.nearest_point(pos))
    }

    /// The picture's pixel that is nearest to this position.
    pub fn nearest_point(&self, pos: Pos2) -> Point {
        let at = (pos - self.rect.min) / self.rect.size() * screen_vec(self.screen);
        let clamp = |value: f32, side: u32| (value.floor() as i32).clamp(0, side.saturating_sub(1) as i32);
        Point::new(clamp(at.x, self.screen.width), clamp(at.y, self.screen.height))
    }

    /// Where this pixel of the picture has its top left corner.
    pub fn pos_of(&self, point: Point) -> Pos2 {
        self.rect.min + vec2(point.x as f32, point.y as f32) / screen_vec(self.screen) * self.rect.size()
    }

    /// Whether each of the picture's pixels covers the same whole number of the window's.
    pub fn is_integer(&self) -> bool {
        (self.scale - self.scale.round()).abs() < 0.001 && self.scale >= 1.0
    }

    /// The part of `area` that shows the picture, in the window's pixels. Nothing covers it yet.
    pub(super) fn view(&self, area: Rect, pixels_per_point: f32, mode: ScaleMode) -> PictureView {
        let px = |points: f32| (points * pixels_per_point).round().max(0.0) as u32;
        let seen = self.rect.intersect(area);
        let area = PixelRect::new(px(seen.min.x), px(seen.min.y), px(seen.width()), px(seen.height()));
        let hidden = seen.min - self.rect.min;
        let (scaled, hidden) = match mode {
            // All of it is seen.
            ScaleMode::Fit => (Size::new(area.width, area.height), Vec2::ZERO),
            ScaleMode::Original => (self.screen, hidden),
        };
        PictureView {
            area,
            picture: self.screen,
            scaled,
            scrolled_x: px(hidden.x),
            scrolled_y: px(hidden.y),
            ..PictureView::default()
        }
    }
}

/// Finds the picture's place in `area`.
pub fn place(
    area: Rect,
    pixels_per_point: f32,
    screen: Size,
    mode: ScaleMode,
    pointer: Option<Pos2>,
) -> Placement {
    let room = area.size() * pixels_per_point;
    let scale = match mode {
        ScaleMode::Original => 1.0,
        ScaleMode::Fit => fit(room, screen_vec(screen)),
    };
    let size = screen_vec(screen) * scale;
    let follow = pointer.map_or(Vec2::splat(0.0), |pos| (pos - area.min) / area.size());
    // Whole pixels: half a one would blur everything.
    let start = |room: f32, size: f32, follow: f32| match (room - size, mode) {
        (spare, _) if spare < 0.0 => -scrolled_by(room, size, follow),
        (_, ScaleMode::Original) => 0.0,
        (spare, ScaleMode::Fit) => (spare / 2.0).floor(),
    };
    let offset = vec2(start(room.x, size.x, follow.x), start(room.y, size.y, follow.y));
    let corner = (area.min.to_vec2() * pixels_per_point).round() + offset;
    let min = pos2(corner.x / pixels_per_point, corner.y / pixels_per_point);
    Placement { rect: Rect::from_min_size(min, size / pixels_per_point), scale, screen }
}

/// How much of a picture of `size` is hidden before a view of `room`, when the pointer is at `follow` of the
/// view's length.
pub(super) fn scrolled_by(room: f32, size: f32, follow: f32) -> f32 {
    ((size - room).max(0.0) * edges(follow)).round()
}

/// The pointer reaches the picture's edge a little before it reaches the window's.
fn edges(follow: f32) -> f32 {
    const MARGIN: f32 = 0.05;
    ((follow - MARGIN) / (1.0 - 2.0 * MARGIN)).clamp(0.0, 1.0)
}

fn fit(room: Vec2, screen: Vec2) -> f32 {
    let exact = (room.x / screen.x).min(room.y / screen.y).max(f32::MIN_POSITIVE);
    let whole = exact.floor();
    if whole >= 1.0 && (exact - whole) / exact < SNAP { whole } else { exact }
}

/// Never zero, so that it can divide.
fn screen_vec(screen: Size) -> Vec2 {
    vec2(screen.width.max(1) as f32, screen.height.max(1) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Size = Size::new(1000, 500);

    fn area(width: f32, height: f32) -> Rect {
        Rect::from_min_size(Pos2::ZERO, vec2(width, height))
    }

    #[test]
    fn a_picture_that_fits_exactly_is_not_scaled() {
        let placement = place(area(1000.0, 500.0), 1.0, SCREEN, ScaleMode::Fit, None);
        assert_eq!((placement.scale, placement.rect.min), (1.0, Pos2::ZERO));
        assert!(placement.is_integer());
    }

    #[test]
    fn a_whole_multiple_nearby_is_taken() {
        assert_eq!(place(area(2040.0, 1020.0), 1.0, SCREEN, ScaleMode::Fit, None).scale, 2.0);
        assert!(!place(area(1500.0, 900.0), 1.0, SCREEN, ScaleMode::Fit, None).is_integer());
    }

    #[test]
    fn positions_mean_pixels_on_a_dense_screen_too() {
        let placement = place(area(500.0, 250.0), 2.0, SCREEN, ScaleMode::Fit, None);
        assert_eq!(placement.point_at(pos2(250.25, 125.25)), Some(Point::new(500, 250)));
        assert_eq!(placement.point_at(pos2(-1.0, 5.0)), None);
        assert_eq!(placement.nearest_point(pos2(900.0, -9.0)), Point::new(999, 0));
        assert_eq!(placement.pos_of(Point::new(500, 250)), pos2(250.0, 125.0));
    }

    #[test]
    fn an_original_picture_starts_at_the_corner_and_follows_the_pointer() {
        let small = place(area(1200.0, 700.0), 1.0, SCREEN, ScaleMode::Original, None);
        assert_eq!(small.rect.min, Pos2::ZERO);
        let at_end = place(area(400.0, 500.0), 1.0, SCREEN, ScaleMode::Original, Some(pos2(399.0, 10.0)));
        assert_eq!(at_end.rect.min, pos2(-600.0, 0.0));
        let seen = at_end.view(area(400.0, 500.0), 1.0, ScaleMode::Original);
        assert_eq!((seen.area, seen.scrolled_x), (PixelRect::new(0, 0, 400, 500), 600));
    }

    #[test]
    fn a_picture_that_fits_is_seen_whole() {
        let placement = place(area(703.0, 500.0), 1.0, SCREEN, ScaleMode::Fit, None);
        let view = placement.view(area(703.0, 500.0), 1.0, ScaleMode::Fit);
        assert_eq!((view.area, view.scaled), (PixelRect::new(0, 74, 703, 352), Size::new(703, 352)));
    }
}
