//! Bringing pixels into a pixmap of the server. Runs on the painter thread.

use tagio_media::BYTES_PER_PIXEL;
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

    /// Brings `parts`, which lie within `view` and do not overlap; `make` fills a buffer with the rows of one,
    /// or cannot. The server must have read everything that was uploaded before. Returns whether it reads
    /// shared memory now, and will say `ShmCompletion` when it is done.
    pub(super) fn upload(
        &mut self,
        conn: &RustConnection,
        to: (Pixmap, Gcontext),
        parts: &[Rect],
        view: Rect,
        make: impl FnMut(Rect, &mut [u8]) -> bool,
    ) -> Result<bool, ConnectionError> {
        match &mut self.segment {
            Some(segment) => upload_shared(conn, segment, to, parts, view, make),
            None => upload_plain(conn, &mut self.buffer, to, parts, view, make).map(|()| false),
        }
    }
}

fn upload_shared(
    conn: &RustConnection,
    segment: &mut Segment,
    (pixmap, gc): (Pixmap, Gcontext),
    parts: &[Rect],
    view: Rect,
    mut make: impl FnMut(Rect, &mut [u8]) -> bool,
) -> Result<bool, ConnectionError> {
    let mut used = 0;
    let mut made = Vec::with_capacity(parts.len());
    for part in parts {
        let bytes = part.area() as usize * BYTES_PER_PIXEL;
        if make(*part, &mut segment.bytes_mut()[used..used + bytes]) {
            made.push((part, used));
            used += bytes;
        }
    }
    for (i, (part, at)) in made.iter().enumerate() {
        let is_last = i + 1 == made.len();
        let (width, height) = (part.width as u16, part.height as u16);
        let (x, y) = ((part.x - view.x) as i16, (part.y - view.y) as i16);
        let (format, id) = (ImageFormat::Z_PIXMAP.into(), segment.id());
        conn.shm_put_image(
            pixmap, gc, width, height, 0, 0, width, height, x, y, DEPTH, format, is_last, id, *at as u32,
        )?;
    }
    Ok(!made.is_empty())
}

fn upload_plain(
    conn: &RustConnection,
    buffer: &mut Vec<u8>,
    (pixmap, gc): (Pixmap, Gcontext),
    parts: &[Rect],
    view: Rect,
    mut make: impl FnMut(Rect, &mut [u8]) -> bool,
) -> Result<(), ConnectionError> {
    let room = conn.maximum_request_bytes() - PUT_IMAGE_OVERHEAD;
    for part in parts {
        let rows = (room / (part.width as usize * BYTES_PER_PIXEL)).max(1) as u32;
        for y in (part.y..part.bottom()).step_by(rows as usize) {
            let band = Rect::new(part.x, y, part.width, rows.min(part.bottom() - y));
            buffer.resize(band.area() as usize * BYTES_PER_PIXEL, 0);
            if !make(band, buffer) {
                return Ok(());
            }
            let (width, height) = (band.width as u16, band.height as u16);
            let (x, y) = ((band.x - view.x) as i16, (band.y - view.y) as i16);
            conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, height, x, y, 0, DEPTH, buffer)?;
        }
    }
    Ok(())
}
