//! Rectangles that may be films: those that are drawn again and again, and groups of tiles that keep changing.

use std::time::Instant;

use tagio_wire::Rect;

use super::{
    Policy,
    natural::Kind,
    streak::Streak,
    tile::{Grid, TILE},
};
use crate::Region;

/// Rectangles that are remembered: more than a screen redraws at once.
const RECURRING_MAX: usize = 16;

/// A rectangle that looks like a film.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) rect: Rect,
    /// Whether these are the bounds in which a program draws; else only what has been seen to change.
    pub(super) is_exact: bool,
}

/// Rectangles of damage that come again.
#[derive(Default)]
pub(super) struct Recurring {
    rects: Vec<(Rect, Streak)>,
}

impl Recurring {
    /// Takes note of damage. The rectangle that was not drawn for longest makes room for a new one.
    pub(super) fn note(&mut self, damage: &Region, policy: Policy, now: Instant) {
        for rect in damage.rects().iter().filter(|rect| policy.is_large(**rect)) {
            let at =
                self.rects.iter().position(|(known, _)| known == rect).unwrap_or_else(|| self.add(*rect));
            self.rects[at].1.beat(now, policy.pace());
        }
    }

    fn add(&mut self, rect: Rect) -> usize {
        if self.rects.len() >= RECURRING_MAX
            && let Some(oldest) = (0..self.rects.len()).min_by_key(|at| self.rects[*at].1.last())
        {
            self.rects.swap_remove(oldest);
        }
        self.rects.push((rect, Streak::NONE));
        self.rects.len() - 1
    }
}

/// All that looks like a film, the surest first, none overlapping another.
pub(super) fn find(grid: &Grid, recurring: &Recurring, policy: Policy, now: Instant) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let lively = recurring.rects.iter().filter(|(_, streak)| streak.is_lively(None, now, policy.pace()));
    let mut exact: Vec<Rect> = lively.map(|(rect, _)| *rect).collect();
    // Where a part is drawn as often as the whole, the whole is meant.
    exact.sort_by_key(|rect| std::cmp::Reverse(rect.area()));
    let groups = grid.groups(|tile| tile.is_film(now, policy.pace()));
    let exact = exact.into_iter().filter(|rect| is_film(grid, *rect, policy, now)).map(|rect| (rect, true));
    let grouped =
        groups.into_iter().filter(|(rect, tiles)| policy.is_large(*rect) && is_filled(*rect, *tiles));
    for (rect, is_exact) in exact.chain(grouped.map(|(rect, _)| (rect, false))) {
        if found.iter().all(|other| other.rect.intersection(rect).is_none()) {
            found.push(Candidate { rect, is_exact });
        }
    }
    found
}

/// Whether what is drawn again and again is a film: enough of it changes, that looks natural, and no text stands
/// still beside it.
fn is_film(grid: &Grid, rect: Rect, policy: Policy, now: Instant) -> bool {
    let (mut all, mut lively, mut natural) = (0, 0, 0);
    for (place, tile) in grid.touched(rect) {
        all += 1;
        if tile.is_lively(now, policy.pace()) {
            lively += 1;
            natural += usize::from(tile.is_film(now, policy.pace()));
        } else if tile.kind() == Some(Kind::Synthetic) && rect.contains(place) {
            return false;
        }
    }
    lively * 3 >= all && natural * 10 >= lively * 6
}

/// Whether a group of tiles fills its bounds, so that these are a rectangle and not a frame around something.
fn is_filled(rect: Rect, tiles: usize) -> bool {
    let columns = rect.right().div_ceil(TILE) - rect.x / TILE;
    let rows = rect.bottom().div_ceil(TILE) - rect.y / TILE;
    tiles * 10 >= (columns * rows) as usize * 7
}
