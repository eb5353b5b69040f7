//! The host's cursor: its shape and where it is. Runs on the picture thread.
#![expect(unsafe_code, reason = "the window manager is foreign functions")]

use std::mem;

use tagio_wire::{
    Point, Size,
    picture::{CursorShape, CursorUpdate},
};
use windows::{
    Win32::{
        Graphics::Gdi::{BITMAP, DIB_RGB_COLORS, GetDIBits, GetObjectW, HBITMAP, HGDIOBJ},
        UI::WindowsAndMessaging::{
            CURSORINFO, GetCursorInfo, GetIconInfo, HCURSOR, HICON, ICONINFO, IDC_ARROW, LoadCursorW,
        },
    },
    core::{Error, Owned},
};

use super::{
    cursor_image::{self, Bits},
    surface::{ScreenContext, bitmap_info},
};

/// What was told last, so that only changes are told.
#[derive(Default)]
pub(super) struct CursorReader {
    /// Address of the shape, which is all of it that is kept; 0 while hidden.
    shape: Option<usize>,
    at: Option<Point>,
}

impl CursorReader {
    /// What changed: shape, then position in a picture whose corner is at `origin`. Nothing while Windows shows
    /// its secure desktop.
    pub(super) fn read(&mut self, origin: Point) -> Vec<CursorUpdate> {
        let mut info = CURSORINFO { cbSize: mem::size_of::<CURSORINFO>() as u32, ..Default::default() };
        // SAFETY: the structure says its size and lives through the call.
        if unsafe { GetCursorInfo(&raw mut info) }.is_err() {
            return Vec::new();
        }
        let mut updates = Vec::new();
        updates.extend(self.shape_update(&info));
        let at = Point::new(info.ptScreenPos.x - origin.x, info.ptScreenPos.y - origin.y);
        if self.at.replace(at) != Some(at) {
            updates.push(CursorUpdate::Moved(at));
        }
        updates
    }

    fn shape_update(&mut self, info: &CURSORINFO) -> Option<CursorUpdate> {
        // A pointer that touch suppresses still has its shape, and comes back with the viewer's first move.
        let is_shown = info.flags.0 != 0 && !info.hCursor.is_invalid();
        let shape = if is_shown { info.hCursor.0.addr() } else { 0 };
        if self.shape == Some(shape) {
            return None;
        }
        let update = if is_shown {
            let image = shape_of(info.hCursor).or_else(|error| arrow_instead(&error));
            // Nothing to show now; the next look tries again.
            CursorUpdate::Shape(image.ok()?)
        } else {
            CursorUpdate::Hidden
        };
        self.shape = Some(shape);
        Some(update)
    }
}

/// Better than none: the program may have destroyed its cursor meanwhile, and Wine keeps those of other
/// programs to itself.
fn arrow_instead(error: &Error) -> Result<CursorShape, Error> {
    tracing::debug!("an arrow stands in for a cursor: {error}");
    // SAFETY: no module means the system's own cursors, which are never freed.
    let arrow = unsafe { LoadCursorW(None, IDC_ARROW) }?;
    shape_of(arrow)
}

/// The image of a cursor.
fn shape_of(cursor: HCURSOR) -> Result<CursorShape, Error> {
    let mut icon = ICONINFO::default();
    // SAFETY: the structure lives through the call; a cursor is an icon with a hotspot.
    unsafe { GetIconInfo(HICON(cursor.0), &raw mut icon) }?;
    // SAFETY: both bitmaps were made for us alone; one that is null is not freed.
    let (mask, colour) = unsafe { (Owned::new(icon.hbmMask), Owned::new(icon.hbmColor)) };
    let mask = bits_of(*mask)?;
    let colour = if colour.is_invalid() { None } else { Some(bits_of(*colour)?) };
    let hotspot = Point::new(icon.xHotspot as i32, icon.yHotspot as i32);
    Ok(cursor_image::shape(&mask, colour.as_ref(), hotspot))
}

/// A bitmap's pixels in 32 bits, whatever it has itself.
fn bits_of(bitmap: HBITMAP) -> Result<Bits, Error> {
    let mut desc = BITMAP::default();
    // SAFETY: the structure has the size that is told.
    let told = unsafe {
        GetObjectW(HGDIOBJ(bitmap.0), mem::size_of::<BITMAP>() as i32, Some((&raw mut desc).cast()))
    };
    if told == 0 {
        return Err(Error::from_win32());
    }
    let size = Size::new(desc.bmWidth.unsigned_abs(), desc.bmHeight.unsigned_abs());
    let mut pixels = vec![0_u32; size.area() as usize];
    let mut info = bitmap_info(size);
    let screen = ScreenContext::new()?;
    // SAFETY: the buffer holds 32 bits for each of the pixels that the description tells of.
    let rows = unsafe {
        GetDIBits(
            screen.dc,
            bitmap,
            0,
            size.height,
            Some(pixels.as_mut_ptr().cast()),
            &raw mut info,
            DIB_RGB_COLORS,
        )
    };
    if rows as u32 == size.height { Ok(Bits { size, pixels }) } else { Err(Error::from_win32()) }
}
