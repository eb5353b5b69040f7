//! What a host sends of its screen. Codecs live in `tagio-media`; here is only what describes their output.
//!
//! Picture lane (host → viewer): a frame per update, of `u32be header length`, [`UpdateHeader`] and the payloads of its
//! bands in order.
//!
//! Video streams (a QUIC stream per frame, host → viewer): `u32be header length`, [`VideoHeader`], then the
//! frame's bytes up to the end of the stream.
//!
//! A viewer has two pictures of the same size. The *base* is changed by exact codecs only, and is what every
//! prefix and copy refers to, so host and viewer always agree on it. What is *shown* is changed by exact and
//! lossy codecs alike. Where both are the same, the picture is exact.

use serde::{Deserialize, Serialize};

use crate::{
    geometry::{Point, Rect, Size},
    limits,
};

/// Counts what is acknowledged of one session's picture, updates and video frames alike, from 1; wraps around.
pub type UpdateNumber = u32;

/// Describes one picture update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateHeader {
    /// Comes back in the viewer's acknowledgement.
    pub number: UpdateNumber,
    /// Size of what the viewer sees of the host's screen. A change of it, or of `scale`, starts a black picture.
    pub screen: Size,
    /// Pixels of the screen per pixel of the picture, in either direction: 1, or 2 where half of the
    /// resolution is enough. Rectangles are in pixels of the picture.
    pub scale: u8,
    /// Video frames up to this number are outdated by this update: those that come later are not shown.
    /// 0 before the first video frame.
    pub video_until: UpdateNumber,
    /// Where the time went before it was sent.
    pub timing: Timing,
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

/// How the pixels of a band come. Every codec refers to the picture as it was before the update, so the bands
/// of one update do not depend on each other; nor do they overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// Rows of 3-byte RGB as one zstd frame. Exact. Its prefix is RGB rows too: of the band's rectangle and up
    /// to 64 rows above and below it in the base, as far as the picture goes.
    ZstdPrefix,
    /// The pixels of the rectangle of the same size at this corner of the base; no payload. Exact, whatever is
    /// shown there: a video frame that was sent later may have come earlier.
    Copy {
        /// Its left column.
        x: u32,
        /// Its top row.
        y: u32,
    },
    /// A JPEG file. Lossy: an exact band follows when there is time.
    Jpeg,
    /// Three planes of differences from what the neighbours suggest, as one zstd frame without a prefix. Exact; for
    /// photographs.
    ZstdPredicted,
}

/// Where the time of an update or a video frame went before it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Reading the screen, in tenths of a millisecond.
    pub capture: u16,
    /// Encoding, in tenths of a millisecond.
    pub encode: u16,
    /// The host's clock when it was handed to the connection, in tenths of a millisecond; wraps around.
    pub sent: u16,
}

/// Describes one video frame: lossy pixels of a rectangle in which much moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoHeader {
    /// Comes back in the viewer's acknowledgement.
    pub number: UpdateNumber,
    /// Size and scale of the picture that it belongs to, as in [`UpdateHeader`]; of another one, it is not shown.
    pub screen: Size,
    /// See [`UpdateHeader::scale`].
    pub scale: u8,
    /// Which of the up to [`limits::VIDEO_SLOTS`] rectangles of a picture; each has a decoder of its own.
    pub slot: u8,
    /// Where.
    pub rect: Rect,
    /// How its pixels come.
    pub codec: VideoCodec,
    /// The frame of the same slot without which it cannot be decoded; 0 where it needs none.
    pub after: UpdateNumber,
    /// Where the time went before it was sent.
    pub timing: Timing,
}

/// How the pixels of a video frame come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VideoCodec {
    /// One access unit of H.264 (ITU-T H.264, Annex B), 4:2:0, BT.709, full range, chroma sited in the middle.
    /// Its picture is as large as the rectangle, rounded up to even sides; what is over is cut off.
    H264,
    /// A JPEG file as large as the rectangle.
    Jpeg,
}

impl UpdateHeader {
    /// Size of the picture.
    pub fn picture(&self) -> Size {
        scaled(self.screen, self.scale)
    }

    /// Whether every number in it is within bounds, so that a decoder may allocate by them.
    pub fn is_sound(&self) -> bool {
        let bytes: u64 = self.bands.iter().map(|band| u64::from(band.len)).sum();
        is_sound_screen(self.screen, self.scale)
            && self.bands.len() <= limits::BANDS_MAX
            && bytes <= limits::UPDATE_BYTES_MAX as u64
            && self.bands.iter().all(|band| band.is_sound(self.picture()))
    }

    /// Bytes of payload after the header.
    pub fn payload_len(&self) -> usize {
        self.bands.iter().map(|band| band.len as usize).sum()
    }
}

impl Band {
    fn is_sound(&self, picture: Size) -> bool {
        let codec_ok = match self.codec {
            Codec::ZstdPrefix | Codec::Jpeg | Codec::ZstdPredicted => true,
            Codec::Copy { x, y } => self.len == 0 && Rect { x, y, ..self.rect }.fits(picture),
        };
        codec_ok && !self.rect.is_empty() && self.rect.fits(picture)
    }
}

impl VideoHeader {
    /// Size of the picture that it belongs to.
    pub fn picture(&self) -> Size {
        scaled(self.screen, self.scale)
    }

    /// Whether every number in it is within bounds.
    pub fn is_sound(&self) -> bool {
        is_sound_screen(self.screen, self.scale)
            && self.slot < limits::VIDEO_SLOTS
            && !self.rect.is_empty()
            && self.rect.fits(self.picture())
    }
}

/// Size of a picture of which each pixel stands for `scale` by `scale` of a screen.
pub fn scaled(screen: Size, scale: u8) -> Size {
    let scale = u32::from(scale).max(1);
    Size::new(screen.width.div_ceil(scale), screen.height.div_ceil(scale))
}

fn is_sound_screen(screen: Size, scale: u8) -> bool {
    screen.width <= limits::SCREEN_SIDE_MAX
        && screen.height <= limits::SCREEN_SIDE_MAX
        && screen.area() <= limits::SCREEN_AREA_MAX
        && matches!(scale, 1 | 2)
}

/// The host's cursor, on a stream of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorUpdate {
    /// It looks like this now. The n-th shape of a session, from 0, is kept in slot n modulo
    /// [`limits::CURSOR_SLOTS`].
    Shape(CursorShape),
    /// It looks like the shape in this slot now.
    Known(u8),
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
