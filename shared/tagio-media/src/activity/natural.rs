//! Photograph or text: what the steps between neighbouring pixels say.

use tagio_wire::Rect;

use super::{block::Block, tile::TILE};
use crate::View;

/// Rows that are looked at: every fourth.
const STEP: u32 = 4;
/// Steps of brightness up to this are soft: the grain and shades of a photograph.
const SOFT_MAX: u32 = 20;
/// Steps of brightness from this on are hard: the edges of letters.
const HARD_MIN: u32 = 44;

/// What a tile looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of hardly more than one colour: the bars beside a film as well as the margin of a page.
    Flat,
    /// Text, lines, windows.
    Synthetic,
    /// A photograph, a film.
    Natural,
}

/// Steps from pixels to those on their right.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    all: u32,
    equal: u32,
    soft: u32,
    hard: u32,
}

impl Steps {
    fn of(row: &[u32]) -> Self {
        let (mut equal, mut soft, mut hard) = (0, 0, 0);
        for (left, right) in row.iter().zip(row.iter().skip(1)) {
            let step = brightness(*left).abs_diff(brightness(*right));
            let same = u32::from(left == right);
            equal += same;
            soft += u32::from(step <= SOFT_MAX) - same;
            hard += u32::from(step >= HARD_MIN);
        }
        Self { all: row.len().saturating_sub(1) as u32, equal, soft, hard }
    }

    fn add(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            equal: self.equal + other.equal,
            soft: self.soft + other.soft,
            hard: self.hard + other.hard,
        }
    }

    fn is_flat(self) -> bool {
        self.equal * 50 >= self.all * 49
    }

    /// Runs of paper with letters between them.
    fn is_text(self) -> bool {
        self.equal * 10 >= self.all * 3 && self.hard * 25 >= self.all && self.soft < self.hard * 4
    }

    fn is_soft(self) -> bool {
        self.soft * 10 >= self.all * 3 && self.soft >= self.hard * 3
    }

    fn has_no_runs(self) -> bool {
        self.equal * 10 <= self.all
    }
}

/// What a block looks like of which every fourth row is given.
pub(super) fn kind(block: &Block) -> Kind {
    let mut quarters = [Steps::default(); 4];
    let half = block.rows().len().div_ceil(2);
    for (y, row) in block.rows().enumerate() {
        let below = 2 * usize::from(y >= half);
        let (left, right) = row.split_at(row.len() / 2);
        quarters[below] = quarters[below].add(Steps::of(left));
        quarters[below + 1] = quarters[below + 1].add(Steps::of(right));
    }
    let all = quarters.into_iter().fold(Steps::default(), Steps::add);
    if all.is_flat() {
        Kind::Flat
    } else if quarters.iter().any(|quarter| quarter.is_text()) {
        Kind::Synthetic
    } else if all.is_soft() || (all.has_no_runs() && is_colourful(block)) {
        Kind::Natural
    } else {
        Kind::Synthetic
    }
}

/// What a rectangle of at most a tile looks like.
pub(super) fn kind_of(view: &View<'_>, rect: Rect, block: &mut Block) -> Kind {
    block.load(view, rect, STEP);
    kind(block)
}

/// The tiles of a rectangle, row by row, from its own corner on.
pub(super) fn tiles(rect: Rect) -> impl Iterator<Item = Rect> {
    let step = TILE as usize;
    (rect.y..rect.bottom()).step_by(step).flat_map(move |y| {
        let height = TILE.min(rect.bottom() - y);
        (rect.x..rect.right()).step_by(step).map(move |x| Rect::new(x, y, TILE.min(rect.right() - x), height))
    })
}

fn brightness(pixel: u32) -> u32 {
    ((pixel & 0xff) + ((pixel >> 7) & 0x1fe) + (pixel >> 16)) / 4
}

/// Whether at least a quarter of the pixels have a colour of their own; a pattern has a few colours only.
fn is_colourful(block: &Block) -> bool {
    let mut seen = [0_u64; 16];
    let mut pixels = 0;
    for pixel in block.rows().flatten() {
        let at = pixel.wrapping_mul(0x9e37_79b1) >> 22;
        seen[at as usize / 64] |= 1 << (at % 64);
        pixels += 1;
    }
    let colours: u32 = seen.iter().map(|word| word.count_ones()).sum();
    colours * 4 >= pixels.min(1024)
}
