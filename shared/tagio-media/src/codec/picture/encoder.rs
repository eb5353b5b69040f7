//! The host's half: decides what comes exactly, what as video, and keeps account of what is not exact yet.

use std::time::Instant;

use tagio_wire::{
    Rect, Size, limits,
    picture::{Timing, UpdateHeader, UpdateNumber},
    session::{Quality, VideoWish},
};

use super::{
    link::Link,
    slot::{VideoSlot, VideoTaste},
    stills::Stills,
};
use crate::{
    Region, View,
    activity::{Activity, Playing, Policy},
    codec::{
        EncodeError, EncodedFrame, EncodedUpdate,
        bands::{BandEncoder, BandOptions, Bands, Work},
    },
};

const SLOTS: usize = limits::VIDEO_SLOTS as usize;

/// Share of an update that JPEGs may take where something exact is to be sent too.
const STILLS_SHARE: usize = 4;

/// Share of an update up to which photographs are made exact: what changes meanwhile waits for half as long.
const REFINED_SHARE: usize = 2;

/// What goes to the viewer.
#[derive(Debug, Default)]
pub struct Encoded {
    /// At most one for each rectangle that plays.
    pub frames: Vec<EncodedFrame>,
    /// What comes exactly.
    pub update: Option<EncodedUpdate>,
}

/// Where an update has to be smaller than this, what has just changed goes ahead of photographs, every second time: one
/// JPEG takes the link for several letters' time.
const THIN_UPDATE_BYTES: usize = 4 * 1024;

/// Encodes one viewer's picture.
pub struct PictureEncoder {
    bands: BandEncoder,
    /// Size of what the viewer sees and the scale at which it does; another one starts the picture anew.
    seen: Option<(Size, u8)>,
    activity: Activity,
    slots: [Option<VideoSlot>; SLOTS],
    stills: Stills,
    /// Whether photographs may be shown before they are exact.
    stills_wanted: bool,
    /// Whether the last update went without them; see [`THIN_UPDATE_BYTES`].
    stills_rest: bool,
    taste: VideoTaste,
    /// See [`Self::set_load`].
    load: f64,
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
            stills: Stills::default(),
            stills_wanted: true,
            stills_rest: false,
            taste: VideoTaste::new(Quality::Auto, VideoWish::H264),
            load: 0.0,
            newest_frame: 0,
            video_until: 0,
        }
    }

    /// What the viewer wants from now on.
    pub fn set_wish(&mut self, quality: Quality, video: VideoWish) {
        self.taste = VideoTaste::new(quality, video);
        self.stills_wanted = quality != Quality::Sharp;
        if !self.stills_wanted {
            let inexact = self.stills.release_all();
            self.insist(inexact);
        }
        self.activity.set_policy(match quality {
            Quality::Auto | Quality::Saver { .. } => Policy::AUTO,
            Quality::Sharp => Policy::SHARP,
            Quality::Smooth => Policy::SMOOTH,
        });
        // Another codec, another encoder: what plays is found again at once.
        self.end_all();
    }

    /// What part of the time encoding takes for all viewers, 0 to 1: on a busy machine it is done with less care.
    pub fn set_load(&mut self, load: f64) {
        self.load = load;
    }

    /// The viewer lost a video frame: the next ones must need no other.
    pub fn refresh(&mut self) {
        self.slots.iter_mut().flatten().for_each(VideoSlot::refresh);
    }

    /// Whether something is left that found no room: call again when the link has room, if need be with no
    /// new damage.
    pub fn is_behind(&self) -> bool {
        !self.bands.pending().is_empty()
            || !self.stills.is_empty()
            || self.slots.iter().flatten().any(|slot| slot.is_stale)
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
        // First: what begins to play would leave parts of photographs as if they had been sent as they are now.
        let changed = self.stills.note(view, damage);
        self.insist(changed);
        self.activity.note(view, damage, now);
        let playing = self.activity.videos(now);
        self.follow(view, &playing)?;
        self.take_damage(damage);
        let frames = self.encode_frames(view, link, next)?;
        let number = next.wrapping_add(frames.len() as u32);
        let bytes_before = frames.iter().map(|frame| frame.payload.len()).sum();
        let options = BandOptions { level: link.level(self.load), bytes_max: link.update_bytes_max };
        let bands = self.encode_bands(view, options, bytes_before)?;
        let update = (starts || !bands.bands.is_empty()).then(|| self.update(bands, number));
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
        self.stills.release_all();
        self.bands.start(view.size());
        self.activity.start(view.size());
        Ok(true)
    }

    /// Begins, moves and ends videos as they play.
    fn follow(&mut self, view: &View<'_>, playing: &[Option<Playing>; SLOTS]) -> Result<(), EncodeError> {
        for (at, plays) in playing.iter().enumerate() {
            let had = self.slots[at].as_ref().map(|slot| (slot.id, slot.rect));
            let wants = plays.as_ref().map(|plays| (plays.id, plays.rect));
            if had == wants {
                continue;
            }
            self.end(at);
            if let Some((id, rect)) = wants {
                self.slots[at] = Some(VideoSlot::new(id, rect, self.taste)?);
                self.stills.forget(view, rect);
            }
        }
        Ok(())
    }

    /// What a slot showed has to be made exact.
    fn end(&mut self, at: usize) {
        if let Some(slot) = self.slots[at].take() {
            self.insist([slot.rect]);
            self.video_until = self.newest_frame;
        }
    }

    fn end_all(&mut self) {
        (0..SLOTS).for_each(|at| self.end(at));
    }

    /// What is shown there is not exact, and has to be.
    fn insist(&mut self, rects: impl IntoIterator<Item = Rect>) {
        let mut region = Region::new();
        rects.into_iter().for_each(|rect| region.add(rect));
        self.bands.insist(&region);
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

    /// Everything but video, after so many bytes of that.
    fn encode_bands(
        &mut self,
        view: &View<'_>,
        options: BandOptions,
        bytes_before: usize,
    ) -> Result<Bands, EncodeError> {
        if self.stills_wanted {
            let affordable = self.stills.release_waiting(options.bytes_max);
            self.insist(affordable);
        }
        let slots = self.slots.iter().flatten().map(|slot| slot.rect);
        let held: Vec<Rect> = slots.chain(self.stills.rects()).collect();
        let mut work = self.bands.find_work(view, &held);
        if self.stills_wanted {
            self.add_stills(view, &mut work, options.bytes_max, bytes_before)?;
        }
        let update = self.bands.encode_work(view, work, options)?;
        self.stills.note_exact(view, &update.bands);
        Ok(update)
    }

    /// Turns what is natural and too dear into JPEGs, and has those that are shown made exact where there is room.
    fn add_stills(
        &mut self,
        view: &View<'_>,
        work: &mut Work,
        bytes_max: usize,
        bytes_before: usize,
    ) -> Result<(), EncodeError> {
        for rect in self.stills.take(view, &mut work.rects, bytes_max) {
            self.bands.hold_back(rect);
        }
        let is_thin = bytes_max < THIN_UPDATE_BYTES;
        self.stills_rest = is_thin && !work.rects.is_empty() && !self.stills_rest;
        if self.stills_rest {
            return Ok(());
        }
        // Before the JPEGs: no update holds the same pixels twice.
        work.later_bytes_max = (bytes_max / REFINED_SHARE).saturating_sub(bytes_before);
        work.later = self.stills.next_exact(work.later_bytes_max);
        let share = if work.rects.is_empty() { 1 } else { STILLS_SHARE };
        work.begun = self.stills.encode(view, self.taste.jpeg_quality, bytes_max / share)?;
        Ok(())
    }

    fn update(&self, bands: Bands, number: UpdateNumber) -> EncodedUpdate {
        let header = UpdateHeader {
            video_until: self.video_until,
            bands: bands.bands,
            ..header(number, self.seen.unwrap_or_default())
        };
        EncodedUpdate { header, payload: bands.payload }
    }
}

fn header(number: UpdateNumber, (screen, scale): (Size, u8)) -> UpdateHeader {
    UpdateHeader { number, screen, scale, video_until: 0, timing: Timing::default(), bands: Vec::new() }
}
