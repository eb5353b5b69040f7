//! Where the photographs of a picture are.

use std::cmp::Reverse;

use tagio_wire::Rect;

use super::{
    block::Block,
    natural::{Kind, kind, kind_of, tiles},
    tile::TILE,
};
use crate::{View, region::without};

/// By how many rows or columns a photograph is followed beyond its whole tiles.
const EDGE: u32 = 8;

/// The photographs in a rectangle of the view: parts of it that do not overlap. They are found by tiles that look
/// natural, and then followed to their edges. What is left is text and windows, and a photograph's narrow margin.
pub fn natural_parts(view: &View<'_>, rect: Rect) -> Vec<Rect> {
    let mut block = Block::default();
    let mut parts: Vec<Rect> = Vec::new();
    let mut row: Vec<Rect> = Vec::new();
    for tile in tiles(rect) {
        if row.last().is_some_and(|run| run.y != tile.y) {
            stack(&mut parts, &mut row);
        }
        if kind_of(view, tile, &mut block) == Kind::Natural {
            match row.last_mut() {
                Some(run) if run.right() == tile.x => run.width += tile.width,
                _ => row.push(tile),
            }
        }
    }
    stack(&mut parts, &mut row);
    // The largest first: what is ragged at its edges is better taken by rows and columns than by tiles.
    parts.sort_by_key(|part| Reverse(part.area()));
    let mut found: Vec<Rect> = Vec::new();
    for part in parts {
        let mut left = without(&[part], &found);
        while let Some(piece) = left.pop() {
            let followed = follow_edges(view, rect, piece, &found, &mut block);
            if !followed.is_empty() {
                // It may have grown into what is left.
                left = without(&left, &[followed]);
                found.push(followed);
            }
        }
    }
    found
}

/// Whether anything in a rectangle of the view looks like text or windows.
pub(crate) fn has_synthetic(view: &View<'_>, rect: Rect, block: &mut Block) -> bool {
    tiles(rect).any(|tile| kind_of(view, tile, block) == Kind::Synthetic)
}

/// Puts the runs of one row of tiles below those of the rows above where they are as wide.
fn stack(parts: &mut Vec<Rect>, row: &mut Vec<Rect>) {
    for run in row.drain(..) {
        let above = |part: &&mut Rect| part.bottom() == run.y && part.x == run.x && part.width == run.width;
        match parts.iter_mut().find(above) {
            Some(part) => part.height += run.height,
            None => parts.push(run),
        }
    }
}

/// A part as far as its edges really are natural, and then with the natural strips beside it, by less than a tile on
/// each side and without what has been found already.
fn follow_edges(view: &View<'_>, rect: Rect, part: Rect, found: &[Rect], block: &mut Block) -> Rect {
    // Paper first: half a tile of it makes the other half look like text.
    let part = trim(part, |strip| is_natural_strip(view, strip, block, usize::MAX));
    let mut part = trim(part, |strip| is_natural_strip(view, strip, block, 0));
    for side in SIDES {
        for _ in 1..TILE / EDGE {
            let Some(strip) = side.beyond(part).intersection(rect) else { break };
            let is_free = found.iter().all(|other| other.intersection(strip).is_none());
            if !is_free || !is_natural_strip(view, strip, block, 0) {
                break;
            }
            part = part.union(strip);
        }
    }
    part
}

/// A part without the strips along its sides that are not natural, by at most a tile on each side.
fn trim(mut part: Rect, mut is_natural: impl FnMut(Rect) -> bool) -> Rect {
    for side in SIDES {
        for _ in 0..TILE / EDGE {
            if part.is_empty() || is_natural(side.within(part)) {
                break;
            }
            part = side.without(part);
        }
    }
    part
}

/// Whether most of a strip looks natural, and at most so many tiles of it like text.
fn is_natural_strip(view: &View<'_>, strip: Rect, block: &mut Block, synthetic_max: usize) -> bool {
    let (mut natural, mut flat, mut synthetic) = (0, 0, 0);
    let (width, height) = (TILE.min(strip.width), TILE.min(strip.height));
    for tile in tiles(strip) {
        // The last one as long as the others: in a short one a few pixels of paper would count too much.
        let (x, y) = (tile.x.min(strip.right() - width), tile.y.min(strip.bottom() - height));
        block.load(view, Rect::new(x, y, width, height), 1);
        match kind(block) {
            Kind::Natural => natural += 1,
            Kind::Flat => flat += 1,
            Kind::Synthetic => synthetic += 1,
        }
    }
    natural > flat + synthetic && synthetic <= synthetic_max
}

/// A side of a rectangle.
#[derive(Clone, Copy)]
enum Side {
    Top,
    Bottom,
    Left,
    Right,
}

const SIDES: [Side; 4] = [Side::Top, Side::Bottom, Side::Left, Side::Right];

impl Side {
    /// The strip along this side, inside.
    fn within(self, rect: Rect) -> Rect {
        let (width, height) = (EDGE.min(rect.width), EDGE.min(rect.height));
        match self {
            Self::Top => Rect { height, ..rect },
            Self::Bottom => Rect { y: rect.bottom() - height, height, ..rect },
            Self::Left => Rect { width, ..rect },
            Self::Right => Rect { x: rect.right() - width, width, ..rect },
        }
    }

    /// The rectangle without that strip.
    fn without(self, rect: Rect) -> Rect {
        let strip = self.within(rect);
        let (width, height) = (rect.width - strip.width, rect.height - strip.height);
        match self {
            Self::Top => Rect { y: strip.bottom(), height, ..rect },
            Self::Bottom => Rect { height, ..rect },
            Self::Left => Rect { x: strip.right(), width, ..rect },
            Self::Right => Rect { width, ..rect },
        }
    }

    /// The strip along this side, outside; empty at the edge of the screen.
    fn beyond(self, rect: Rect) -> Rect {
        let (left, top) = (EDGE.min(rect.x), EDGE.min(rect.y));
        match self {
            Self::Top => Rect { y: rect.y - top, height: top, ..rect },
            Self::Bottom => Rect { y: rect.bottom(), height: EDGE, ..rect },
            Self::Left => Rect { x: rect.x - left, width: left, ..rect },
            Self::Right => Rect { x: rect.right(), width: EDGE, ..rect },
        }
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;
    use crate::Framebuffer;

    const SCREEN: Size = Size::new(800, 600);

    /// White, with soft shades and grain in one place and letters of black strokes in another.
    fn page(photograph: Rect, text: Rect) -> Framebuffer {
        let mut page = Framebuffer::new(SCREEN);
        page.bytes_mut().fill(0xff);
        let mut grain = 1_u32;
        for (y, row) in page.rows_mut(photograph).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let shade = ((x + 2 * y) / 8) as u8 / 2 + 40 + (grain >> 29) as u8;
                *pixel = [shade, shade ^ 1, 255 - shade, 0];
            }
        }
        for (y, row) in page.rows_mut(text).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                if y % 18 < 12 && (x % 9 == 2 || (x / 9 + y) % 5 == 0) {
                    *pixel = [0; 4];
                }
            }
        }
        page
    }

    #[test]
    fn a_photograph_is_found_to_its_edges_and_no_text_with_it() {
        for (dx, dy) in [(0, 0), (13, 7), (40, 29), (63, 50)] {
            let photograph = Rect::new(70 + dx, 50 + dy, 401, 301);
            let text = Rect::new(70 + dx, photograph.bottom() + 20, 500, 120);
            let page = page(photograph, text);
            let parts = natural_parts(&View::whole(&page), SCREEN.rect());
            let found: u64 =
                parts.iter().filter_map(|part| part.intersection(photograph)).map(Rect::area).sum();
            assert!(found * 10 >= photograph.area() * 9, "{dx}, {dy}: {found} of {}", photograph.area());
            assert!(parts.iter().all(|part| part.intersection(text).is_none()), "{dx}, {dy}: {parts:?}");
            let overlap =
                (0..parts.len()).any(|i| parts[..i].iter().any(|part| part.intersection(parts[i]).is_some()));
            assert!(!overlap, "{dx}, {dy}: {parts:?}");
        }
    }
}
