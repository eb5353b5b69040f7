//! The host's pointer where the host has it: a small window on the picture with the shape of the cursor, so
//! that no pixel of the picture has to be kept aside. Runs on the painter thread.

use std::sync::Arc;

use tagio_wire::picture::CursorShape;
use x11rb::{
    errors::ReplyOrIdError,
    protocol::{
        shape::SK,
        xfixes::ConnectionExt as _,
        xproto::{
            ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, Rectangle, Screen, Window,
        },
    },
    rust_connection::RustConnection,
};

use super::{DEPTH, create_window, cursor, holes};

/// From this alpha on a pixel is shown: windows have no half-transparent ones.
const OPAQUE: u8 = 128;

pub(super) struct RemotePointer {
    window: Window,
    /// What the window looks like, and how many times it was enlarged.
    shape: Option<(Arc<CursorShape>, u32)>,
    /// In the window's pixels.
    hotspot: (i32, i32),
    is_shown: bool,
}

impl RemotePointer {
    pub(super) fn create(
        conn: &RustConnection,
        screen: &Screen,
        picture: Window,
    ) -> Result<Self, ReplyOrIdError> {
        let window = create_window(conn, screen, picture)?;
        holes::ignore_pointer(conn, window)?;
        Ok(Self { window, shape: None, hotspot: (0, 0), is_shown: false })
    }

    /// Shows it with its point at a position of the picture's window.
    pub(super) fn show(
        &mut self,
        conn: &RustConnection,
        shape: Arc<CursorShape>,
        factor: u32,
        (x, y): (i32, i32),
    ) -> Result<(), ReplyOrIdError> {
        let has_shape =
            self.shape.as_ref().is_some_and(|(have, of)| Arc::ptr_eq(have, &shape) && *of == factor);
        if !has_shape {
            let Some(image) = cursor::enlarged(&shape, factor) else { return self.hide(conn) };
            self.take_image(conn, &image)?;
            self.hotspot = (image.hotspot.x, image.hotspot.y);
            self.shape = Some((shape, factor));
        }
        let place = ConfigureWindowAux::new().x(x - self.hotspot.0).y(y - self.hotspot.1);
        conn.configure_window(self.window, &place)?;
        if !self.is_shown {
            conn.map_window(self.window)?;
            self.is_shown = true;
        }
        Ok(())
    }

    pub(super) fn hide(&mut self, conn: &RustConnection) -> Result<(), ReplyOrIdError> {
        if self.is_shown {
            conn.unmap_window(self.window)?;
            self.is_shown = false;
        }
        Ok(())
    }

    fn take_image(&self, conn: &RustConnection, image: &CursorShape) -> Result<(), ReplyOrIdError> {
        let pixels: Vec<u8> = image.rgba.chunks_exact(4).flat_map(|p| [p[2], p[1], p[0], 0]).collect();
        let background = cursor::pixmap(conn, self.window, DEPTH, image.size, &pixels)?;
        let attributes = ChangeWindowAttributesAux::new().background_pixmap(background);
        conn.change_window_attributes(self.window, &attributes)?;
        conn.free_pixmap(background)?;
        let shape = holes::region(conn, &opaque_runs(image))?;
        conn.xfixes_set_window_shape_region(self.window, SK::BOUNDING, 0, 0, shape)?;
        conn.xfixes_destroy_region(shape)?;
        let size = ConfigureWindowAux::new().width(image.size.width).height(image.size.height);
        conn.configure_window(self.window, &size)?;
        conn.clear_area(false, self.window, 0, 0, 0, 0)?;
        Ok(())
    }
}

/// The pixels that are shown, as runs of each row.
fn opaque_runs(image: &CursorShape) -> Vec<Rectangle> {
    let width = image.size.width as usize;
    let mut runs: Vec<Rectangle> = Vec::new();
    for (i, pixel) in image.rgba.chunks_exact(4).enumerate().filter(|(_, pixel)| pixel[3] >= OPAQUE) {
        debug_assert_eq!(pixel.len(), 4);
        let (x, y) = ((i % width) as i16, (i / width) as i16);
        match runs.last_mut() {
            Some(run) if run.y == y && i32::from(run.x) + i32::from(run.width) == i32::from(x) => {
                run.width += 1;
            }
            _ => runs.push(Rectangle { x, y, width: 1, height: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use tagio_wire::{Point, Size};

    use super::*;

    #[test]
    fn runs_hold_the_opaque_pixels() {
        let alpha = [255, 200, 0, 255, 0, 127, 128, 255];
        let rgba = alpha.iter().flat_map(|alpha| [1, 2, 3, *alpha]).collect();
        let image = CursorShape { size: Size::new(4, 2), hotspot: Point::new(0, 0), rgba };
        let runs: Vec<_> = opaque_runs(&image).iter().map(|run| (run.x, run.y, run.width)).collect();
        assert_eq!(runs, [(0, 0, 2), (3, 0, 1), (2, 1, 2)]);
    }
}
