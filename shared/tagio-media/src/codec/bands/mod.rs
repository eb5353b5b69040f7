//! `Codec::ZstdPrefix`, `ZstdPredicted` and `Copy`: exact bands, as a rule compressed with what the viewer already
//! has as prefix.
//!
//! The prefix makes zstd find, for nothing, what stayed or moved a little: those pixels are matches into the
//! old picture. What scrolled or was dragged as a whole is found first, and goes as copies; a photograph has no
//! match, and goes as differences between its pixels. Both ends must
//! agree on the prefix to the byte; the rule is [`prefix_rect`], applied to the base as it was *before the
//! update*. Hence the bands of one update do not depend on each other's order.

mod changes;
mod decoder;
mod encoder;
mod motion;
mod plane;
mod predict;
mod queue;
mod twin;
mod zstd;

use tagio_wire::{Rect, Size, picture::Band};

use crate::pixels::RGB_BYTES;

pub use decoder::{BandDecoder, BandError};
pub(super) use encoder::Work;
pub use encoder::{BandEncoder, BandOptions};

/// Rows above and below a band that belong to its prefix: a scroll by that much finds its pixels even across
/// the edge between two bands. More rows would cost every band time to index them.
const PREFIX_MARGIN_ROWS: u32 = 64;

/// The exact bands of one update. None where the viewer lacks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    /// Where, how and how long. They do not overlap.
    pub bands: Vec<Band>,
    /// The bands' payloads, back to back.
    pub payload: Vec<u8>,
}

/// Pixels of the old picture that are the prefix of a band at `rect`: the band and a margin above and below
/// it, as far as the picture goes.
fn prefix_rect(rect: Rect, picture: Size) -> Rect {
    let top = rect.y.saturating_sub(PREFIX_MARGIN_ROWS);
    let bottom = rect.bottom().saturating_add(PREFIX_MARGIN_ROWS).min(picture.height);
    Rect { y: top, height: bottom - top, ..rect }
}

/// Bytes of RGB that `rect` holds.
fn rgb_len(rect: Rect) -> usize {
    rect.area() as usize * RGB_BYTES
}
