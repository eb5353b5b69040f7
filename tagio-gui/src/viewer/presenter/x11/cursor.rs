//! The host's cursor as the cursor of the picture's window. Runs on the painter thread.

use std::sync::Arc;

use tagio_wire::{Point, Size, limits::CURSOR_SIDE_MAX, picture::CursorShape};
use x11rb::{
    NONE,
    connection::Connection as _,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        render::{ConnectionExt as _, CreatePictureAux, PictType, Pictformat},
        xproto::{
            ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, Cursor, ImageFormat, Pixmap, Window,
        },
    },
    rust_connection::RustConnection,
};

/// Depth of pixels with alpha.
const ARGB_DEPTH: u8 = 32;

/// How the pointer looks on the picture.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// Like on the window around it.
    Windows,
    /// Not at all.
    Hidden,
    /// Like this, enlarged so many times.
    Shape(Arc<CursorShape>, u32),
}

/// Makes cursors of the server, and keeps the one that is shown.
pub(super) struct Cursors {
    /// RENDER's name for pixels with alpha; `NONE` where it has none.
    argb: Pictformat,
    shown: Look,
}

impl Cursors {
    /// Asks the server how it calls pixels with alpha.
    pub(super) fn new(conn: &RustConnection) -> Result<Self, ReplyError> {
        let version = conn.render_query_version(0, 11)?;
        let formats = conn.render_query_pict_formats()?.reply()?.formats;
        version.reply()?;
        let argb = formats.iter().find(|format| {
            let shifts = [format.direct.alpha_shift, format.direct.red_shift, format.direct.blue_shift];
            format.type_ == PictType::DIRECT && format.depth == ARGB_DEPTH && shifts == [24, 16, 0]
        });
        Ok(Self { argb: argb.map_or(NONE, |format| format.id), shown: Look::Windows })
    }

    /// Gives the window a cursor, unless it has it.
    pub(super) fn show(
        &mut self,
        conn: &RustConnection,
        window: Window,
        look: Look,
    ) -> Result<(), ReplyOrIdError> {
        if self.argb == NONE || is_same(&self.shown, &look) {
            return Ok(());
        }
        let cursor = match &look {
            Look::Windows => NONE,
            Look::Hidden => create(conn, self.argb, window, &invisible())?,
            Look::Shape(shape, factor) => match enlarged(shape, *factor) {
                Some(shape) => create(conn, self.argb, window, &shape)?,
                None => NONE,
            },
        };
        conn.change_window_attributes(window, &ChangeWindowAttributesAux::new().cursor(cursor))?;
        if cursor != NONE {
            // The window keeps it for as long as it shows it.
            conn.free_cursor(cursor)?;
        }
        self.shown = look;
        Ok(())
    }
}

fn is_same(a: &Look, b: &Look) -> bool {
    match (a, b) {
        (Look::Windows, Look::Windows) | (Look::Hidden, Look::Hidden) => true,
        (Look::Shape(a, of_a), Look::Shape(b, of_b)) => Arc::ptr_eq(a, b) && of_a == of_b,
        (Look::Windows | Look::Hidden | Look::Shape(..), _) => false,
    }
}

/// One transparent pixel.
fn invisible() -> CursorShape {
    CursorShape { size: Size::new(1, 1), hotspot: Point::new(0, 0), rgba: vec![0; 4] }
}

/// The shape with each pixel repeated, at most up to the size that a cursor may have. `None` for one that is
/// empty or broken.
pub(super) fn enlarged(shape: &CursorShape, factor: u32) -> Option<CursorShape> {
    if !shape.is_sound() || shape.size.area() == 0 {
        return None;
    }
    let factor = factor.min(CURSOR_SIDE_MAX / shape.size.width.max(shape.size.height)).max(1);
    let size = Size::new(shape.size.width * factor, shape.size.height * factor);
    let row_bytes = shape.size.width as usize * 4;
    let mut rgba = Vec::with_capacity(size.area() as usize * 4);
    for row in shape.rgba.chunks_exact(row_bytes) {
        for _ in 0..factor {
            let pixels = row.chunks_exact(4).flat_map(|pixel| std::iter::repeat_n(pixel, factor as usize));
            pixels.for_each(|pixel| rgba.extend_from_slice(pixel));
        }
    }
    // A host may claim any hotspot; the server refuses one outside of the image.
    let inside = |at: i32, side: u32| (at.max(0) as u32).saturating_mul(factor).min(side - 1) as i32;
    let hotspot = Point::new(inside(shape.hotspot.x, size.width), inside(shape.hotspot.y, size.height));
    Some(CursorShape { size, hotspot, rgba })
}

/// The server's cursor for a shape that [`enlarged`] made.
fn create(
    conn: &RustConnection,
    argb: Pictformat,
    window: Window,
    shape: &CursorShape,
) -> Result<Cursor, ReplyOrIdError> {
    let pixels: Vec<u8> = shape.rgba.chunks_exact(4).flat_map(premultiplied_bgra).collect();
    let pixmap = pixmap(conn, window, ARGB_DEPTH, shape.size, &pixels)?;
    let (picture, cursor) = (conn.generate_id()?, conn.generate_id()?);
    conn.render_create_picture(picture, pixmap, argb, &CreatePictureAux::new())?;
    conn.render_create_cursor(cursor, picture, shape.hotspot.x as u16, shape.hotspot.y as u16)?;
    conn.render_free_picture(picture)?;
    conn.free_pixmap(pixmap)?;
    Ok(cursor)
}

/// A pixmap with these pixels, to be freed by the caller.
pub(super) fn pixmap(
    conn: &RustConnection,
    window: Window,
    depth: u8,
    size: Size,
    pixels: &[u8],
) -> Result<Pixmap, ReplyOrIdError> {
    let (pixmap, gc) = (conn.generate_id()?, conn.generate_id()?);
    let (width, height) = (size.width as u16, size.height as u16);
    conn.create_pixmap(depth, pixmap, window, width, height)?;
    conn.create_gc(gc, pixmap, &CreateGCAux::new())?;
    conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, height, 0, 0, 0, depth, pixels)?;
    conn.free_gc(gc)?;
    Ok(pixmap)
}

/// Panics unless `rgba` has 4 bytes.
fn premultiplied_bgra(rgba: &[u8]) -> [u8; 4] {
    let alpha = u32::from(rgba[3]);
    let times_alpha = |colour: u8| ((u32::from(colour) * alpha + 127) / 255) as u8;
    [times_alpha(rgba[2]), times_alpha(rgba[1]), times_alpha(rgba[0]), rgba[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_scaled_by_their_alpha_and_turned_around() {
        assert_eq!(premultiplied_bgra(&[255, 128, 0, 255]), [0, 128, 255, 255]);
        assert_eq!(premultiplied_bgra(&[255, 255, 255, 128]), [128, 128, 128, 128]);
        assert_eq!(premultiplied_bgra(&[255, 255, 255, 0]), [0, 0, 0, 0]);
    }

    #[test]
    fn a_cursor_grows_with_the_picture() {
        let shape = CursorShape {
            size: Size::new(1, 2),
            hotspot: Point::new(0, 900),
            rgba: vec![9, 9, 9, 9, 7, 7, 7, 7],
        };
        let double = enlarged(&shape, 2).unwrap();
        assert_eq!((double.size, double.hotspot), (Size::new(2, 4), Point::new(0, 3)));
        assert_eq!((&double.rgba[..16], &double.rgba[16..]), (&[9; 16][..], &[7; 16][..]));
        assert!(enlarged(&CursorShape { rgba: vec![0; 3], ..shape }, 1).is_none());
    }
}
