//! The host's half: damage to bands, against what one viewer was sent.

use tagio_wire::{
    Point, Rect, Size, limits,
    picture::{Band, Codec},
};

use super::{
    Bands,
    changes::find_changes,
    motion::{COPIES_MAX, MotionSearch, Moved},
    plane::RgbPlane,
    predict, prefix_rect,
    queue::Queue,
    twin::find_twin,
    zstd,
};
use crate::{Region, View, codec::EncodeError, pixels::RGB_BYTES, region::without};

/// Most bands in an update before its copies: what the protocol allows, less room for those.
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
    /// zstd's level.
    pub level: i32,
    /// It ends after the band that reaches this many bytes; the rest stays pending.
    pub bytes_max: usize,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self { level: 1, bytes_max: limits::UPDATE_BYTES_MAX }
    }
}

/// What goes into one update.
#[derive(Debug, Default)]
pub(in crate::codec) struct Work {
    /// Bands that are encoded already; the update begins with them.
    pub(in crate::codec) begun: Bands,
    /// What has to be exact as soon as may be.
    pub(in crate::codec) rects: Vec<Rect>,
    /// What moved, none of it from where something inexact is shown.
    moves: Vec<Moved>,
    /// What is made exact if all of `rects` finds room, in this order, up to `later_bytes_max` bytes of payload.
    pub(in crate::codec) later: Vec<Rect>,
    /// See `later`.
    pub(in crate::codec) later_bytes_max: usize,
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

    /// Pixels to be sent even where the base has them, since what is *shown* there is not exact.
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
        let work = self.find_work(view, &[]);
        self.encode_work(view, work, options)
    }

    /// What has to be sent of `view`: what differs from the base and what is insisted on, and what of it moved.
    /// Nothing twice, and nothing of what lies in `held`: what is shown there is not exact, and somebody else's
    /// care. Those do not overlap.
    pub(in crate::codec) fn find_work(&mut self, view: &View<'_>, held: &[Rect]) -> Work {
        debug_assert_eq!(view.size(), self.size());
        let pending = without(self.pending.rects(), held);
        let insisted = without(self.insisted.rects(), held);
        pending.iter().for_each(|rect| self.fresh.pack(view, *rect));
        let mut rects = Vec::new();
        for piece in without(&pending, &insisted) {
            find_changes(&self.base, &self.fresh, piece, &mut rects);
        }
        let mut moves = Vec::new();
        if !self.base_is_black {
            moves = self.motion.take(&self.base, &self.fresh, &mut rects);
            if !moves.is_empty() {
                for rect in std::mem::take(&mut rects) {
                    find_changes(&self.base, &self.fresh, rect, &mut rects);
                }
            }
        }
        rects.extend(insisted);
        Work { rects, moves, ..Work::default() }
    }

    /// Encodes `work` as one update. Of its `rects`, what finds no room stays pending; of what is to come later,
    /// nothing.
    pub(in crate::codec) fn encode_work(
        &mut self,
        view: &View<'_>,
        work: Work,
        options: BandOptions,
    ) -> Result<Bands, EncodeError> {
        let bytes_max = options.bytes_max.clamp(1, limits::UPDATE_BYTES_MAX);
        self.queue.fill(&work.rects, bytes_max);
        let begun = work.begun.bands.len();
        let mut update = work.begun;
        let queued = self.queue.bands().to_vec();
        self.compress(&queued, &mut update, options.level, bytes_max)?;
        let sent = update.bands.len() - begun;
        if sent == queued.len() {
            work.later.iter().for_each(|rect| self.fresh.pack(view, *rect));
            self.compress(&work.later, &mut update, options.level, work.later_bytes_max.min(bytes_max))?;
        }
        let copies = work.moves.iter().map(|Moved { to, x, y }| Band {
            rect: *to,
            codec: Codec::Copy { x: *x, y: *y },
            len: 0,
        });
        update.bands.splice(0..0, copies);
        let exact = || update.bands.iter().filter(|band| band.codec != Codec::Jpeg);
        exact().for_each(|band| self.base.copy_rect_from(&self.fresh, band.rect));
        self.base_is_black &= exact().next().is_none();
        self.keep_late(sent);
        Ok(update)
    }

    /// Appends bands at `rects`, in that order, until the update has `bytes_max` bytes.
    fn compress(
        &mut self,
        rects: &[Rect],
        update: &mut Bands,
        level: i32,
        bytes_max: usize,
    ) -> Result<(), EncodeError> {
        for &rect in rects {
            let from = update.payload.len();
            if from >= bytes_max || update.bands.len() == BANDS_MAX {
                break;
            }
            let codec = self.compress_band(rect, level, &mut update.payload)?;
            if update.payload.len() > limits::UPDATE_BYTES_MAX {
                update.payload.truncate(from);
                break;
            }
            let len = (update.payload.len() - from) as u32;
            update.bands.push(Band { rect, codec, len });
        }
        Ok(())
    }

    /// Appends the payload of one band to `out`, as it is smallest.
    fn compress_band(&mut self, rect: Rect, level: i32, out: &mut Vec<u8>) -> Result<Codec, EncodeError> {
        let from = out.len();
        self.raw.clear();
        if !self.base_is_black {
            self.base.append_rect(prefix_rect(rect, self.base.size()), &mut self.raw);
        }
        let prefix_len = self.raw.len();
        self.fresh.append_rect(rect, &mut self.raw);
        let (prefix, data) = self.raw.split_at(prefix_len);
        zstd::compress(level, prefix, data, out).map_err(refused)?;
        if let Some(at) = self.twin(rect, out.len() - from) {
            out.truncate(from);
            return Ok(Codec::Copy { x: at.x as u32, y: at.y as u32 });
        }
        predict_if_smaller(data, rect.width as usize, from, out, &mut self.planes)
    }

    /// What can be copied for a band of so many compressed bytes.
    fn twin(&self, rect: Rect, bytes: usize) -> Option<Point> {
        let is_worth_it = bytes >= TWIN_BYTES_MIN && !self.base_is_black;
        is_worth_it.then(|| find_twin(&self.base, &self.fresh, rect)).flatten()
    }

    /// Leaves pending what comes after the first `sent` bands of the queue.
    fn keep_late(&mut self, sent: usize) {
        if sent == self.queue.bands().len() {
            // Whatever a region holds beyond what it was given.
            (self.pending, self.insisted) = (Region::new(), Region::new());
        }
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
    zstd::compress_parts(planes.chunks_exact(rgb.len() / RGB_BYTES), payload).map_err(refused)?;
    if payload.len() - end < len {
        payload.drain(from..end);
        return Ok(Codec::ZstdPredicted);
    }
    payload.truncate(end);
    Ok(Codec::ZstdPrefix)
}

fn refused(reason: &'static str) -> EncodeError {
    EncodeError::Library { codec: "zstd", reason: reason.to_owned() }
}
