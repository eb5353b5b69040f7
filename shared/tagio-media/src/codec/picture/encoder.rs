//! The host's half: decides what comes exactly, what as video, and keeps account of what is not exact yet.

use std::time::Instant;

use tagio_wire::{
    Rect, Size, limits,
    picture::{Band, Codec, Timing, UpdateHeader, UpdateNumber},
    session::{Quality, VideoWish},
};

use super::slot::{VideoSlot, VideoTaste};
use crate::{
    Region, View,
    activity::{Activity, Playing, Policy},
    codec::{
        EncodeError, EncodedFrame, EncodedUpdate,
        bands::{BandEncoder, BandOptions},
    },
};

const SLOTS: usize = limits::VIDEO_SLOTS as usize;

/// How long the link may take for one update: what is bigger comes in pieces, so that something small never
/// waits for more than this.
const UPDATE_SECONDS_MAX: f64 = 0.05;

/// Smallest size at which updates are cut into pieces.
const UPDATE_BYTES_MIN: usize = 4 * 1024;

/// What is known of the way to the viewer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// How fast it carries, once that is known.
    pub bytes_per_second: Option<f64>,
}

/// What goes to the viewer.
#[derive(Debug, Default)]
pub struct Encoded {
    /// At most one for each rectangle that plays.
    pub frames: Vec<EncodedFrame>,
    /// What comes exactly.
    pub update: Option<EncodedUpdate>,
}

/// Encodes one viewer's picture.
pub struct PictureEncoder {
    bands: BandEncoder,
    /// Size of what the viewer sees and the scale at which it does; another one starts the picture anew.
    seen: Option<(Size, u8)>,
    activity: Activity,
    slots: [Option<VideoSlot>; SLOTS],
    taste: VideoTaste,
    /// The newest video frame, 0 before the first.
    newest_frame: UpdateNumber,
    /// See [`UpdateHeader::video_until`].
    video_until: UpdateNumber,
}

impl Default for PictureEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl PictureEncoder {
    /// An encoder for a viewer that has no picture yet.
    pub fn new() -> Self {
        Self {
            bands: BandEncoder::new(),
            seen: None,
            activity: Activity::new(),
            slots: [const { None }; SLOTS],
            taste: VideoTaste::new(Quality::Auto, VideoWish::H264),
            newest_frame: 0,
            video_until: 0,
        }
    }

    /// What the viewer wants from now on.
    pub fn set_wish(&mut self, quality: Quality, video: VideoWish) {
        self.taste = VideoTaste::new(quality, video);
        self.activity.set_policy(match quality {
            Quality::Auto | Quality::Saver { .. } => Policy::AUTO,
            Quality::Sharp => Policy::SHARP,
            Quality::Smooth => Policy::SMOOTH,
        });
        // Another codec, another encoder: what plays is found again at once.
        self.end_all();
    }

    /// The viewer lost a video frame: the next ones must need no other.
    pub fn refresh(&mut self) {
        self.slots.iter_mut().flatten().for_each(VideoSlot::refresh);
    }

    /// Whether something is left that found no room: call again when the link has room, if need be with no
    /// new damage.
    pub fn is_behind(&self) -> bool {
        !self.bands.pending().is_empty() || self.slots.iter().flatten().any(|slot| slot.is_stale)
    }

    /// When something may turn out to have stopped moving, and has to be made exact.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.activity.next_deadline()
    }

    /// Looks at `damage` of `view` while the link has no room for it: a film is found by how often it changes, and
    /// must be found on a link that it fills. The same damage still has to be encoded.
    pub fn watch(&mut self, view: &View<'_>, damage: &Region, now: Instant) {
        self.activity.note(view, damage, now);
    }

    /// Encodes `damage` of `view`. What comes is numbered from `next` on, frames first.
    ///
    /// A view of another size or scale than before starts the viewer's picture anew, in black; that is an
    /// update even where all of it is black.
    ///
    /// # Errors
    /// A screen beyond [`limits`], or a codec library that refuses.
    pub fn encode(
        &mut self,
        view: &View<'_>,
        damage: &Region,
        link: Link,
        next: UpdateNumber,
        now: Instant,
    ) -> Result<Encoded, EncodeError> {
        let starts = self.start_anew(view)?;
        self.activity.note(view, damage, now);
        let playing = self.activity.videos(now);
        self.follow(&playing)?;
        self.take_damage(damage);
        let frames = self.encode_frames(view, link, next)?;
        let number = next.wrapping_add(frames.len() as u32);
        let bytes_max = link.bytes_per_second.map_or(limits::UPDATE_BYTES_MAX, |rate| {
            ((rate * UPDATE_SECONDS_MAX) as usize).max(UPDATE_BYTES_MIN)
        });
        let update = self.encode_bands(view, bytes_max, number, starts)?;
        Ok(Encoded { frames, update })
    }

    /// Starts a black picture if the view is not what the viewer has.
    fn start_anew(&mut self, view: &View<'_>) -> Result<bool, EncodeError> {
        let area = view.look().area;
        let seen = (Size::new(area.width, area.height), view.look().scale);
        if self.seen == Some(seen) {
            return Ok(false);
        }
        if !header(0, seen).is_sound() {
            return Err(EncodeError::TooLarge(seen.0));
        }
        self.seen = Some(seen);
        self.end_all();
        self.bands.start(view.size());
        self.activity.start(view.size());
        Ok(true)
    }

    /// Begins, moves and ends videos as they play.
    fn follow(&mut self, playing: &[Option<Playing>; SLOTS]) -> Result<(), EncodeError> {
        for (at, plays) in playing.iter().enumerate() {
            let had = self.slots[at].as_ref().map(|slot| (slot.id, slot.rect));
            let wants = plays.as_ref().map(|plays| (plays.id, plays.rect));
            if had == wants {
                continue;
            }
            self.end(at);
            if let Some((id, rect)) = wants {
                self.slots[at] = Some(VideoSlot::new(id, rect, self.taste)?);
            }
        }
        Ok(())
    }

    /// What a slot showed has to be made exact.
    fn end(&mut self, at: usize) {
        if let Some(slot) = self.slots[at].take() {
            let mut shown = Region::new();
            shown.add(slot.rect);
            self.bands.insist(&shown);
            self.video_until = self.newest_frame;
        }
    }

    fn end_all(&mut self) {
        (0..SLOTS).for_each(|at| self.end(at));
    }

    /// Shares damage out between videos and bands.
    fn take_damage(&mut self, damage: &Region) {
        let mut damage = damage.clone();
        for slot in self.slots.iter_mut().flatten() {
            slot.is_stale |= damage.rects().iter().any(|rect| rect.intersection(slot.rect).is_some());
            damage.subtract(slot.rect);
        }
        self.bands.add(&damage);
        for slot in self.slots.iter().flatten() {
            self.bands.hold_back(slot.rect);
        }
    }

    fn encode_frames(
        &mut self,
        view: &View<'_>,
        link: Link,
        next: UpdateNumber,
    ) -> Result<Vec<EncodedFrame>, EncodeError> {
        let mut frames = Vec::new();
        for (at, slot) in (0..).zip(&mut self.slots) {
            let Some(slot) = slot.as_mut().filter(|slot| slot.is_stale) else { continue };
            let number = next.wrapping_add(frames.len() as u32);
            if let Some(frame) = slot.encode(view, self.taste, link.bytes_per_second, number, at)? {
                self.newest_frame = number;
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn encode_bands(
        &mut self,
        view: &View<'_>,
        bytes_max: usize,
        number: UpdateNumber,
        starts: bool,
    ) -> Result<Option<EncodedUpdate>, EncodeError> {
        let inexact = self.inexact();
        let bands = self.bands.encode(view, BandOptions { bytes_max, ..BandOptions::default() })?;
        let copied = inexact_copies(&bands.bands, &inexact);
        if !copied.is_empty() {
            self.bands.insist(&copied);
        }
        if bands.bands.is_empty() && !starts {
            return Ok(None);
        }
        let seen = self.seen.unwrap_or_default();
        let header =
            UpdateHeader { video_until: self.video_until, bands: bands.bands, ..header(number, seen) };
        Ok(Some(EncodedUpdate { header, payload: bands.payload }))
    }

    /// Where the viewer shows something else than its base.
    fn inexact(&self) -> Region {
        let mut inexact = self.bands.insisted().clone();
        self.slots.iter().flatten().for_each(|slot| inexact.add(slot.rect));
        inexact
    }
}

/// Where copies bring something that is not exact.
fn inexact_copies(bands: &[Band], inexact: &Region) -> Region {
    let mut copied = Region::new();
    for band in bands {
        if let Codec::Copy { x, y } = band.codec {
            for part in inexact.within(Rect { x, y, ..band.rect }).rects() {
                copied.add(Rect { x: part.x - x + band.rect.x, y: part.y - y + band.rect.y, ..*part });
            }
        }
    }
    copied
}

fn header(number: UpdateNumber, (screen, scale): (Size, u8)) -> UpdateHeader {
    UpdateHeader { number, screen, scale, video_until: 0, timing: Timing::default(), bands: Vec::new() }
}
