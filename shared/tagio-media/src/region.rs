//! A set of pixels as a bounded list of rectangles: damage.

use tagio_wire::{Rect, Size};

/// Most rectangles that a region keeps. Beyond it the two whose union wastes least are merged: damage may
/// grow, never shrink.
const RECTS_MAX: usize = 64;

/// Damaged pixels. Its rectangles do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
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
        self.rects.iter().map(|rect| rect.area()).sum()
    }

    /// The smallest rectangle around it.
    pub fn bounds(&self) -> Rect {
        self.rects.iter().fold(Rect::default(), |all, rect| all.union(*rect))
    }

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|r| r.contains(rect)) {
            return;
        }
        let mut rect = rect;
        // A rectangle that touches others swallows them when that wastes little, else it is cut around them.
        loop {
            let joined = self.rects.iter().position(|r| wasted(*r, rect) * 4 <= r.union(rect).area());
            match joined {
                Some(i) => rect = self.rects.swap_remove(i).union(rect),
                None => break,
            }
        }
        for piece in self.outside(rect) {
            self.rects.push(piece);
        }
        while self.rects.len() > RECTS_MAX {
            self.merge_closest();
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.rects.iter().for_each(|rect| self.add(*rect));
    }

    /// Cuts it to a screen of `size`.
    pub fn clip(&mut self, size: Size) {
        let screen = size.rect();
        self.rects = self.rects.iter().filter_map(|rect| rect.intersection(screen)).collect();
    }

    /// The parts of `rect` that are not in the region yet.
    fn outside(&self, rect: Rect) -> Vec<Rect> {
        let mut pieces = vec![rect];
        for have in &self.rects {
            pieces = pieces.into_iter().flat_map(|piece| cut(piece, *have)).collect();
        }
        pieces
    }

    /// Replaces the pair whose union wastes least by that union.
    fn merge_closest(&mut self) {
        let pairs = (0..self.rects.len()).flat_map(|a| (a + 1..self.rects.len()).map(move |b| (a, b)));
        let closest = pairs.min_by_key(|&(a, b)| wasted(self.rects[a], self.rects[b]));
        let Some((a, b)) = closest else { return };
        let second = self.rects.swap_remove(b);
        let mut union = self.rects.swap_remove(a).union(second);
        while let Some(i) = self.rects.iter().position(|r| r.intersection(union).is_some()) {
            union = self.rects.swap_remove(i).union(union);
        }
        self.rects.push(union);
    }
}

/// Pixels that the union of two rectangles holds and neither of them does.
fn wasted(a: Rect, b: Rect) -> u64 {
    let shared = a.intersection(b).map_or(0, Rect::area);
    a.union(b).area() + shared - a.area() - b.area()
}

/// `rect` without `hole`, in at most four pieces.
fn cut(rect: Rect, hole: Rect) -> Vec<Rect> {
    let Some(hole) = rect.intersection(hole) else { return vec![rect] };
    let above = Rect::new(rect.x, rect.y, rect.width, hole.y - rect.y);
    let below = Rect::new(rect.x, hole.bottom(), rect.width, rect.bottom() - hole.bottom());
    let left = Rect::new(rect.x, hole.y, hole.x - rect.x, hole.height);
    let right = Rect::new(hole.right(), hole.y, rect.right() - hole.right(), hole.height);
    [above, left, right, below].into_iter().filter(|piece| !piece.is_empty()).collect()
}
