//! `Codec::ZstdPrefix`: bands of exact pixels, compressed with what the viewer already has as prefix.
//!
//! The prefix makes zstd find, for nothing, what stayed, scrolled or moved: those pixels are matches into the
//! old picture. So there is no motion search and no move command, and a lost viewer needs no state rebuilt.
//! Both ends must agree on the prefix to the byte; the rule is [`prefix_rect`], applied to the picture as it
//! was *before the update*. Hence the bands of one update do not depend on each other's order.

mod changes;
mod decoder;
mod encoder;
mod plane;

use tagio_wire::{Rect, Size};

use crate::pixels::RGB_BYTES;

pub use decoder::BandDecoder;
pub use encoder::{BandEncoder, BandOptions};

/// Most bytes of RGB in one band, unless a single row has more. Half of it makes a first picture a tenth
/// larger; twice of it makes a scroll take half as long again.
const BAND_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Rows above and below a band that belong to its prefix: a scroll by that much finds its pixels even across
/// the edge between two bands. More rows would cost every band time to index them.
const PREFIX_MARGIN_ROWS: u32 = 64;

/// Pixels of the old picture that are the prefix of a band at `rect`: the band and a margin above and below
/// it, as far as the screen goes.
fn prefix_rect(rect: Rect, screen: Size) -> Rect {
    let top = rect.y.saturating_sub(PREFIX_MARGIN_ROWS);
    let bottom = rect.bottom().saturating_add(PREFIX_MARGIN_ROWS).min(screen.height);
    Rect { y: top, height: bottom - top, ..rect }
}

/// Bytes of RGB that `rect` holds.
fn rgb_len(rect: Rect) -> usize {
    rect.area() as usize * RGB_BYTES
}
