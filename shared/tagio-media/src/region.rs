//! A set of pixels as a bounded list of rectangles: damage.

use tagio_wire::{Rect, Size};

/// Most rectangles that a region keeps: a busy screen rarely has more, and each costs an encoder a band.
/// Beyond it rectangles are joined: damage may grow, never shrink.
const RECTS_MAX: usize = 64;

/// Damaged pixels, perhaps with some around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// INVARIANT: at most [`RECTS_MAX`], none of them empty, and no two overlap.
    rects: Vec<Rect>,
}

impl Region {
    /// No pixel.
    pub const fn new() -> Self {
        Self { rects: Vec::new() }
    }

    /// Every pixel of a screen of `size`.
    pub fn whole(size: Size) -> Self {
        let mut region = Self::new();
        region.add(size.rect());
        region
    }

    /// Whether it holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Its rectangles; they do not overlap, and their order means nothing.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Number of pixels.
    pub fn area(&self) -> u64 {
        self.rects.iter().copied().map(Rect::area).sum()
    }

    /// The smallest rectangle around it.
    pub fn bounds(&self) -> Rect {
        self.rects.iter().fold(Rect::default(), |all, rect| all.union(*rect))
    }

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|have| have.contains(rect)) {
            return;
        }
        let rect = self.join_neighbours(rect);
        let pieces = self.outside(rect);
        if self.rects.len() + pieces.len() <= RECTS_MAX {
            self.rects.extend(pieces);
        } else {
            self.join_closest(rect);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.rects.iter().for_each(|rect| self.add(*rect));
    }

    /// Takes the pixels of a rectangle out. When that leaves more rectangles than a region holds, some of them
    /// stay in.
    pub fn subtract(&mut self, rect: Rect) {
        if self.rects.iter().any(|have| have.intersection(rect).is_some()) {
            let pieces: Vec<Rect> = self.rects.drain(..).flat_map(|have| cut(have, rect)).collect();
            if pieces.len() <= RECTS_MAX {
                self.rects = pieces;
            } else {
                pieces.into_iter().for_each(|piece| self.add(piece));
            }
        }
    }

    /// The part of it that lies in a rectangle.
    pub fn within(&self, rect: Rect) -> Self {
        Self { rects: self.rects.iter().filter_map(|have| have.intersection(rect)).collect() }
    }

    /// Cuts it to a screen of `size`.
    pub fn clip(&mut self, size: Size) {
        let screen = size.rect();
        self.rects = self.rects.iter().filter_map(|rect| rect.intersection(screen)).collect();
    }

    /// Takes out the rectangles whose union with `rect` wastes little, and returns that union.
    fn join_neighbours(&mut self, mut rect: Rect) -> Rect {
        while let Some(i) = self.rects.iter().position(|have| is_good_union(*have, rect)) {
            rect = self.rects.swap_remove(i).union(rect);
        }
        rect
    }

    /// The parts of `rect` that are not in the region yet.
    fn outside(&self, rect: Rect) -> Vec<Rect> {
        let mut pieces = vec![rect];
        for have in self.rects.iter().filter(|have| have.intersection(rect).is_some()) {
            pieces = pieces.into_iter().flat_map(|piece| cut(piece, *have)).collect();
        }
        pieces
    }

    /// Adds `rect` to the rectangle whose union with it wastes least, and to all that this union overlaps.
    /// The two closest of all would waste less, but finding them makes each of thousands of small additions
    /// thirty times as dear.
    fn join_closest(&mut self, rect: Rect) {
        let closest = (0..self.rects.len()).min_by_key(|i| wasted(self.rects[*i], rect));
        let mut union = closest.map_or(rect, |i| self.rects.swap_remove(i).union(rect));
        while let Some(i) = self.rects.iter().position(|have| have.intersection(union).is_some()) {
            union = self.rects.swap_remove(i).union(union);
        }
        self.rects.push(union);
    }
}

/// Whether at most a quarter of the union of two rectangles is in neither of them.
fn is_good_union(a: Rect, b: Rect) -> bool {
    wasted(a, b) <= a.union(b).area() / 4
}

/// Pixels that the union of two rectangles holds and neither of them does.
fn wasted(a: Rect, b: Rect) -> u64 {
    let shared = a.intersection(b).map_or(0, Rect::area);
    // Saturating: the sides of a rectangle may reach beyond what its corners can say.
    a.union(b).area().saturating_sub(a.area() - shared).saturating_sub(b.area())
}

/// `rects` without what lies in `holes`.
pub(crate) fn without(rects: &[Rect], holes: &[Rect]) -> Vec<Rect> {
    holes
        .iter()
        .fold(rects.to_vec(), |rects, hole| rects.into_iter().flat_map(|rect| cut(rect, *hole)).collect())
}

/// `rect` without `hole`, in at most four pieces.
pub(crate) fn cut(rect: Rect, hole: Rect) -> Vec<Rect> {
    let Some(hole) = rect.intersection(hole) else { return vec![rect] };
    let above = Rect::new(rect.x, rect.y, rect.width, hole.y - rect.y);
    let below = Rect::new(rect.x, hole.bottom(), rect.width, rect.bottom() - hole.bottom());
    let left = Rect::new(rect.x, hole.y, hole.x - rect.x, hole.height);
    let right = Rect::new(hole.right(), hole.y, rect.right() - hole.right(), hole.height);
    [above, left, right, below].into_iter().filter(|piece| !piece.is_empty()).collect()
}
