//! The picture in tiles: what of the damage really changed, where in the tile, and how often.

use std::time::{Duration, Instant};

use tagio_wire::{Rect, Size};

use super::{
    block::{Block, row_fingerprint},
    natural::{Kind, kind_of},
    streak::{Pace, Streak},
};
use crate::{Region, View};

/// Side of a tile.
pub(super) const TILE: u32 = 64;

/// A changing tile's look is taken at most this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Rows that are compared of a tile that keeps changing and is no film: every fourth. Pages scroll more often than
/// films begin in their place.
const COARSE_STEP: u32 = 4;

/// One tile.
#[derive(Clone)]
pub(super) struct Tile {
    /// Of each row and each column of pixels: they say where a tile changed. Empty while unknown.
    rows: Vec<u32>,
    columns: Vec<u32>,
    streak: Streak,
    /// What changed since the streak began, the change with which it began left out: that may have been anything.
    changed: Rect,
    kind: Option<Kind>,
    /// It changed since it was looked at.
    is_stale: bool,
    looked: Option<Instant>,
    natural_since: Option<Instant>,
}

impl Tile {
    const fn new() -> Self {
        Self {
            rows: Vec::new(),
            columns: Vec::new(),
            streak: Streak::NONE,
            changed: Rect::new(0, 0, 0, 0),
            kind: None,
            is_stale: true,
            looked: None,
            natural_since: None,
        }
    }

    /// What it looks like, if that is known.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind.filter(|_| !self.is_stale)
    }

    /// Whether it keeps changing.
    pub(super) fn is_lively(&self, now: Instant, pace: Pace) -> bool {
        self.streak.is_lively(None, now, pace)
    }

    /// Whether it keeps changing and looked natural all the while.
    pub(super) fn is_film(&self, now: Instant, pace: Pace) -> bool {
        self.natural_since.is_some() && self.streak.is_lively(self.natural_since, now, pace)
    }

    fn note(&mut self, view: &View<'_>, place: Rect, now: Instant, pace: Pace, block: &mut Block) {
        let is_coarse = self.kind == Some(Kind::Synthetic) && self.streak.changes() > 3;
        block.load(view, place, if is_coarse { COARSE_STEP } else { 1 });
        if let Some(changed) = self.update(block, place) {
            self.streak.beat(now, pace);
            self.changed =
                if self.streak.changes() > 1 { self.changed.union(changed) } else { Rect::default() };
            self.is_stale = true;
        }
        let is_due = match self.streak.changes() {
            // It may change again, and then it is known where.
            1 => self.streak.last() != Some(now),
            2 => true,
            _ => self.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL),
        };
        if self.is_stale && is_due {
            let part = if self.changed.is_empty() { place } else { self.changed };
            let kind = kind_of(view, part, block);
            let is_first = self.streak.changes() <= 2;
            self.look(kind, if is_first { self.streak.start().unwrap_or(now) } else { now });
            self.looked = Some(now);
        }
    }

    fn look(&mut self, kind: Kind, since: Instant) {
        if kind == Kind::Natural && self.kind == Some(Kind::Synthetic) {
            // What changed before was something else.
            self.changed = Rect::default();
        }
        self.kind = Some(kind);
        self.is_stale = false;
        self.natural_since = match kind {
            Kind::Natural => self.natural_since.or(Some(since)),
            Kind::Flat | Kind::Synthetic => None,
        };
    }

    /// Inside a film nobody asks what changed.
    fn note_in_film(&mut self, damaged: Rect, now: Instant, pace: Pace) {
        self.streak.beat(now, pace);
        self.changed = self.changed.union(damaged);
        self.look(Kind::Natural, now);
    }

    /// Takes the fingerprints and returns the bounds of what changed: none, where nothing was known,
    /// and all, where not every row is compared.
    fn update(&mut self, block: &Block, place: Rect) -> Option<Rect> {
        let mut columns = vec![0_u32; place.width as usize];
        let mut rows = Vec::with_capacity(place.height as usize);
        for row in block.rows() {
            rows.push(row_fingerprint(row));
            for (column, pixel) in columns.iter_mut().zip(row) {
                *column = column.rotate_left(5).wrapping_add(*pixel);
            }
        }
        let is_known = self.rows.len() == rows.len();
        std::mem::swap(&mut self.columns, &mut columns);
        std::mem::swap(&mut self.rows, &mut rows);
        if !is_known {
            return Some(Rect::default());
        }
        let ((left, right), (top, bottom)) =
            differing(&self.columns, &columns).zip(differing(&self.rows, &rows))?;
        let is_exact = rows.len() == place.height as usize;
        Some(if is_exact {
            Rect::new(place.x + left, place.y + top, right - left, bottom - top)
        } else {
            place
        })
    }
}

/// From the first to behind the last place in which two lists of the same length differ.
fn differing(old: &[u32], new: &[u32]) -> Option<(u32, u32)> {
    let differs = |i: &usize| old[*i] != new[*i];
    let first = (0..old.len()).find(differs)?;
    let last = (0..old.len()).rfind(differs)?;
    Some((first as u32, last as u32 + 1))
}

/// All tiles of a picture.
pub(super) struct Grid {
    size: Size,
    columns: u32,
    tiles: Vec<Tile>,
}

impl Grid {
    /// Nothing is known of any tile.
    pub(super) fn new(size: Size) -> Self {
        let columns = size.width.div_ceil(TILE);
        let tiles = columns as usize * size.height.div_ceil(TILE) as usize;
        Self { size, columns, tiles: vec![Tile::new(); tiles] }
    }

    /// Size of the picture.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Looks at the tiles that are damaged. Those within a film are not compared.
    pub(super) fn note(
        &mut self,
        view: &View<'_>,
        damage: &Region,
        films: &[Rect],
        now: Instant,
        pace: Pace,
        block: &mut Block,
    ) {
        let mut noted = vec![false; self.tiles.len()];
        for rect in damage.rects() {
            for at in self.within(*rect) {
                let place = self.place(at);
                let damaged = place.intersection(*rect).unwrap_or_default();
                let tile = &mut self.tiles[at];
                if films.iter().any(|film| film.contains(damaged)) {
                    tile.note_in_film(damaged, now, pace);
                } else if !std::mem::replace(&mut noted[at], true) {
                    tile.note(view, place, now, pace, block);
                }
            }
        }
    }

    /// A film ended: what is known of its tiles is old.
    pub(super) fn forget(&mut self, rect: Rect) {
        for at in self.within(rect) {
            self.tiles[at] = Tile::new();
        }
    }

    /// The tiles that a rectangle touches, and their places.
    pub(super) fn touched(&self, rect: Rect) -> impl Iterator<Item = (Rect, &Tile)> {
        self.within(rect).map(|at| (self.place(at), &self.tiles[at]))
    }

    /// Groups of neighbouring tiles that `belongs` picks: the bounds of what changes in each, and its tiles.
    pub(super) fn groups(&self, belongs: impl Fn(&Tile) -> bool) -> Vec<(Rect, usize)> {
        let mut left: Vec<bool> = self.tiles.iter().map(belongs).collect();
        let mut groups = Vec::new();
        for first in 0..left.len() {
            if left[first] {
                groups.push(self.group(first, &mut left));
            }
        }
        groups
    }

    fn group(&self, first: usize, left: &mut [bool]) -> (Rect, usize) {
        let (mut bounds, mut count, mut open) = (Rect::default(), 0, vec![first]);
        left[first] = false;
        while let Some(at) = open.pop() {
            bounds = bounds.union(self.tiles[at].changed);
            count += 1;
            let columns = self.columns as usize;
            let (x, y) = (at % columns, at / columns);
            let neighbours = [
                (x > 0).then(|| at - 1),
                (x + 1 < columns).then_some(at + 1),
                (y > 0).then(|| at - columns),
                Some(at + columns),
            ];
            for next in neighbours.into_iter().flatten() {
                if left.get(next) == Some(&true) {
                    left[next] = false;
                    open.push(next);
                }
            }
        }
        (bounds, count)
    }

    fn within(&self, rect: Rect) -> impl Iterator<Item = usize> + use<> {
        let columns = self.columns as usize;
        let rect = rect.intersection(self.size.rect()).unwrap_or_default();
        let (left, right) = (rect.x / TILE, rect.right().div_ceil(TILE));
        let rows = rect.y / TILE..rect.bottom().div_ceil(TILE);
        rows.flat_map(move |y| (left..right).map(move |x| y as usize * columns + x as usize))
    }

    fn place(&self, at: usize) -> Rect {
        let (x, y) = (at as u32 % self.columns * TILE, at as u32 / self.columns * TILE);
        Rect::new(x, y, TILE.min(self.size.width - x), TILE.min(self.size.height - y))
    }
}
