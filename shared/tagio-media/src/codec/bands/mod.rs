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

/// Most bytes of RGB in one band, unless a single row has more. Larger bands cut fewer scrolled areas apart,
/// but their match table falls out of the processor's cache: see `benches/bands.rs`.
const BAND_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Rows above and below a band that belong to its prefix: a scroll by this many rows finds all of its pixels
/// across the edge between two bands.
const PREFIX_MARGIN_ROWS: u32 = 64;

/// Columns left and right of a band that belong to its prefix.
const PREFIX_MARGIN_COLUMNS: u32 = 0;

/// Pixels of the old picture that are the prefix of a band at `rect`: the band and a margin around it, as far
/// as the screen goes.
fn prefix_rect(rect: Rect, screen: Size) -> Rect {
    let (x, y) =
        (rect.x.saturating_sub(PREFIX_MARGIN_COLUMNS), rect.y.saturating_sub(PREFIX_MARGIN_ROWS));
    let right = rect.right().saturating_add(PREFIX_MARGIN_COLUMNS).min(screen.width);
    let bottom = rect.bottom().saturating_add(PREFIX_MARGIN_ROWS).min(screen.height);
    Rect::new(x, y, right - x, bottom - y)
}

/// Bytes of RGB that `rect` holds.
fn rgb_len(rect: Rect) -> usize {
    rect.area() as usize * RGB_BYTES
}
