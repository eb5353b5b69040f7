//! Holes in the picture's window, where the session's window shows its own things and takes the pointer.

use x11rb::{
    NONE,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        shape::SK,
        xfixes::{ConnectionExt as _, Region},
        xproto::{Rectangle, Window},
    },
    rust_connection::RustConnection,
};

use crate::views::session::{Cover, PictureView};

/// Makes sure that the server can cut windows.
pub(super) fn require(conn: &RustConnection) -> Result<(), ReplyError> {
    conn.xfixes_query_version(2, 0)?.reply().map(drop)
}

/// Cuts out what `view` says is covered, and lets the pointer through where it is the window's.
pub(super) fn cut(conn: &RustConnection, window: Window, view: &PictureView) -> Result<(), ReplyOrIdError> {
    let all = [Rectangle { x: 0, y: 0, width: view.area.width as u16, height: view.area.height as u16 }];
    let holes: Vec<Rectangle> = view.covered.iter().flat_map(|cover| rows(*cover, view)).collect();
    let seen = region(conn, &all)?;
    let cut = region(conn, &holes)?;
    conn.xfixes_subtract_region(seen, cut, seen)?;
    // Without holes the shape is the window itself, whatever size it will have.
    let bounding = if holes.is_empty() { NONE } else { seen };
    conn.xfixes_set_window_shape_region(window, SK::BOUNDING, 0, 0, bounding)?;
    let input = match view.pointer_is_windows {
        true => region(conn, &[])?,
        false => bounding,
    };
    conn.xfixes_set_window_shape_region(window, SK::INPUT, 0, 0, input)?;
    if view.pointer_is_windows {
        conn.xfixes_destroy_region(input)?;
    }
    conn.xfixes_destroy_region(seen)?;
    conn.xfixes_destroy_region(cut)?;
    Ok(())
}

/// Lets the pointer through a window everywhere.
pub(super) fn ignore_pointer(conn: &RustConnection, window: Window) -> Result<(), ReplyOrIdError> {
    let nowhere = region(conn, &[])?;
    conn.xfixes_set_window_shape_region(window, SK::INPUT, 0, 0, nowhere)?;
    conn.xfixes_destroy_region(nowhere)?;
    Ok(())
}

/// A region of the server, to be destroyed by the caller.
pub(super) fn region(conn: &RustConnection, rects: &[Rectangle]) -> Result<Region, ReplyOrIdError> {
    use x11rb::connection::Connection as _;
    let region = conn.generate_id()?;
    conn.xfixes_create_region(region, rects)?;
    Ok(region)
}

/// A cover with round corners as rectangles: one per row of the corners, and one for all between them.
fn rows(cover: Cover, view: &PictureView) -> Vec<Rectangle> {
    let rect = cover.rect;
    let radius = cover.radius.min(rect.height / 2).min(rect.width / 2);
    let (left, top) =
        (i64::from(rect.x) - i64::from(view.area.x), i64::from(rect.y) - i64::from(view.area.y));
    let row = |y: u32, inset: u32, height: u32| Rectangle {
        x: (left + i64::from(inset)) as i16,
        y: (top + i64::from(y)) as i16,
        width: (rect.width - 2 * inset) as u16,
        height: height as u16,
    };
    let mut rows = vec![row(radius, 0, rect.height - 2 * radius)];
    for y in 0..radius {
        let inset = inset(radius, y);
        rows.push(row(y, inset, 1));
        rows.push(row(rect.height - 1 - y, inset, 1));
    }
    rows
}

/// How much of row `y` of a corner lies outside of its circle.
fn inset(radius: u32, y: u32) -> u32 {
    let radius = f64::from(radius);
    let up = radius - f64::from(y) - 0.5;
    (radius - (radius * radius - up * up).max(0.0).sqrt()).round() as u32
}

#[cfg(test)]
mod tests {
    use tagio_wire::Rect;

    use super::*;

    #[test]
    fn a_cover_is_cut_row_by_row_at_its_corners() {
        let view = PictureView { area: Rect::new(10, 0, 500, 500), ..PictureView::default() };
        let rows = rows(Cover { rect: Rect::new(30, 5, 40, 20), radius: 6 }, &view);
        let pixels: u32 = rows.iter().map(|row| u32::from(row.width) * u32::from(row.height)).sum();
        let round = 6.0 * 6.0 * (4.0 - std::f64::consts::PI);
        assert!((f64::from(pixels) - (800.0 - round)).abs() < 8.0, "{pixels} pixels");
        let tallest = (rows[0].x, rows[0].y, rows[0].width, rows[0].height);
        assert_eq!(tallest, (20, 11, 40, 8));
        assert!(rows.iter().all(|row| row.y >= 5 && i32::from(row.y) + i32::from(row.height) <= 25));
    }
}
