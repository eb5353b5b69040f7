//! The host's half: damage to bands, against what one viewer was sent.

use tagio_wire::{
    Rect, Size, limits,
    picture::{Band, Codec, Timing, UpdateHeader, UpdateNumber},
};
use zstd_safe::{CCtx, CParameter, SafeResult};

use super::{BAND_BYTES_MAX, changes::find_changes, plane::RgbPlane, prefix_rect};
use crate::{
    Framebuffer, Region,
    codec::{EncodeError, EncodedUpdate, VideoEncoder},
    pixels::RGB_BYTES,
};

/// zstd finds matches as far back as 2 to this power bytes. More than the largest band with its prefix on the
/// widest screen; zstd lowers it by itself where less will do.
const WINDOW_LOG: u32 = 25;

/// Bounds of the match table: 2 to this power entries of 4 bytes. A small one keeps a typed letter cheap, as
/// it is cleared for each band; more than the upper end gains nothing beside [`LONG_MATCH`].
const HASH_LOGS: std::ops::RangeInclusive<u32> = 10..=17;

/// Where there is a prefix, matches of at least so many bytes are looked for first, so that what moved is
/// found as a whole and not as letters that also stand nearer. A moved window costs 10 kB instead of 41,
/// for a third more time.
const LONG_MATCH: u32 = 64;

/// How a viewer's encoder works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandOptions {
    /// zstd's level. 1 serves best; 3 makes a first picture 4 % smaller, and scrolled text no smaller.
    pub level: i32,
    /// An update ends after the band that reaches this many bytes; the rest comes with the next one.
    pub update_bytes_max: usize,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self { level: 1, update_bytes_max: limits::UPDATE_BYTES_MAX }
    }
}

/// Encodes one viewer's picture as [`Codec::ZstdPrefix`].
#[derive(Default)]
pub struct BandEncoder {
    options: BandOptions,
    /// What the viewer has once all updates so far have arrived.
    ///
    /// INVARIANT: changes only by whole updates that were returned; the decoder's picture equals it.
    sent: RgbPlane,
    /// Whether `sent` is still all black, so that it is no use as a prefix.
    sent_is_black: bool,
    /// Damage that found no room in earlier updates.
    unsent: Region,
    /// Row at which the next update begins, so that busy rows above do not starve `unsent` ones.
    first_row: u32,
    /// The screen's pixels where there is damage; anything elsewhere.
    fresh: RgbPlane,
    /// Scratch: what the viewer lacks.
    changed: Vec<Rect>,
    /// Scratch: the same, cut into bands, in the order in which they are sent.
    queue: Vec<Rect>,
    bands: Vec<Band>,
    payload: Vec<u8>,
    zstd: Compressor,
}

impl BandEncoder {
    /// An encoder for a viewer that has no picture yet.
    pub fn new(options: BandOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Starts a black picture of `size` at the viewer.
    fn start(&mut self, size: Size) {
        self.sent.reset(size);
        self.fresh.reset(size);
        self.sent_is_black = true;
        self.unsent = Region::whole(size);
        self.first_row = 0;
    }

    /// Fills `queue` with what the viewer lacks of `unsent`.
    fn find_bands(&mut self, screen: &Framebuffer) {
        self.changed.clear();
        for &rect in self.unsent.rects() {
            self.fresh.pack(screen, rect);
            find_changes(&self.sent, &self.fresh, rect, &mut self.changed);
        }
        self.queue.clear();
        self.queue.extend(self.changed.iter().flat_map(|rect| bands_of(*rect)));
        self.queue.sort_unstable_by_key(|rect| (rect.y < self.first_row, rect.y, rect.x));
    }

    /// Fills `bands` and `payload` from `queue`, and returns what found no room.
    fn compress_bands(&mut self) -> Result<Region, EncodeError> {
        self.bands.clear();
        self.payload.clear();
        let bytes_max = self.options.update_bytes_max.clamp(1, limits::UPDATE_BYTES_MAX);
        for &rect in &self.queue {
            if self.payload.len() >= bytes_max || self.bands.len() == limits::BANDS_MAX {
                break;
            }
            let prefix = (!self.sent_is_black).then_some(&self.sent);
            let packed = self.zstd.compress(self.options.level, prefix, &self.fresh, rect)?;
            if self.payload.len() + packed.len() > limits::UPDATE_BYTES_MAX {
                break;
            }
            self.payload.extend_from_slice(packed);
            self.bands.push(Band { rect, codec: Codec::ZstdPrefix, len: packed.len() as u32 });
        }
        let late = &self.queue[self.bands.len()..];
        self.first_row = late.first().map_or(0, |rect| rect.y);
        let mut left = Region::new();
        late.iter().for_each(|rect| left.add(*rect));
        Ok(left)
    }
}

impl VideoEncoder for BandEncoder {
    fn encode(
        &mut self,
        number: UpdateNumber,
        screen: &Framebuffer,
        damage: &Region,
    ) -> Result<Option<EncodedUpdate>, EncodeError> {
        let size = screen.size();
        let starts = size != self.sent.size();
        if starts {
            check_size(size)?;
            self.start(size);
        } else {
            self.unsent.merge(damage);
            self.unsent.clip(size);
        }
        self.find_bands(screen);
        let left = self.compress_bands()?;
        self.unsent = left;
        for band in &self.bands {
            self.sent.copy_rect_from(&self.fresh, band.rect);
        }
        if self.bands.is_empty() && !starts {
            return Ok(None);
        }
        self.sent_is_black &= self.bands.is_empty();
        let header = UpdateHeader { bands: self.bands.clone(), ..empty_header(number, size) };
        Ok(Some(EncodedUpdate { header, payload: self.payload.as_slice().to_vec() }))
    }

    fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }
}

fn empty_header(number: UpdateNumber, screen: Size) -> UpdateHeader {
    UpdateHeader { number, screen, scale: 1, video_until: 0, timing: Timing::default(), bands: Vec::new() }
}

/// Refuses a screen that no decoder would accept.
fn check_size(size: Size) -> Result<(), EncodeError> {
    if empty_header(0, size).is_sound() { Ok(()) } else { Err(EncodeError::TooLarge(size)) }
}

/// Cuts a rectangle into bands of nearly equal height within [`BAND_BYTES_MAX`].
fn bands_of(rect: Rect) -> impl Iterator<Item = Rect> {
    let row_bytes = (rect.width as usize * RGB_BYTES).max(1);
    let rows_max = (BAND_BYTES_MAX / row_bytes).max(1) as u32;
    let bands = rect.height.div_ceil(rows_max).max(1);
    let rows = rect.height.div_ceil(bands).max(1);
    (rect.y..rect.bottom())
        .step_by(rows as usize)
        .map(move |y| Rect::new(rect.x, y, rect.width, rows.min(rect.bottom() - y)))
}

/// zstd and the memory that it works in.
#[derive(Default)]
struct Compressor {
    /// A band's prefix and its pixels, back to back: zstd is faster when the one lies before the other.
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Compressor {
    /// Compresses the pixels of `rect` in `fresh`, with those in `sent` as prefix if there is one.
    fn compress(
        &mut self,
        level: i32,
        sent: Option<&RgbPlane>,
        fresh: &RgbPlane,
        rect: Rect,
    ) -> Result<&[u8], EncodeError> {
        self.raw.clear();
        if let Some(sent) = sent {
            sent.append_rect(prefix_rect(rect, sent.size()), &mut self.raw);
        }
        let prefix_len = self.raw.len();
        fresh.append_rect(rect, &mut self.raw);
        let (prefix, data) = self.raw.split_at(prefix_len);
        let bound = zstd_safe::compress_bound(data.len());
        if self.packed.len() < bound {
            self.packed.resize(bound, 0);
        }
        let len = compress(level, prefix, data, &mut self.packed).map_err(refused)?;
        Ok(&self.packed[..len])
    }
}

/// One zstd frame of `data`. Its context lives for this call only, since `zstd-safe` ties a context to every
/// prefix that it ever borrows; that costs one allocation a band.
fn compress(level: i32, prefix: &[u8], data: &[u8], out: &mut [u8]) -> SafeResult {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    context.set_parameter(CParameter::HashLog(hash_log(prefix.len() + data.len())))?;
    context.set_parameter(CParameter::DictIdFlag(false))?;
    if !prefix.is_empty() {
        context.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
        context.set_parameter(CParameter::LdmMinMatch(LONG_MATCH))?;
        context.ref_prefix(prefix)?;
    }
    context.compress2(out, data)
}

/// Size of a match table for `len` bytes of prefix and data: one entry for four to eight of them.
fn hash_log(len: usize) -> u32 {
    let log = len.max(1).ilog2().saturating_sub(2);
    log.clamp(*HASH_LOGS.start(), *HASH_LOGS.end())
}

fn refused(code: usize) -> EncodeError {
    EncodeError::Library { codec: "zstd", reason: zstd_safe::get_error_name(code).to_owned() }
}
