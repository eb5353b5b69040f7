//! Which parts of a viewer's picture play like a film, and which only show text that moves.
//!
//! Damage says where something was drawn; fingerprints of tiles say what of it really changed, and how often. A film
//! changes many times a second and looks natural: soft steps from pixel to pixel, where text and windows have flat
//! runs and hard edges. What is natural but does not change is a photograph, and what changes but is not natural
//! stays exact, however fast it scrolls.

mod block;
mod candidates;
mod film;
mod natural;
mod photographs;
mod streak;
mod tile;

use std::time::{Duration, Instant};

use tagio_wire::{Rect, Size, limits};

use crate::{Region, View};
pub(crate) use block::Block;
use candidates::{Candidate, Recurring};
use film::Film;
pub(crate) use photographs::has_synthetic;
pub use photographs::natural_parts;
use streak::Pace;
use tile::Grid;

const SLOTS: usize = limits::VIDEO_SLOTS as usize;

/// A film keeps its rectangle at least so long after the last change outside a smaller one.
const SHRINK_AFTER: Duration = Duration::from_millis(500);

/// What counts as a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Fewest changes a second.
    pub changes_per_second: u32,
    /// Fewest pixels.
    pub area_min: u64,
}

impl Policy {
    /// What most people want.
    pub const AUTO: Self = Self { changes_per_second: 8, area_min: 160 * 120 };
    /// Exact pixels before smooth motion: only what is plainly a film.
    pub const SHARP: Self = Self { changes_per_second: 15, area_min: 320 * 180 };
    /// Smooth motion before exact pixels.
    pub const SMOOTH: Self = Self { changes_per_second: 5, area_min: 160 * 120 };

    fn pace(self) -> Pace {
        Pace::new(self.changes_per_second)
    }

    /// Whether a rectangle is large enough, and not just a strip: the edge of a window that is dragged is one.
    fn is_large(self, rect: Rect) -> bool {
        rect.area() >= self.area_min && rect.width.min(rect.height) >= 96
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::AUTO
    }
}

/// A rectangle that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playing {
    /// Where, in pixels of the picture.
    pub rect: Rect,
    /// Another one for every start and every change of the rectangle: each begins with a keyframe.
    pub id: u32,
}

/// Watches one viewer's picture.
pub struct Activity {
    policy: Policy,
    grid: Grid,
    recurring: Recurring,
    films: [Option<Film>; SLOTS],
    block: Block,
    last_id: u32,
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

impl Activity {
    /// Knows nothing yet: see [`Self::start`].
    pub fn new() -> Self {
        Self {
            policy: Policy::AUTO,
            grid: Grid::new(Size::default()),
            recurring: Recurring::default(),
            films: [None, None],
            block: Block::default(),
            last_id: 0,
        }
    }

    /// A picture of another size or look begins; nothing plays.
    pub fn start(&mut self, size: Size) {
        self.grid = Grid::new(size);
        self.recurring = Recurring::default();
        self.films = [None, None];
    }

    /// What counts as a film from now on. Those that play go on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Looks at `damage` of the picture. A view of another size than before starts anew.
    pub fn note(&mut self, view: &View<'_>, damage: &Region, now: Instant) {
        if self.grid.size() != view.size() {
            self.start(view.size());
        }
        let damage = damage.within(view.size().rect());
        for film in self.films.iter_mut().flatten() {
            film.note(view, &damage, now, &mut self.block);
        }
        self.end_films(now);
        let playing = self.rects();
        self.grid.note(view, &damage, &playing, now, self.policy.pace(), &mut self.block);
        self.recurring.note(&damage, self.policy, now);
        let found = candidates::find(&self.grid, &self.recurring, self.policy, now);
        found.into_iter().for_each(|candidate| self.consider(candidate, now));
    }

    /// Rectangles that play now. A film keeps its slot while it plays.
    pub fn videos(&mut self, now: Instant) -> [Option<Playing>; SLOTS] {
        self.end_films(now);
        self.films.each_ref().map(|film| film.as_ref().map(Film::playing))
    }

    /// When a film may turn out to have stopped without any damage: call [`Self::videos`] then.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.films.iter().flatten().map(Film::deadline).min()
    }

    fn rects(&self) -> Vec<Rect> {
        self.films.iter().flatten().map(|film| film.playing().rect).collect()
    }

    fn end_films(&mut self, now: Instant) {
        for slot in &mut self.films {
            if let Some(film) = slot.take_if(|film| film.has_ended(now)) {
                self.grid.forget(film.playing().rect);
            }
        }
    }

    /// Starts a film, or moves the one that the candidate overlaps.
    fn consider(&mut self, candidate: Candidate, now: Instant) {
        let rect = candidate.rect;
        let overlapping = |film: &Film| film.playing().rect.intersection(rect).is_some();
        let mut same = (0..SLOTS).filter(|slot| self.films[*slot].as_ref().is_some_and(overlapping));
        let slot = match (same.next(), same.next()) {
            (Some(_), Some(_)) => return,
            (Some(slot), None) => match &self.films[slot] {
                Some(film) if !moves(film, candidate, now) => return,
                _ => slot,
            },
            (None, _) => match self.films.iter().position(Option::is_none) {
                Some(slot) => slot,
                None => return,
            },
        };
        self.last_id = self.last_id.wrapping_add(1);
        self.films[slot] = Some(Film::new(Playing { rect, id: self.last_id }, self.policy.pace(), now));
    }
}

/// Whether a film should take over the candidate's rectangle. A film whose edges stand still for a while must not
/// lose them, and one whose edges are only known by what changes must not grow by every pixel.
fn moves(film: &Film, candidate: Candidate, now: Instant) -> bool {
    let (old, new) = (film.playing().rect, candidate.rect);
    if old == new {
        return false;
    }
    if old.contains(new) {
        return candidate.is_exact && !film.has_changed_outside(new, now, SHRINK_AFTER);
    }
    if candidate.is_exact {
        return true;
    }
    new.union(old).area() * 5 > old.area() * 6
}
