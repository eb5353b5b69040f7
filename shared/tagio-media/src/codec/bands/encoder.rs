//! The host's half: damage to bands, against what one viewer was sent.

use tagio_wire::{
    Point, Rect, Size, limits,
    picture::{Band, Codec},
};

use super::{
    Bands,
    changes::find_changes,
    motion::{COPIES_MAX, MotionSearch, Moved, Shift},
    plane::RgbPlane,
    predict, prefix_rect,
    queue::Queue,
    twin::find_twin,
    zstd,
};
use crate::{Region, View, codec::EncodeError, region::cut};

/// Most compressed bands in an update: what the protocol allows, less room for copies.
const BANDS_MAX: usize = limits::BANDS_MAX - COPIES_MAX;

/// What zstd makes smaller than by this ratio may be a photograph.
const GRAINY_RATIO: usize = 3;
/// Smallest payload that is worth a second try.
const PREDICTED_BYTES_MIN: usize = 2 * 1024;

/// Smallest payload for which something to copy is looked for.
const TWIN_BYTES_MIN: usize = 24;

/// How one update is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandOptions {
    /// zstd's level. 1 serves best; 3 makes a first picture 4 % smaller, and scrolled text no smaller.
    pub level: i32,
    /// It ends after the band that reaches this many bytes; the rest stays pending.
    pub bytes_max: usize,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self { level: 1, bytes_max: limits::UPDATE_BYTES_MAX }
    }
}

/// Encodes one viewer's picture as exact bands.
#[derive(Default)]
pub struct BandEncoder {
    /// The viewer's base once all updates so far have arrived.
    ///
    /// INVARIANT: changes only by whole updates that were returned; the decoder's base equals it.
    base: RgbPlane,
    /// Whether `base` is still all black, so that it is no use as a prefix.
    base_is_black: bool,
    /// Where the picture may differ from the base.
    pending: Region,
    /// Where pixels are sent even if the base has them.
    ///
    /// INVARIANT: a part of `pending`.
    insisted: Region,
    /// The picture's pixels where something is pending; anything elsewhere.
    fresh: RgbPlane,
    motion: MotionSearch,
    queue: Queue,
    /// Scratch: a band's prefix and its pixels, back to back: zstd is faster when the one lies before the other.
    raw: Vec<u8>,
    /// Scratch: a band's differences.
    planes: Vec<u8>,
}

impl BandEncoder {
    /// An encoder for a viewer that has no picture yet; its size is 0 by 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a black picture of `size` at the viewer; everything is pending. The size must be within what an
    /// update's header allows.
    pub fn start(&mut self, size: Size) {
        self.base.reset(size);
        self.fresh.reset(size);
        self.base_is_black = true;
        self.pending = Region::whole(size);
        self.insisted = Region::new();
        self.queue.reset();
        self.motion = MotionSearch::default();
    }

    /// Size of the picture.
    pub fn size(&self) -> Size {
        self.base.size()
    }

    /// Pixels that may differ from the base.
    pub fn add(&mut self, damage: &Region) {
        self.pending.merge(damage);
        self.pending.clip(self.size());
    }

    /// Pixels to be sent even where the base has them, since what is *shown* there is not exact. They never
    /// come as copies.
    pub fn insist(&mut self, region: &Region) {
        self.insisted.merge(region);
        self.insisted.clip(self.size());
        self.add(region);
    }

    /// Forgets what is pending in a rectangle. The caller adds or insists on it again later.
    pub fn hold_back(&mut self, rect: Rect) {
        self.pending.subtract(rect);
        self.insisted.subtract(rect);
    }

    /// Says that pixels probably came to `to` from the rectangle at `from`, as some systems tell. Nothing
    /// depends on whether it is true.
    pub fn hint_move(&mut self, from: Point, to: Point) {
        self.motion.hint(Shift { x: from.x.saturating_sub(to.x), y: from.y.saturating_sub(to.y) });
    }

    /// What may still have to be sent.
    pub fn pending(&self) -> &Region {
        &self.pending
    }

    /// The part of it that is sent even if the base has it.
    pub fn insisted(&self) -> &Region {
        &self.insisted
    }

    /// Encodes what is pending of `view`, which must be as large as the picture. What finds no room stays
    /// pending. On an error everything does.
    pub fn encode(&mut self, view: &View<'_>, options: BandOptions) -> Result<Bands, EncodeError> {
        debug_assert_eq!(view.size(), self.size());
        let bytes_max = options.bytes_max.clamp(1, limits::UPDATE_BYTES_MAX);
        let (rects, moves) = self.find_pending(view);
        self.queue.fill(&rects, bytes_max);
        let mut update = self.compress(options.level, bytes_max)?;
        let sent = update.bands.len();
        let copies = moves.iter().map(|Moved { to, x, y }| Band {
            rect: *to,
            codec: Codec::Copy { x: *x, y: *y },
            len: 0,
        });
        update.bands.splice(0..0, copies);
        for band in &update.bands {
            self.base.copy_rect_from(&self.fresh, band.rect);
        }
        self.base_is_black &= update.bands.is_empty();
        self.keep_late(sent);
        Ok(update)
    }

    /// What has to be sent: what differs from the base and what is insisted on, and what of it moved. Nothing
    /// twice.
    fn find_pending(&mut self, view: &View<'_>) -> (Vec<Rect>, Vec<Moved>) {
        for &rect in self.pending.rects() {
            self.fresh.pack(view, rect);
        }
        let mut rects = Vec::new();
        for piece in without(self.pending.rects(), self.insisted.rects()) {
            find_changes(&self.base, &self.fresh, piece, &mut rects);
        }
        let moves = if self.base_is_black {
            Vec::new()
        } else {
            self.motion.take(&self.base, &self.fresh, &mut rects)
        };
        if !moves.is_empty() {
            for rect in std::mem::take(&mut rects) {
                find_changes(&self.base, &self.fresh, rect, &mut rects);
            }
        }
        rects.extend(self.insisted.rects());
        (rects, moves)
    }

    /// Compresses bands in the order of the queue until there are `bytes_max` bytes.
    fn compress(&mut self, level: i32, bytes_max: usize) -> Result<Bands, EncodeError> {
        let mut update = Bands::default();
        for &rect in self.queue.bands() {
            let from = update.payload.len();
            if from >= bytes_max || update.bands.len() == BANDS_MAX {
                break;
            }
            self.raw.clear();
            if !self.base_is_black {
                self.base.append_rect(prefix_rect(rect, self.base.size()), &mut self.raw);
            }
            let prefix_len = self.raw.len();
            self.fresh.append_rect(rect, &mut self.raw);
            let (prefix, data) = self.raw.split_at(prefix_len);
            zstd::compress(level, prefix, data, &mut update.payload).map_err(refused)?;
            if update.payload.len() > limits::UPDATE_BYTES_MAX {
                update.payload.truncate(from);
                break;
            }
            if let Some(at) = self.twin(rect, update.payload.len() - from) {
                update.payload.truncate(from);
                let codec = Codec::Copy { x: at.x as u32, y: at.y as u32 };
                update.bands.push(Band { rect, codec, len: 0 });
                continue;
            }
            let width = rect.width as usize;
            let codec = predict_if_smaller(data, width, from, &mut update.payload, &mut self.planes)?;
            let len = (update.payload.len() - from) as u32;
            update.bands.push(Band { rect, codec, len });
        }
        Ok(update)
    }

    /// What can be copied for a band of so many compressed bytes.
    fn twin(&self, rect: Rect, bytes: usize) -> Option<Point> {
        let is_worth_it = bytes >= TWIN_BYTES_MIN && !self.base_is_black;
        let may_copy = || self.insisted.rects().iter().all(|insisted| insisted.intersection(rect).is_none());
        if is_worth_it && may_copy() { find_twin(&self.base, &self.fresh, rect) } else { None }
    }

    /// Leaves pending what comes after the first `sent` bands of the queue.
    fn keep_late(&mut self, sent: usize) {
        // Not collected from what is late: joining that would insist again on what lies between.
        self.queue.bands()[..sent].iter().for_each(|rect| self.insisted.subtract(*rect));
        self.pending = self.insisted.clone();
        self.queue.sent(sent).iter().for_each(|rect| self.pending.add(*rect));
    }
}

/// Replaces a band that zstd made hardly smaller, the payload from `from` on, by its differences if these are
/// smaller. `planes` is scratch.
fn predict_if_smaller(
    rgb: &[u8],
    width: usize,
    from: usize,
    payload: &mut Vec<u8>,
    planes: &mut Vec<u8>,
) -> Result<Codec, EncodeError> {
    let end = payload.len();
    let len = end - from;
    if len < PREDICTED_BYTES_MIN || len * GRAINY_RATIO < rgb.len() {
        return Ok(Codec::ZstdPrefix);
    }
    planes.clear();
    predict::predict(rgb, width, planes);
    zstd::compress(1, &[], planes, payload).map_err(refused)?;
    if payload.len() - end < len {
        payload.drain(from..end);
        return Ok(Codec::ZstdPredicted);
    }
    payload.truncate(end);
    Ok(Codec::ZstdPrefix)
}

/// `rects` without what lies in `holes`.
fn without(rects: &[Rect], holes: &[Rect]) -> Vec<Rect> {
    holes
        .iter()
        .fold(rects.to_vec(), |rects, hole| rects.into_iter().flat_map(|rect| cut(rect, *hole)).collect())
}

fn refused(reason: &'static str) -> EncodeError {
    EncodeError::Library { codec: "zstd", reason: reason.to_owned() }
}
