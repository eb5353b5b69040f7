//! Fetching rectangles of the root window into a frame. Runs on the picture thread.

use tagio_media::{BYTES_PER_PIXEL, Framebuffer};
use tagio_wire::{Rect, Size};
use x11rb::{
    connection::Connection as _,
    errors::{ConnectionError, ReplyError},
    protocol::{
        ErrorKind,
        shm::ConnectionExt as _,
        xproto::{ConnectionExt as _, ImageFormat},
    },
};

use super::connect::XScreen;
use crate::x11_shm::Segment;

/// Most bytes that one request fetches: the server fills the next band while this one is being copied, and
/// both stay in the processor's cache.
const BAND_BYTES: usize = 512 * 1024;

/// Every plane of a pixel.
const ALL_PLANES: u32 = !0;

/// The bytes of a little-endian BGRX pixel that mean something.
const COLOUR: u32 = 0x00ff_ffff;

/// Why pixels did not come.
pub(super) enum GrabError {
    /// The screen is smaller than the request assumed: ask for its size again.
    Resized,
    /// The server is gone or refuses.
    Lost(String),
}

impl<E: Into<ReplyError>> From<E> for GrabError {
    fn from(error: E) -> Self {
        match error.into() {
            ReplyError::X11Error(error) if error.error_kind == ErrorKind::Match => Self::Resized,
            error => Self::Lost(error.to_string()),
        }
    }
}

/// Fetches pixels through shared memory, or through the socket where the server shares none.
pub(super) struct Grabber {
    segment: Option<Segment>,
}

impl Grabber {
    /// A grabber for a screen of `size`.
    pub(super) fn new(screen: &XScreen, size: Size) -> Self {
        let bytes = size.area() as usize * BYTES_PER_PIXEL;
        let segment = Segment::create(&screen.conn, bytes)
            .inspect_err(|error| tracing::info!("screen pixels go through the socket: {error}"))
            .ok();
        Self { segment }
    }

    /// Frees the server's half of the memory.
    pub(super) fn close(self, screen: &XScreen) -> Result<(), ConnectionError> {
        self.segment.map_or(Ok(()), |segment| segment.detach(&screen.conn))
    }

    /// Copies `rects`, which do not overlap and fit the frame, from the screen into `frame`.
    pub(super) fn grab(
        &self,
        screen: &XScreen,
        rects: &[Rect],
        frame: &mut Framebuffer,
    ) -> Result<(), GrabError> {
        let bands: Vec<Rect> = rects.iter().copied().flat_map(bands).collect();
        match &self.segment {
            Some(segment) => grab_shared(screen, segment, &bands, frame),
            None => grab_plain(screen, &bands, frame),
        }
    }
}

/// All bands are asked for before the first reply is awaited; they lie one after the other in the segment.
fn grab_shared(
    screen: &XScreen,
    segment: &Segment,
    bands: &[Rect],
    frame: &mut Framebuffer,
) -> Result<(), GrabError> {
    let mut used = 0;
    let mut asked = Vec::with_capacity(bands.len());
    for band in bands {
        let (x, y, width, height) = x11_rect(*band);
        let format = ImageFormat::Z_PIXMAP.into();
        let cookie = screen.conn.shm_get_image(
            screen.root,
            x,
            y,
            width,
            height,
            ALL_PLANES,
            format,
            segment.id(),
            used as u32,
        )?;
        asked.push((*band, used, cookie));
        used += band_bytes(*band);
    }
    debug_assert!(used <= segment.len(), "rectangles of one screen that do not overlap fit into it");
    screen.conn.flush()?;
    // Every reply is awaited, also after an error: the segment is in use until the last one.
    let mut outcome = Ok(());
    for (band, at, cookie) in asked {
        match cookie.reply() {
            Ok(_) => copy_rows(&segment.bytes()[at..at + band_bytes(band)], frame, band),
            Err(error) => outcome = Err(error.into()),
        }
    }
    outcome
}

/// One request at a time: a full screen in replies would be held twice.
fn grab_plain(screen: &XScreen, bands: &[Rect], frame: &mut Framebuffer) -> Result<(), GrabError> {
    for band in bands {
        let (x, y, width, height) = x11_rect(*band);
        let format = ImageFormat::Z_PIXMAP;
        let image = screen.conn.get_image(format, screen.root, x, y, width, height, ALL_PLANES)?.reply()?;
        copy_rows(&image.data, frame, *band);
    }
    Ok(())
}

/// `rect` in full-width pieces of about [`BAND_BYTES`].
fn bands(rect: Rect) -> impl Iterator<Item = Rect> {
    let rows = (BAND_BYTES / (rect.width as usize * BYTES_PER_PIXEL).max(1)).max(1) as u32;
    (rect.y..rect.bottom())
        .step_by(rows as usize)
        .map(move |y| Rect::new(rect.x, y, rect.width, rows.min(rect.bottom() - y)))
}

fn band_bytes(band: Rect) -> usize {
    band.area() as usize * BYTES_PER_PIXEL
}

/// X11's own types; a screen's side ends at [`tagio_wire::limits::SCREEN_SIDE_MAX`], which fits.
fn x11_rect(rect: Rect) -> (i16, i16, u16, u16) {
    (rect.x as i16, rect.y as i16, rect.width as u16, rect.height as u16)
}

/// Copies rows without padding; the fourth byte, which the server leaves undefined, becomes 0. By words, which
/// the compiler turns into vectors: it costs no more than a plain copy.
fn copy_rows(pixels: &[u8], frame: &mut Framebuffer, rect: Rect) {
    let row_bytes = rect.width as usize * BYTES_PER_PIXEL;
    for (to, from) in frame.rows_mut(rect).zip(pixels.chunks_exact(row_bytes)) {
        let (to, from) = (to.as_chunks_mut::<BYTES_PER_PIXEL>().0, from.as_chunks::<BYTES_PER_PIXEL>().0);
        for (to, from) in to.iter_mut().zip(from) {
            *to = (u32::from_le_bytes(*from) & COLOUR).to_le_bytes();
        }
    }
}
