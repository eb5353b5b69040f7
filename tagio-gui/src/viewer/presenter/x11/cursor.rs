//! Cursors of the server made from the host's. Runs on the decode thread.

use tagio_wire::{Point, Size, picture::CursorShape};
use x11rb::{
    NONE,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        render::{ConnectionExt as _, CreatePictureAux, PictType, Pictformat},
        xproto::{ConnectionExt as _, CreateGCAux, Cursor, ImageFormat, Window},
    },
    rust_connection::RustConnection,
};

use super::super::PictureCursor;

/// Depth of pixels with alpha.
const ARGB_DEPTH: u8 = 32;

/// Makes cursors, and frees the one before.
pub(super) struct Cursors {
    /// RENDER's name for pixels with alpha.
    argb: Pictformat,
    current: Cursor,
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
        Ok(Self { argb: argb.map_or(NONE, |format| format.id), current: NONE })
    }

    /// The server's cursor for `cursor`; the one before is freed, which leaves it where it is still in use.
    pub(super) fn get(
        &mut self,
        conn: &RustConnection,
        window: Window,
        cursor: PictureCursor<'_>,
    ) -> Result<Cursor, ReplyOrIdError> {
        let new = match cursor {
            PictureCursor::Shape(shape) if shape.is_sound() && shape.size.area() > 0 && self.argb != NONE => {
                create(conn, self.argb, window, shape)?
            }
            PictureCursor::Hidden if self.argb != NONE => create(conn, self.argb, window, &invisible())?,
            PictureCursor::Window | PictureCursor::Hidden | PictureCursor::Shape(_) => NONE,
        };
        let old = std::mem::replace(&mut self.current, new);
        if old != NONE {
            conn.free_cursor(old)?;
        }
        Ok(new)
    }
}

/// One transparent pixel.
fn invisible() -> CursorShape {
    CursorShape { size: Size::new(1, 1), hotspot: Point::new(0, 0), rgba: vec![0; 4] }
}

fn create(
    conn: &RustConnection,
    argb: Pictformat,
    window: Window,
    shape: &CursorShape,
) -> Result<Cursor, ReplyOrIdError> {
    use x11rb::connection::Connection as _;
    let (pixmap, gc, picture) = (conn.generate_id()?, conn.generate_id()?, conn.generate_id()?);
    let cursor = conn.generate_id()?;
    let (width, height) = (shape.size.width as u16, shape.size.height as u16);
    let pixels: Vec<u8> = shape.rgba.chunks_exact(4).flat_map(premultiplied_bgra).collect();
    conn.create_pixmap(ARGB_DEPTH, pixmap, window, width, height)?;
    conn.create_gc(gc, pixmap, &CreateGCAux::new())?;
    conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, height, 0, 0, 0, ARGB_DEPTH, &pixels)?;
    conn.render_create_picture(picture, pixmap, argb, &CreatePictureAux::new())?;
    // A host may claim any hotspot; the server refuses one outside of the image.
    let x = shape.hotspot.x.clamp(0, i32::from(width) - 1) as u16;
    let y = shape.hotspot.y.clamp(0, i32::from(height) - 1) as u16;
    conn.render_create_cursor(cursor, picture, x, y)?;
    conn.render_free_picture(picture)?;
    conn.free_gc(gc)?;
    conn.free_pixmap(pixmap)?;
    Ok(cursor)
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
}
