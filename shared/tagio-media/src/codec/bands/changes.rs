//! Finds what really changed inside damage, which is often only a box around it.

use tagio_wire::Rect;

use super::{PREFIX_MARGIN_ROWS, plane::RgbPlane};
use crate::pixels::RGB_BYTES;

/// Rows and columns of the blocks that are told apart before edges are found to the pixel.
const BLOCK_ROWS: u32 = 16;
const BLOCK_COLUMNS: u32 = 32;
const BLOCK_BYTES: usize = BLOCK_COLUMNS as usize * RGB_BYTES;

/// What a band costs besides its pixels, in pixels that zstd could have read instead: setting up zstd, and the
/// band's place in the header.
const BAND_PIXELS: u64 = 4096;

/// Newest rectangles that are tried for joining with the next one. Others are too far above to pay.
const JOIN_TRIES: usize = 64;

/// Appends to `changed` tight rectangles around the pixels of `rect` in which the planes differ. They do not
/// overlap.
pub(super) fn find_changes(old: &RgbPlane, new: &RgbPlane, rect: Rect, changed: &mut Vec<Rect>) {
    let first = changed.len();
    let mut blocks = vec![false; rect.width.div_ceil(BLOCK_COLUMNS) as usize];
    for y in (rect.y..rect.bottom()).step_by(BLOCK_ROWS as usize) {
        let strip = Rect::new(rect.x, y, rect.width, BLOCK_ROWS.min(rect.bottom() - y));
        if mark_blocks(old, new, strip, &mut blocks) {
            runs(&blocks).for_each(|run| {
                let left = strip.x + run.start as u32 * BLOCK_COLUMNS;
                let right = (strip.x + run.end as u32 * BLOCK_COLUMNS).min(strip.right());
                join(changed, first, Rect { x: left, width: right - left, ..strip });
            });
        }
    }
    for found in &mut changed[first..] {
        *found = tighten(old, new, *found);
    }
}

/// Marks the blocks of a strip that differ; false if none does.
fn mark_blocks(old: &RgbPlane, new: &RgbPlane, strip: Rect, blocks: &mut [bool]) -> bool {
    blocks.fill(false);
    let mut any = false;
    for (old, new) in old.rows(strip).zip(new.rows(strip)) {
        if old == new {
            continue;
        }
        any = true;
        let (old_blocks, old_last) = old.as_chunks::<BLOCK_BYTES>();
        let (new_blocks, new_last) = new.as_chunks::<BLOCK_BYTES>();
        for (block, (old, new)) in blocks.iter_mut().zip(old_blocks.iter().zip(new_blocks)) {
            *block = *block || old != new;
        }
        if let Some(last) = blocks.get_mut(old_blocks.len()) {
            *last = *last || old_last != new_last;
        }
    }
    any
}

/// Runs of marked blocks.
fn runs(blocks: &[bool]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + blocks[at..].iter().position(|marked| *marked)?;
        at = blocks[start..].iter().position(|marked| !marked).map_or(blocks.len(), |len| start + len);
        Some(start..at)
    })
}

/// Adds a rectangle to those from `first` on, joined with all that it overlaps or that are cheaper together.
fn join(changed: &mut Vec<Rect>, first: usize, mut rect: Rect) {
    let mut from = first.max(changed.len().saturating_sub(JOIN_TRIES));
    while let Some(i) = changed[from..].iter().rposition(|have| belong_together(*have, rect)) {
        rect = rect.union(changed.remove(from + i));
        // The union may reach any of them.
        from = first;
    }
    changed.push(rect);
}

fn belong_together(a: Rect, b: Rect) -> bool {
    a.intersection(b).is_some() || cost(a.union(b)) <= cost(a) + cost(b)
}

/// What a band costs, in pixels that zstd reads: its own, and those of its prefix.
fn cost(rect: Rect) -> u64 {
    u64::from(rect.width) * 2 * u64::from(rect.height + PREFIX_MARGIN_ROWS) + BAND_PIXELS
}

/// Cuts off the outer rows and columns that do not differ. Something in `rect` must, as must something in its
/// outermost blocks if it is wider than one.
fn tighten(old: &RgbPlane, new: &RgbPlane, rect: Rect) -> Rect {
    let differs = |y: &u32| {
        let row = Rect { y: *y, height: 1, ..rect };
        !old.rows(row).eq(new.rows(row))
    };
    let top = (rect.y..rect.bottom()).find(differs).unwrap_or(rect.y);
    let bottom = (top..rect.bottom()).rfind(differs).unwrap_or(top) + 1;
    let edge = BLOCK_COLUMNS.min(rect.width);
    let pairs = |x| {
        let column = Rect::new(x, top, edge, bottom - top);
        old.rows(column).zip(new.rows(column))
    };
    let left = pairs(rect.x).filter_map(|(old, new)| (0..old.len()).find(|i| old[*i] != new[*i]));
    let left = left.min().map_or(0, |byte| byte / RGB_BYTES) as u32;
    let last =
        pairs(rect.right() - edge).filter_map(|(old, new)| (0..old.len()).rfind(|i| old[*i] != new[*i]));
    let after = last.max().map_or(0, |byte| edge as usize - 1 - byte / RGB_BYTES) as u32;
    Rect::new(rect.x + left, top, rect.width - left - after, bottom - top)
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;
    use crate::{Framebuffer, View};

    const SCREEN: Size = Size::new(1000, 400);

    /// What is found when exactly these rectangles change on a black screen.
    fn found(rects: &[Rect]) -> Vec<Rect> {
        let mut screen = Framebuffer::new(SCREEN);
        for &rect in rects {
            screen.rows_mut(rect).for_each(|row| row.fill(1));
        }
        let (old, mut new) = (RgbPlane::black(SCREEN), RgbPlane::black(SCREEN));
        new.pack(&View::whole(&screen), SCREEN.rect());
        let mut changed = Vec::new();
        find_changes(&old, &new, SCREEN.rect(), &mut changed);
        changed.sort_by_key(|rect| (rect.y, rect.x));
        changed
    }

    #[test]
    fn a_box_shrinks_to_what_changed() {
        assert_eq!(found(&[]), []);
        let pixel = |x, y| Rect::new(x, y, 1, 1);
        assert_eq!(found(&[pixel(999, 399)]), [pixel(999, 399)]);
        assert_eq!(found(&[pixel(20, 7), pixel(40, 9), pixel(5, 10)]), [Rect::new(5, 7, 36, 4)]);
        assert_eq!(found(&[pixel(31, 15), pixel(32, 16)]), [Rect::new(31, 15, 2, 2)]);
        let corners = [pixel(0, 0), pixel(999, 0), pixel(0, 399), pixel(999, 399)];
        assert_eq!(found(&corners), corners);
    }

    #[test]
    fn a_caret_and_a_clock_in_the_same_rows_stay_apart() {
        let apart = [Rect::new(3, 100, 2, 18), Rect::new(900, 101, 61, 12)];
        assert_eq!(found(&apart), apart);
    }

    #[test]
    fn lines_of_text_are_one_rectangle() {
        let lines: Vec<Rect> = (0..8).map(|line| Rect::new(10, line * 20, 200 + line % 3 * 90, 12)).collect();
        assert_eq!(found(&lines), [Rect::new(10, 0, 380, 152)]);
    }
}
