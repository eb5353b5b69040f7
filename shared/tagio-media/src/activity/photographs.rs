//! Where the photographs of a picture are.

use tagio_wire::Rect;

use super::{
    block::Block,
    natural::{Kind, kind, kind_of, tiles},
    tile::TILE,
};
use crate::View;

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
    for at in 0..parts.len() {
        parts[at] = follow_edges(view, rect, &parts, at, &mut block);
    }
    parts.retain(|part| !part.is_empty());
    parts
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

/// Part `at` as far as its edges really are natural, and then with the natural strips beside it, by less than a tile
/// on each side.
fn follow_edges(view: &View<'_>, rect: Rect, parts: &[Rect], at: usize, block: &mut Block) -> Rect {
    let mut part = parts[at];
    for side in SIDES {
        let mut is_trimmed = false;
        while !part.is_empty() && !is_natural_strip(view, side.within(part), block) {
            part = side.without(part);
            is_trimmed = true;
        }
        for _ in 1..TILE / EDGE {
            let Some(strip) = side.beyond(part).intersection(rect) else { break };
            let is_free = (0..).zip(parts).all(|(i, other)| i == at || other.intersection(strip).is_none());
            if is_trimmed || !is_free || !is_natural_strip(view, strip, block) {
                break;
            }
            part = part.union(strip);
        }
    }
    part
}

/// Whether most of a strip looks natural, and nothing of it like text.
fn is_natural_strip(view: &View<'_>, strip: Rect, block: &mut Block) -> bool {
    let (mut natural, mut other) = (0, 0);
    for tile in tiles(strip) {
        block.load(view, tile, 1);
        match kind(block) {
            Kind::Natural => natural += 1,
            Kind::Flat => other += 1,
            Kind::Synthetic => return false,
        }
    }
    natural > other
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
