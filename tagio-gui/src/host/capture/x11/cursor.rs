//! The host's cursor: its shape and where it is. Runs on the picture thread.

use tagio_wire::{
    Point, Size, limits,
    picture::{CursorShape, CursorUpdate},
};
use x11rb::{
    errors::ReplyError,
    protocol::{
        xfixes::{ConnectionExt as _, GetCursorImageReply},
        xproto::ConnectionExt as _,
    },
};

use super::connect::XScreen;

/// What was told last, so that only changes are told.
#[derive(Default)]
pub(super) struct CursorReader {
    /// The server's number of the shape.
    serial: Option<u32>,
    at: Option<Point>,
}

impl CursorReader {
    /// Asks for what may have changed and tells what did: shape, then position.
    pub(super) fn read(&mut self, screen: &XScreen, shape: bool) -> Result<Vec<CursorUpdate>, ReplyError> {
        let mut updates = Vec::new();
        // A new shape often comes with a warp, of which no event tells: its reply has the position as well.
        let at = if shape {
            let image = screen.conn.xfixes_get_cursor_image()?.reply()?;
            if self.serial != Some(image.cursor_serial) {
                self.serial = Some(image.cursor_serial);
                updates.push(shape_of(&image));
            }
            Point::new(image.x.into(), image.y.into())
        } else {
            let pointer = screen.conn.query_pointer(screen.root)?.reply()?;
            Point::new(pointer.root_x.into(), pointer.root_y.into())
        };
        if self.at.replace(at) != Some(at) {
            updates.push(CursorUpdate::Moved(at));
        }
        Ok(updates)
    }
}

/// The image in the wire's form: cut to the largest size that may be sent, alpha not premultiplied.
fn shape_of(image: &GetCursorImageReply) -> CursorUpdate {
    let (width, height) = (u32::from(image.width), u32::from(image.height));
    let size = Size::new(width.min(limits::CURSOR_SIDE_MAX), height.min(limits::CURSOR_SIDE_MAX));
    let rows = image.cursor_image.chunks_exact((width as usize).max(1)).take(size.height as usize);
    let rgba: Vec<u8> =
        rows.flat_map(|row| &row[..size.width as usize]).flat_map(|argb| straight_rgba(*argb)).collect();
    if rgba.chunks_exact(4).all(|pixel| pixel[3] == 0) {
        return CursorUpdate::Hidden;
    }
    let hotspot = Point::new(
        i32::from(image.xhot).min(size.width as i32 - 1),
        i32::from(image.yhot).min(size.height as i32 - 1),
    );
    CursorUpdate::Shape(CursorShape { size, hotspot, rgba })
}

fn straight_rgba(argb: u32) -> [u8; 4] {
    let [blue, green, red, alpha] = argb.to_le_bytes();
    let straight = |colour: u8| match u32::from(alpha) {
        0 => 0,
        alpha => ((u32::from(colour) * 255 + alpha / 2) / alpha).min(255) as u8,
    };
    [straight(red), straight(green), straight(blue), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_transparent_white_stays_white() {
        assert_eq!(straight_rgba(0x8080_8080), [255, 255, 255, 128]);
        assert_eq!(straight_rgba(0xff10_2030), [0x10, 0x20, 0x30, 255]);
        assert_eq!(straight_rgba(0), [0, 0, 0, 0]);
    }

    #[test]
    fn an_image_without_an_opaque_pixel_is_hidden() {
        let image =
            GetCursorImageReply { width: 2, height: 1, cursor_image: vec![0, 0], ..Default::default() };
        assert_eq!(shape_of(&image), CursorUpdate::Hidden);
    }

    #[test]
    fn a_huge_cursor_is_cut_to_what_may_be_sent() {
        let (side, black) = (limits::CURSOR_SIDE_MAX as u16 + 44, 0xff00_0000);
        let cursor_image = vec![black; usize::from(side) * usize::from(side)];
        let image = GetCursorImageReply {
            width: side,
            height: side,
            xhot: side - 1,
            cursor_image,
            ..Default::default()
        };
        let CursorUpdate::Shape(shape) = shape_of(&image) else { panic!("it is visible") };
        assert!(shape.is_sound());
        assert_eq!(shape.hotspot, Point::new(limits::CURSOR_SIDE_MAX as i32 - 1, 0));
    }
}
