//! What a host sends of its screen. Codecs live in `tagio-media`; here is only what describes their output.
//!
//! Picture stream (one QUIC stream, host → viewer): per update `u32be header length`, [`UpdateHeader`],
//! then the payloads of its bands in order.

use serde::{Deserialize, Serialize};

use crate::{
    geometry::{Point, Rect, Size},
    limits,
};

/// Counts picture updates of one session from 1; wraps around.
pub type UpdateNumber = u32;

/// Describes one picture update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateHeader {
    /// Comes back in the viewer's acknowledgement.
    pub number: UpdateNumber,
    /// Size of the host's screen. A change starts a black picture.
    pub screen: Size,
    /// What follows, in the order in which it is applied.
    pub bands: Vec<Band>,
}

/// A rectangle and how its pixels come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// Where.
    pub rect: Rect,
    /// How.
    pub codec: Codec,
    /// Bytes of payload.
    pub len: u32,
}

/// How the pixels of a band come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// Rows of 3-byte RGB as one zstd frame. Exact. Its prefix is RGB rows too: of the band's rectangle and up
    /// to 64 rows above and below it, as far as the screen goes, in the picture as it was before the update.
    /// The bands of one update do not overlap.
    ZstdPrefix,
}

impl UpdateHeader {
    /// Whether every number in it is within bounds, so that a decoder may allocate by them.
    pub fn is_sound(&self) -> bool {
        let screen_ok = self.screen.width <= limits::SCREEN_SIDE_MAX
            && self.screen.height <= limits::SCREEN_SIDE_MAX
            && self.screen.area() <= limits::SCREEN_AREA_MAX;
        let bytes: u64 = self.bands.iter().map(|band| u64::from(band.len)).sum();
        screen_ok
            && self.bands.len() <= limits::BANDS_MAX
            && bytes <= limits::UPDATE_BYTES_MAX as u64
            && self.bands.iter().all(|band| !band.rect.is_empty() && band.rect.fits(self.screen))
    }

    /// Bytes of payload after the header.
    pub fn payload_len(&self) -> usize {
        self.bands.iter().map(|band| band.len as usize).sum()
    }
}

/// The host's cursor, on a stream of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorUpdate {
    /// It looks like this now.
    Shape(CursorShape),
    /// It is not shown.
    Hidden,
    /// Something on the host moved it here; the viewer's own moves are not echoed.
    Moved(Point),
}

/// A cursor image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorShape {
    /// Size of the image.
    pub size: Size,
    /// The pixel of the image that points.
    pub hotspot: Point,
    /// Rows of RGBA, alpha not premultiplied.
    pub rgba: Vec<u8>,
}

impl CursorShape {
    /// Whether its pixels fill its size and the size is within bounds.
    pub fn is_sound(&self) -> bool {
        self.size.width <= limits::CURSOR_SIDE_MAX
            && self.size.height <= limits::CURSOR_SIDE_MAX
            && self.rgba.len() as u64 == self.size.area() * 4
    }
}
