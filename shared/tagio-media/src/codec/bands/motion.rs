//! Finds what scrolled or was dragged: rectangles whose new pixels stand elsewhere in the base.
//!
//! A few distinctive pieces of rows, the anchors, are looked for in the old picture; from one that is found a
//! rectangle grows for as long as the pixels agree. Anchors are looked for straight above and below and beside
//! first, which costs next to nothing, and only then everywhere.

use memchr::memchr_iter;
use tagio_wire::{Rect, Size};

use super::plane::RgbPlane;
use crate::{pixels::RGB_BYTES, region::cut};

/// Most copies in one update. What moves is one pane or one window.
pub(super) const COPIES_MAX: usize = 6;

/// Smaller rectangles than this many pixels are left to zstd, which finds them in the prefix.
const AREA_MIN: u64 = 4096;

/// Anchors in a changed rectangle, each in a row of its own.
const ANCHORS: u32 = 8;

/// Pixels of an anchor, at most and at least.
const ANCHOR_PIXELS: std::ops::RangeInclusive<u32> = 16..=64;

/// Pixels of an anchor that differ from the one before: with fewer, it stands in too many places.
const EDGES_MIN: usize = 8;

/// An anchor found more often than this says nothing.
const PLACES_MAX: usize = 6;

/// Rows beyond a changed rectangle in which its pixels may come from.
const REACH_ROWS: u32 = 128;

/// Anchors that are looked for everywhere: how many, how many above are left out, and bytes each may cost.
const WIDE_ANCHORS: usize = 3;
const WIDE_SKIP: usize = 2;
const WIDE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Updates without a look everywhere after one that found nothing, doubled with each up to this: a film
/// should not cost searches.
const PAUSE_MAX: u32 = 8;

/// From a pixel's new place to its old one, in columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) x: i32,
    pub(super) y: i32,
}

impl Shift {
    /// Where the pixels of `rect` were, if all of that is in a picture of `size`.
    fn source(self, rect: Rect, size: Size) -> Option<Rect> {
        let (x, y) = (rect.x.checked_add_signed(self.x)?, rect.y.checked_add_signed(self.y)?);
        let source = Rect { x, y, ..rect };
        source.fits(size).then_some(source)
    }
}

/// A rectangle of the new picture and the corner of the same pixels in the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) to: Rect,
    pub(super) x: u32,
    pub(super) y: u32,
}

/// A distinctive piece of a row of the new picture.
type Anchor = Rect;

/// Looks for movement, and remembers how it went.
#[derive(Default)]
pub(super) struct MotionSearch {
    /// What is likely to move again: the last shifts found.
    likely: Vec<Shift>,
    /// Updates to come without a look everywhere.
    pause: u32,
    /// How long the next pause is.
    next_pause: u32,
}

/// The old and the new picture.
#[derive(Clone, Copy)]
struct Pictures<'a> {
    old: &'a RgbPlane,
    new: &'a RgbPlane,
}

impl MotionSearch {
    /// Takes rectangles that moved out of `changed`.
    pub(super) fn take(&mut self, old: &RgbPlane, new: &RgbPlane, changed: &mut Vec<Rect>) -> Vec<Moved> {
        let pictures = Pictures { old, new };
        let around = changed.iter().fold(Rect::default(), |all, rect| all.union(*rect));
        let mut copies = Vec::new();
        let mut wide = WIDE_ANCHORS;
        if self.pause > 0 && changed.iter().any(|rect| is_worth(*rect)) {
            (self.pause, wide) = (self.pause - 1, 0);
        }
        let wide_before = wide;
        let mut at = 0;
        while at < changed.len() && copies.len() < COPIES_MAX {
            let rect = changed[at];
            let Some(moved) = is_worth(rect).then(|| self.find(pictures, rect, around, &mut wide)).flatten()
            else {
                at += 1;
                continue;
            };
            copies.push(moved);
            changed.swap_remove(at);
            changed.extend(cut(rect, moved.to));
        }
        self.rest(wide < wide_before, copies.is_empty());
        copies
    }

    /// Remembers whether it was worth looking everywhere.
    fn rest(&mut self, looked: bool, in_vain: bool) {
        if !in_vain {
            (self.pause, self.next_pause) = (0, 1);
        } else if looked {
            self.pause = self.next_pause.max(1);
            self.next_pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    /// The largest part of `rect` that any of the likely shifts explains.
    fn find(&mut self, pictures: Pictures<'_>, rect: Rect, around: Rect, wide: &mut usize) -> Option<Moved> {
        let anchors = pictures.anchors(rect);
        let known: Vec<Shift> = self.likely.drain(..).collect();
        let found = pictures
            .best(rect, &anchors, &known)
            .or_else(|| pictures.best(rect, &anchors, &pictures.straight(rect, &anchors)))
            .or_else(|| {
                anchors.iter().skip(WIDE_SKIP).step_by(2).find_map(|anchor| {
                    *wide = wide.checked_sub(1)?;
                    pictures.best(rect, &[*anchor], &pictures.everywhere(*anchor, around))
                })
            });
        let shift = found.map(|(shift, _)| shift);
        self.likely =
            shift.into_iter().chain(known.into_iter().filter(|known| Some(*known) != shift)).collect();
        self.likely.truncate(COPIES_MAX);
        let (shift, to) = found?;
        let source = shift.source(to, pictures.old.size())?;
        Some(Moved { to, x: source.x, y: source.y })
    }
}

fn is_worth(rect: Rect) -> bool {
    rect.area() >= AREA_MIN && rect.width >= *ANCHOR_PIXELS.start()
}

impl Pictures<'_> {
    /// Distinctive pieces of `rect` that changed, in rows that are spread over it.
    fn anchors(self, rect: Rect) -> Vec<Anchor> {
        let width = rect.width.min(*ANCHOR_PIXELS.end());
        let step = rect.height.div_ceil(ANCHORS).max(1);
        let strips = (rect.y..rect.bottom()).step_by(step as usize);
        strips
            .enumerate()
            .filter_map(|(i, y)| {
                // Where text begins and ends in the middle of nowhere, rows below may do.
                (y..rect.bottom().min(y + step)).step_by(3).find_map(|y| {
                    let mut places: Vec<u32> = (0..rect.width / width).collect();
                    // Not far from the middle, where the edge of a window is less likely to run through it.
                    let middle = places.len() as u32 * (3 + i as u32 % 3) / 8;
                    places.sort_by_key(|place| place.abs_diff(middle));
                    let mut anchors =
                        places.iter().map(|place| Rect::new(rect.x + place * width, y, width, 1));
                    anchors.find(|anchor| self.is_distinctive(*anchor))
                })
            })
            .collect()
    }

    fn is_distinctive(self, anchor: Anchor) -> bool {
        let piece = self.new.row(anchor);
        let (pixels, _) = piece.as_chunks::<RGB_BYTES>();
        piece != self.old.row(anchor)
            && pixels.windows(2).filter(|pair| pair[0] != pair[1]).count() >= EDGES_MIN
    }

    /// Shifts straight up, down, left or right by which anchors are found, the most frequent first.
    fn straight(self, rect: Rect, anchors: &[Anchor]) -> Vec<Shift> {
        let top = rect.y.saturating_sub(REACH_ROWS);
        let bottom = rect.bottom().saturating_add(REACH_ROWS).min(self.old.size().height);
        let mut votes: Vec<(Shift, usize)> = Vec::new();
        for anchor in anchors {
            let piece = self.new.row(*anchor);
            let column = Rect { y: top, height: bottom - top, ..*anchor };
            let above_below = (top..).zip(self.old.rows(column)).filter(|(_, row)| *row == piece);
            let mut places: Vec<Shift> = above_below
                .map(|(y, _)| Shift { x: 0, y: y as i32 - anchor.y as i32 })
                .take(PLACES_MAX + 1)
                .collect();
            let row = Rect { y: anchor.y, height: 1, ..rect };
            places.extend(self.places(*anchor, row, PLACES_MAX + 1));
            if places.len() <= PLACES_MAX {
                for shift in places {
                    match votes.iter_mut().find(|(known, _)| *known == shift) {
                        Some((_, count)) => *count += 1,
                        None => votes.push((shift, 1)),
                    }
                }
            }
        }
        votes.sort_by_key(|(shift, count)| {
            (usize::MAX - count, shift.y.unsigned_abs(), shift.x.unsigned_abs())
        });
        votes.into_iter().map(|(shift, _)| shift).take(PLACES_MAX).collect()
    }

    /// Shifts by which an anchor is found within `around`.
    fn everywhere(self, anchor: Anchor, around: Rect) -> Vec<Shift> {
        if around.area() as usize * RGB_BYTES > WIDE_BYTES_MAX {
            return Vec::new();
        }
        let places = self.places(anchor, around, PLACES_MAX + 1);
        if places.len() > PLACES_MAX { Vec::new() } else { places }
    }

    /// Shifts to at most `max` places in `area` of the old picture where an anchor's pixels stand.
    fn places(self, anchor: Anchor, area: Rect, max: usize) -> Vec<Shift> {
        let piece = self.new.row(anchor);
        let rarest = self.rarest(piece, area);
        let mut places = Vec::new();
        for (y, row) in (area.y..).zip(self.old.rows(area)) {
            for at in memchr_iter(piece[rarest], row) {
                let Some(start) = at.checked_sub(rarest).filter(|start| start % RGB_BYTES == 0) else {
                    continue;
                };
                if row.get(start..start + piece.len()) == Some(piece) {
                    let x = area.x as i32 + (start / RGB_BYTES) as i32;
                    places.push(Shift { x: x - anchor.x as i32, y: y as i32 - anchor.y as i32 });
                    if places.len() == max {
                        return places;
                    }
                }
            }
        }
        places
    }

    /// Index of the byte of `piece` that some rows of `area` hold least often.
    fn rarest(self, piece: &[u8], area: Rect) -> usize {
        let mut counts = [0_u32; 256];
        let step = area.height.div_ceil(8).max(1) as usize;
        for row in self.old.rows(area).step_by(step) {
            row.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        }
        (0..piece.len()).min_by_key(|i| counts[usize::from(piece[*i])]).unwrap_or(0)
    }

    /// The largest rectangle within `rect` that grows from any anchor by any shift.
    fn best(self, rect: Rect, anchors: &[Anchor], shifts: &[Shift]) -> Option<(Shift, Rect)> {
        let mut best: Option<(Shift, Rect)> = None;
        for &shift in shifts {
            for anchor in anchors {
                // Anchors within what has grown already would grow the same.
                if best.is_some_and(|(known, grown)| known == shift && grown.contains(*anchor)) {
                    continue;
                }
                let grown = self.grow(rect, *anchor, shift).unwrap_or_default();
                if grown.area() >= AREA_MIN.max(best.map_or(0, |(_, best)| best.area() + 1)) {
                    best = Some((shift, grown));
                }
            }
            if best.is_some_and(|(_, best)| best.area() >= rect.area() / 2) {
                break;
            }
        }
        best
    }

    /// A large rectangle within `rect` around `anchor` whose pixels stood elsewhere by `shift`. Rows are added
    /// above or below, whichever keeps it wider.
    fn grow(self, rect: Rect, anchor: Anchor, shift: Shift) -> Option<Rect> {
        let first = self.agreeing(Rect { y: anchor.y, height: 1, ..rect }, anchor, shift)?;
        let (mut grown, mut best) = (first, first);
        let row = |y: u32, grown: Rect| {
            let inside = y >= rect.y && y < rect.bottom();
            inside.then(|| self.agreeing(Rect { y, height: 1, ..grown }, anchor, shift)).flatten()
        };
        let (mut above, mut below) = (row(grown.y.wrapping_sub(1), grown), row(grown.bottom(), grown));
        while let Some(next) = [above, below].into_iter().flatten().max_by_key(|row| row.width) {
            grown = Rect { x: next.x, width: next.width, ..grown.union(next) };
            if grown.area() > best.area() {
                best = grown;
            }
            if next.y == grown.y {
                above = row(next.y.wrapping_sub(1), grown);
                below = below.and_then(|below| narrow(below, grown));
            } else {
                below = row(grown.bottom(), grown);
                above = above.and_then(|above| narrow(above, grown));
            }
        }
        Some(best)
    }

    /// The part of a row around the anchor's columns that agrees with the old picture; none if those do not.
    fn agreeing(self, row: Rect, anchor: Anchor, shift: Shift) -> Option<Rect> {
        let row = self.with_source(row, shift)?;
        if anchor.x < row.x || anchor.right() > row.right() {
            return None;
        }
        let (new, old) = (self.new.row(row), self.old.row(shift.source(row, self.old.size())?));
        let start = (anchor.x - row.x) as usize * RGB_BYTES;
        let end = start + anchor.width as usize * RGB_BYTES;
        if new[start..end] != old[start..end] {
            return None;
        }
        let left = common_suffix(&new[..start], &old[..start]) / RGB_BYTES;
        let right = common_prefix(&new[end..], &old[end..]) / RGB_BYTES;
        let x = anchor.x - left as u32;
        Some(Rect { x, width: anchor.right() + right as u32 - x, ..row })
    }

    /// The columns of a row that have a source in the picture.
    fn with_source(self, row: Rect, shift: Shift) -> Option<Rect> {
        let width = self.old.size().width as i32;
        let left = (row.x as i32).max(-shift.x);
        let right = (row.right() as i32).min(width - shift.x);
        let (x, width) = (u32::try_from(left).ok()?, u32::try_from(right - left).ok()?);
        let row = Rect { x, width, ..row };
        shift.source(row, self.old.size()).map(|_| row)
    }
}

/// A row cut to the columns of `grown`.
fn narrow(row: Rect, grown: Rect) -> Option<Rect> {
    row.intersection(Rect { y: row.y, height: 1, ..grown })
}

/// Bytes compared at once.
const STEP: usize = 64;

/// How many bytes two slices of equal length share at their start.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_steps, b_steps) = (a.as_chunks::<STEP>().0, b.as_chunks::<STEP>().0);
    let same = STEP * a_steps.iter().zip(b_steps).take_while(|(a, b)| a == b).count();
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes two slices of equal length share at their end.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let (a_steps, b_steps) = (a.as_rchunks::<STEP>().1, b.as_rchunks::<STEP>().1);
    let same = STEP * a_steps.iter().rev().zip(b_steps.iter().rev()).take_while(|(a, b)| a == b).count();
    let end = a.len() - same;
    same + a[..end].iter().rev().zip(b[..end].iter().rev()).take_while(|(a, b)| a == b).count()
}
