//! A rectangle that plays, until it stops or turns into something else.

use std::time::{Duration, Instant};

use tagio_wire::Rect;

use super::{
    Playing,
    block::Block,
    natural::{Kind, kind_of, tiles},
    streak::Pace,
};
use crate::{Region, View};

/// Rows that are compared: every fourth. A film that changes changes everywhere.
const STEP: u32 = 4;
/// It stops after two missing frames, but not earlier than this: it has to be repaired within 150 ms.
const STOP_MIN: Duration = Duration::from_millis(100);
/// How often its look is taken.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long something synthetic may be shown in its place.
const SYNTHETIC_MAX: Duration = Duration::from_secs(1);
/// Least part of a film that changes with a frame: a pointer or a line of text over one that stands is less.
const CHANGED_PART: usize = 16;

/// A film and what is known of its picture.
pub(super) struct Film {
    playing: Playing,
    tiles: Vec<Tile>,
    pace: Pace,
    /// Last frame, and the usual time between two.
    last: Instant,
    gap: Duration,
    looked: Instant,
    synthetic_since: Option<Instant>,
}

struct Tile {
    place: Rect,
    /// 0 while unknown.
    fingerprint: u64,
    changed: Instant,
}

impl Film {
    /// It plays.
    pub(super) fn new(playing: Playing, pace: Pace, now: Instant) -> Self {
        let tile = |place| Tile { place, fingerprint: 0, changed: now };
        let tiles = tiles(playing.rect).map(tile).collect();
        let gap = Duration::ZERO;
        Self { playing, tiles, pace, last: now, gap, looked: now, synthetic_since: None }
    }

    /// Where it plays.
    pub(super) fn playing(&self) -> Playing {
        self.playing
    }

    /// When it has stopped unless another frame comes.
    pub(super) fn deadline(&self) -> Instant {
        let patience = if self.gap.is_zero() { self.pace.gap_max() } else { self.gap * 2 };
        self.last + patience.clamp(STOP_MIN, STOP_MIN.max(self.pace.gap_max()))
    }

    /// Whether it has stopped or is none any more.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        now >= self.deadline()
            || self.synthetic_since.is_some_and(|since| now.saturating_duration_since(since) >= SYNTHETIC_MAX)
    }

    /// Whether anything changed within the last `time` that lies outside a rectangle.
    pub(super) fn has_changed_outside(&self, rect: Rect, now: Instant, time: Duration) -> bool {
        let is_outside = |tile: &&Tile| tile.place.intersection(rect).is_none();
        self.tiles.iter().filter(is_outside).any(|tile| now.saturating_duration_since(tile.changed) < time)
    }

    /// Looks at the damage.
    pub(super) fn note(&mut self, view: &View<'_>, damage: &Region, now: Instant, block: &mut Block) {
        let damage = damage.within(self.playing.rect);
        let mut changed = 0;
        for tile in &mut self.tiles {
            if damage.rects().iter().any(|rect| rect.intersection(tile.place).is_some()) {
                changed += usize::from(tile.update(view, now, block));
            }
        }
        if changed * CHANGED_PART >= self.tiles.len() && changed > 0 {
            self.count_frame(now);
        }
        if now.saturating_duration_since(self.looked) >= LOOK_INTERVAL {
            self.look(view, now, block);
        }
    }

    fn count_frame(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        self.gap = if self.gap.is_zero() { gap } else { (self.gap * 3 + gap) / 4 };
        self.last = now;
    }

    /// What changes decides; a flat tile says nothing.
    fn look(&mut self, view: &View<'_>, now: Instant, block: &mut Block) {
        let (mut natural, mut synthetic) = (0, 0);
        let since = self.looked;
        for tile in self.tiles.iter().filter(|tile| tile.changed >= since) {
            match kind_of(view, tile.place, block) {
                Kind::Natural => natural += 1,
                Kind::Synthetic => synthetic += 1,
                Kind::Flat => {}
            }
        }
        self.looked = now;
        if natural >= synthetic {
            self.synthetic_since = None;
        } else if self.synthetic_since.is_none() {
            self.synthetic_since = Some(since);
        }
    }
}

impl Tile {
    /// Takes the fingerprint; whether it changed. The first one counts as a change.
    fn update(&mut self, view: &View<'_>, now: Instant, block: &mut Block) -> bool {
        block.load(view, self.place, STEP);
        let fingerprint = block.fingerprint() | 1;
        let changed = fingerprint != self.fingerprint;
        if changed {
            self.fingerprint = fingerprint;
            self.changed = now;
        }
        changed
    }
}
