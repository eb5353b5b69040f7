//! Copying parts of the picture into a pixmap of the server. Runs on the decode thread.

use tagio_media::{BYTES_PER_PIXEL, Framebuffer};
use tagio_wire::Rect;
use x11rb::{
    connection::RequestConnection as _,
    errors::ConnectionError,
    protocol::{
        shm::ConnectionExt as _,
        xproto::{ConnectionExt as _, Gcontext, ImageFormat, Pixmap},
    },
    rust_connection::RustConnection,
};

use super::DEPTH;
use crate::x11_shm::Segment;

/// Bytes of a `PutImage` request that are not pixels, rounded up.
const PUT_IMAGE_OVERHEAD: usize = 64;

/// Where pixels lie on their way to the server: shared memory, or a buffer that goes through the socket.
#[derive(Default)]
pub(super) struct Uploader {
    segment: Option<Segment>,
    buffer: Vec<u8>,
}

impl Uploader {
    /// Makes room for a view of so many pixels. The server must have read everything before.
    pub(super) fn resize(&mut self, conn: &RustConnection, pixels: usize) -> Result<(), ConnectionError> {
        let bytes = pixels * BYTES_PER_PIXEL;
        if self.segment.as_ref().is_some_and(|segment| segment.len() >= bytes) {
            return Ok(());
        }
        if let Some(old) = self.segment.take() {
            old.detach(conn)?;
        }
        self.segment = Segment::create(conn, bytes)
            .inspect_err(|error| tracing::info!("the picture goes through the socket: {error}"))
            .ok();
        Ok(())
    }

    /// Copies `rects` of the picture, which lie within `view` and do not overlap. The server must have read
    /// everything that was uploaded before. Returns whether it reads shared memory now, and will say
    /// `ShmCompletion` when it is done.
    pub(super) fn upload(
        &mut self,
        conn: &RustConnection,
        to: (Pixmap, Gcontext),
        picture: &Framebuffer,
        rects: &[Rect],
        view: Rect,
    ) -> Result<bool, ConnectionError> {
        match &mut self.segment {
            Some(segment) => upload_shared(conn, segment, to, picture, rects, view)?,
            None => upload_plain(conn, &mut self.buffer, to, picture, rects, view)?,
        }
        Ok(self.segment.is_some())
    }
}

fn upload_shared(
    conn: &RustConnection,
    segment: &mut Segment,
    (pixmap, gc): (Pixmap, Gcontext),
    picture: &Framebuffer,
    rects: &[Rect],
    view: Rect,
) -> Result<(), ConnectionError> {
    let mut used = 0;
    for (i, rect) in rects.iter().enumerate() {
        let (at, last) = (used, i + 1 == rects.len());
        for row in picture.rows(*rect) {
            segment.bytes_mut()[used..used + row.len()].copy_from_slice(row);
            used += row.len();
        }
        let (width, height) = (rect.width as u16, rect.height as u16);
        let (x, y) = ((rect.x - view.x) as i16, (rect.y - view.y) as i16);
        let (format, id) = (ImageFormat::Z_PIXMAP.into(), segment.id());
        conn.shm_put_image(
            pixmap, gc, width, height, 0, 0, width, height, x, y, DEPTH, format, last, id, at as u32,
        )?;
    }
    Ok(())
}

fn upload_plain(
    conn: &RustConnection,
    buffer: &mut Vec<u8>,
    (pixmap, gc): (Pixmap, Gcontext),
    picture: &Framebuffer,
    rects: &[Rect],
    view: Rect,
) -> Result<(), ConnectionError> {
    let room = conn.maximum_request_bytes() - PUT_IMAGE_OVERHEAD;
    for rect in rects {
        let rows = (room / (rect.width as usize * BYTES_PER_PIXEL)).max(1) as u32;
        for y in (rect.y..rect.bottom()).step_by(rows as usize) {
            let band = Rect::new(rect.x, y, rect.width, rows.min(rect.bottom() - y));
            buffer.clear();
            picture.rows(band).for_each(|row| buffer.extend_from_slice(row));
            let (width, height) = (band.width as u16, band.height as u16);
            let (x, y) = ((band.x - view.x) as i16, (band.y - view.y) as i16);
            conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, height, x, y, 0, DEPTH, buffer)?;
        }
    }
    Ok(())
}
