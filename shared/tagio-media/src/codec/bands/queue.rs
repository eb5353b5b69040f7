//! The order in which bands are sent, and how large they are.

use tagio_wire::Rect;

use super::rgb_len;
use crate::pixels::RGB_BYTES;

/// Bounds of a band's bytes of RGB, unless a single row has more. Half of the upper one makes a first picture
/// a tenth larger; below the lower one zstd has too little to learn from.
const BAND_BYTES: std::ops::RangeInclusive<usize> = 48 * 1024..=2 * 1024 * 1024;

/// zstd shrinks a desktop's pixels by more than this: what a band may have, per byte that the update may have.
const USUAL_RATIO: usize = 8;

/// Changes of at most so many bytes of RGB are likely an answer to the person's input (a letter, a caret, a
/// button), and go first.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// What is to be sent, in turns.
#[derive(Default)]
pub(super) struct Queue {
    /// Row at which the large bands of the next update begin, so that busy rows above do not starve others.
    first_row: u32,
    /// The same for small ones.
    first_small_row: u32,
    bands: Vec<Rect>,
}

impl Queue {
    /// Begins at the top.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes over what is to be sent in updates of `bytes_max`: small changes first, then one large band, so
    /// that neither kind starves the other when they share an update; then the rest.
    pub(super) fn fill(&mut self, rects: &[Rect], bytes_max: usize) {
        let band_bytes_max =
            bytes_max.saturating_mul(USUAL_RATIO).clamp(*BAND_BYTES.start(), *BAND_BYTES.end());
        self.bands.clear();
        self.bands.extend(rects.iter().flat_map(|rect| bands_of(*rect, band_bytes_max)));
        let (first_row, first_small_row) = (self.first_row, self.first_small_row);
        self.bands.sort_unstable_by_key(|rect| {
            let small = is_small(*rect);
            let first = if small { first_small_row } else { first_row };
            (!small, rect.y < first, rect.y, rect.x)
        });
        let small = self.bands.iter().take_while(|rect| is_small(**rect)).count();
        // Small changes share an update with at least one large band, however many they are.
        let ahead = small_share(&self.bands[..small], bytes_max);
        if small < self.bands.len() {
            self.bands[ahead..=small].rotate_right(1);
        }
    }

    /// In the order in which they go.
    pub(super) fn bands(&self) -> &[Rect] {
        &self.bands
    }

    /// Remembers where to go on when the first `sent` bands went; returns the rest.
    pub(super) fn sent(&mut self, sent: usize) -> &[Rect] {
        let late = &self.bands[sent..];
        let first = |small: bool| late.iter().find(|rect| is_small(**rect) == small).map_or(0, |rect| rect.y);
        (self.first_row, self.first_small_row) = (first(false), first(true));
        late
    }
}

fn is_small(rect: Rect) -> bool {
    rgb_len(rect) <= SMALL_BYTES_MAX
}

/// How many of the small bands go before the first large one: those that likely fill half of the update.
fn small_share(small: &[Rect], bytes_max: usize) -> usize {
    let share = bytes_max / 2;
    let mut bytes = 0;
    let within = small.iter().take_while(|rect| {
        bytes += rgb_len(**rect) / USUAL_RATIO;
        bytes <= share
    });
    within.count().max(1).min(small.len())
}

/// Cuts a rectangle into bands of nearly equal height.
fn bands_of(rect: Rect, bytes_max: usize) -> impl Iterator<Item = Rect> {
    let row_bytes = (rect.width as usize * RGB_BYTES).max(1);
    let rows_max = (bytes_max / row_bytes).max(1) as u32;
    let bands = rect.height.div_ceil(rows_max).max(1);
    let rows = rect.height.div_ceil(bands).max(1);
    (rect.y..rect.bottom())
        .step_by(rows as usize)
        .map(move |y| Rect::new(rect.x, y, rect.width, rows.min(rect.bottom() - y)))
}
