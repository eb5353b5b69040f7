//! Photographs on a link that is too thin for them: shown as JPEG first, made exact when nothing else waits.

use std::collections::VecDeque;

use tagio_wire::{
    Rect,
    picture::{Band, Codec},
};

use crate::{
    Region, View,
    activity::{Block, has_synthetic, natural_parts},
    codec::{EncodeError, bands::Bands, jpeg},
    region::{cut, without},
};

/// Smallest photograph, in pixels. What is smaller is cheap enough as it is, and might be a letter.
const AREA_MIN: u64 = 128 * 64;

/// What a pixel of a photograph costs when it comes exactly, in bytes: grain leaves little to save.
const EXACT_BYTES: usize = 1;

/// Sides of a piece: a few kilobytes of JPEG, which do not hold up what follows, but more than its tables.
const PIECE_WIDTH: u32 = 256;
const PIECE_HEIGHT: u32 = 128;

/// Most JPEGs in one update: what the update has room for besides exact bands.
const JPEGS_MAX: usize = 64;

/// Most pieces that are remembered; whatever else looks natural comes exactly at once.
const PIECES_MAX: usize = 512;

/// Smallest side of what is made exact at a time: zstd has something to learn from.
const STRIP_MIN: u32 = 16;

/// A piece that the viewer sees as JPEG.
struct Shown {
    rect: Rect,
    /// Of the pixels that it was made from.
    fingerprint: u64,
}

/// The photographs of one viewer's picture that are not exact yet.
///
/// INVARIANT: no piece overlaps another.
#[derive(Default)]
pub(super) struct Stills {
    /// Not sent yet, in any form. First come, first served.
    waiting: VecDeque<Rect>,
    /// To be made exact, the oldest first.
    shown: VecDeque<Shown>,
    block: Block,
}

impl Stills {
    /// Whether every photograph is exact.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.shown.is_empty()
    }

    /// Where they are; they do not overlap.
    pub(super) fn rects(&self) -> impl Iterator<Item = Rect> {
        self.waiting.iter().copied().chain(self.shown.iter().map(|shown| shown.rect))
    }

    /// Forgets them all. Returns where they are: what is shown there is not exact.
    pub(super) fn release_all(&mut self) -> Vec<Rect> {
        let rects = self.rects().collect();
        (self.waiting, self.shown) = Default::default();
        rects
    }

    /// Forgets what lies in a rectangle: it plays now. To be called with the view that was noted last.
    pub(super) fn forget(&mut self, view: &View<'_>, rect: Rect) {
        self.waiting = self.waiting.drain(..).flat_map(|piece| cut(piece, rect)).collect();
        self.keep_outside(view, rect);
    }

    /// Looks at damage. Returns where it changed photographs, or put something else in their place: they are
    /// forgotten there.
    pub(super) fn note(&mut self, view: &View<'_>, damage: &Region) -> Vec<Rect> {
        let mut released = Vec::new();
        let is_hit = |rect: Rect| damage.rects().iter().any(|hit| hit.intersection(rect).is_some());
        // One that waits is sent as it looks then, so that it keeps its place.
        self.waiting.retain(|rect| {
            let stays = !is_hit(*rect) || !has_synthetic(view, *rect, &mut self.block);
            if !stays {
                released.push(*rect);
            }
            stays
        });
        let may_split = self.shown.len() < PIECES_MAX;
        for shown in &self.shown {
            if is_hit(shown.rect) && fingerprint(view, shown.rect, &mut self.block) != shown.fingerprint {
                released.push(if may_split { damage.within(shown.rect).bounds() } else { shown.rect });
            }
        }
        released.iter().for_each(|rect| self.keep_outside(view, *rect));
        released
    }

    /// Takes the photographs out of what is to be sent exactly, if that would be more than `bytes_max`.
    pub(super) fn take(&mut self, view: &View<'_>, rects: &mut Vec<Rect>, bytes_max: usize) -> Vec<Rect> {
        let waiting: u64 = self.waiting.iter().map(|rect| rect.area()).sum();
        let is_dear = |area: u64| (waiting + area) as usize * EXACT_BYTES > bytes_max;
        let large = || rects.iter().filter(|rect| rect.area() >= AREA_MIN);
        if !is_dear(large().map(|rect| rect.area()).sum()) {
            return Vec::new();
        }
        let parts = large().flat_map(|rect| natural_parts(view, *rect));
        let parts: Vec<Rect> = parts.filter(|part| part.area() >= AREA_MIN).collect();
        if !is_dear(parts.iter().map(|part| part.area()).sum()) {
            return Vec::new();
        }
        let room = PIECES_MAX.saturating_sub(self.waiting.len() + self.shown.len());
        let taken: Vec<Rect> = parts.into_iter().flat_map(pieces).take(room).collect();
        *rects = without(rects, &taken);
        self.waiting.extend(&taken);
        taken
    }

    /// What waits, if the link carries that exactly after all; it is forgotten.
    pub(super) fn release_waiting(&mut self, bytes_max: usize) -> Vec<Rect> {
        let area: u64 = self.waiting.iter().map(|rect| rect.area()).sum();
        if area as usize * EXACT_BYTES <= bytes_max { self.waiting.drain(..).collect() } else { Vec::new() }
    }

    /// The next pieces as JPEG: at least one, and then up to `bytes_max` bytes.
    pub(super) fn encode(
        &mut self,
        view: &View<'_>,
        quality: u8,
        bytes_max: usize,
    ) -> Result<Bands, EncodeError> {
        let mut update = Bands::default();
        while let Some(&rect) = self.waiting.front() {
            if update.bands.len() == JPEGS_MAX
                || (update.payload.len() >= bytes_max && !update.bands.is_empty())
            {
                break;
            }
            let file = jpeg::encode(view, rect, quality)?;
            update.payload.extend_from_slice(&file);
            update.bands.push(Band { rect, codec: Codec::Jpeg, len: file.len() as u32 });
            self.waiting.pop_front();
            self.shown.push_back(Shown { rect, fingerprint: fingerprint(view, rect, &mut self.block) });
        }
        Ok(update)
    }

    /// What is to be made exact next, about `bytes` of it: nothing before every photograph is shown.
    pub(super) fn next_exact(&self, bytes: usize) -> Vec<Rect> {
        let mut rects = Vec::new();
        let mut left = if self.waiting.is_empty() { (bytes / EXACT_BYTES) as u64 } else { 0 };
        for shown in &self.shown {
            if left == 0 {
                break;
            }
            let rect = first_part(shown.rect, left);
            left = left.saturating_sub(rect.area());
            rects.push(rect);
        }
        rects
    }

    /// Exact bands were sent.
    pub(super) fn note_exact(&mut self, view: &View<'_>, bands: &[Band]) {
        for band in bands.iter().filter(|band| band.codec != Codec::Jpeg) {
            self.keep_outside(view, band.rect);
        }
    }

    /// Forgets what of the shown pieces lies in a rectangle.
    fn keep_outside(&mut self, view: &View<'_>, rect: Rect) {
        if self.shown.iter().all(|shown| shown.rect.intersection(rect).is_none()) {
            return;
        }
        for shown in std::mem::take(&mut self.shown) {
            if shown.rect.intersection(rect).is_none() {
                self.shown.push_back(shown);
                continue;
            }
            for rect in cut(shown.rect, rect) {
                self.shown.push_back(Shown { rect, fingerprint: fingerprint(view, rect, &mut self.block) });
            }
        }
    }
}

/// A photograph in pieces, row by row.
fn pieces(rect: Rect) -> impl Iterator<Item = Rect> {
    (rect.y..rect.bottom()).step_by(PIECE_HEIGHT as usize).flat_map(move |y| {
        let height = PIECE_HEIGHT.min(rect.bottom() - y);
        (rect.x..rect.right())
            .step_by(PIECE_WIDTH as usize)
            .map(move |x| Rect::new(x, y, PIECE_WIDTH.min(rect.right() - x), height))
    })
}

/// The upper left part of a rectangle: full rows, or of one low strip what has about so many pixels.
fn first_part(rect: Rect, area: u64) -> Rect {
    let rows = (area / u64::from(rect.width)).min(u64::from(rect.height)) as u32;
    if rows >= STRIP_MIN.min(rect.height) {
        return Rect { height: rows, ..rect };
    }
    let height = STRIP_MIN.min(rect.height);
    let columns = (area / u64::from(height)) as u32;
    Rect { width: columns.clamp(STRIP_MIN.min(rect.width), rect.width), height, ..rect }
}

fn fingerprint(view: &View<'_>, rect: Rect, block: &mut Block) -> u64 {
    block.load(view, rect, 1);
    block.fingerprint()
}
