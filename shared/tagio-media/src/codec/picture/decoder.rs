//! The viewer's half: what is shown, and how much of it is exact. Trusts nothing that comes.

use tagio_wire::{
    Size, limits,
    picture::{Band, Codec, UpdateHeader, UpdateNumber, VideoHeader},
};

use super::{frames::Frames, mask::Mask};
use crate::{
    Framebuffer, Region,
    codec::{PictureError, bands::BandDecoder, jpeg},
};

/// Decodes one session's picture.
#[derive(Default)]
pub struct PictureDecoder {
    bands: BandDecoder,
    shown: Framebuffer,
    seen: Option<(Size, u8)>,
    /// Where what is shown is not the base.
    inexact: Mask,
    /// See [`UpdateHeader::video_until`].
    video_until: UpdateNumber,
    slots: [Frames; limits::VIDEO_SLOTS as usize],
}

/// What a video frame did.
#[derive(Debug, Default)]
pub struct Played {
    /// Frames that are done with, to be acknowledged.
    pub done: Vec<UpdateNumber>,
    /// What changed in the picture.
    pub changed: Region,
    /// The host must be asked for a frame that needs no other.
    pub needs_keyframe: bool,
}

impl PictureDecoder {
    /// A decoder for a connection that begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// The picture as it is to be shown.
    pub fn picture(&self) -> &Framebuffer {
        &self.shown
    }

    /// Size of what is seen of the host's screen, and its pixels per pixel of the picture.
    pub fn seen(&self) -> (Size, u8) {
        self.seen.unwrap_or_else(|| (Size::default(), 1))
    }

    /// Share of the picture's pixels that are exactly the host's as of the last update, 0 to 1.
    pub fn exact_share(&self) -> f32 {
        let area = self.shown.size().area().max(1);
        1.0 - self.inexact.area() as f32 / area as f32
    }

    /// Applies an update and returns what changed. Updates must come in order, all of them.
    ///
    /// # Errors
    /// The update is not one that an honest host sends; the session cannot go on.
    pub fn update(&mut self, header: &UpdateHeader, payload: &[u8]) -> Result<Region, PictureError> {
        let area = header.bands.iter().map(|band| band.rect.area()).fold(0, u64::saturating_add);
        if !header.is_sound() || area > header.picture().area() {
            return Err(PictureError::Unsound(header.number));
        }
        let damaged = |reason: String| PictureError::Damaged { number: header.number, reason };
        if payload.len() != header.payload_len() {
            return Err(damaged(format!("{} bytes instead of {}", payload.len(), header.payload_len())));
        }
        let seen = Some((header.screen, header.scale));
        if self.seen != seen {
            let slots = std::mem::take(&mut self.slots);
            *self = Self { seen, slots, inexact: Mask::new(header.picture()), ..Self::default() };
        }
        self.video_until = header.video_until;
        let (lossy, exact): (Vec<_>, Vec<_>) =
            with_payloads(header, payload).partition(|(band, _)| band.codec == Codec::Jpeg);
        let mut changed = self
            .bands
            .apply(header.picture(), &exact, &mut self.shown)
            .map_err(|error| damaged(error.to_string()))?;
        exact.iter().for_each(|(band, _)| self.inexact.subtract(band.rect));
        for (band, jpeg) in lossy {
            jpeg::decode(jpeg, band.rect, &mut self.shown).map_err(|error| damaged(error.to_string()))?;
            self.inexact.add(band.rect);
            changed.add(band.rect);
        }
        Ok(changed)
    }

    /// Takes a video frame; they may come in any order.
    pub fn frame(&mut self, header: VideoHeader, payload: Vec<u8>) -> Played {
        let fits = header.is_sound() && self.seen == Some((header.screen, header.scale));
        let Some(slot) = self.slots.get_mut(usize::from(header.slot)).filter(|_| fits) else {
            // Of a picture that is over, or has not begun.
            return Played {
                done: vec![header.number],
                needs_keyframe: header.is_sound(),
                ..Played::default()
            };
        };
        let outcome = slot.take(header, payload, self.video_until, &mut self.shown);
        let mut changed = Region::new();
        for rect in outcome.shown {
            changed.add(rect);
            self.inexact.add(rect);
        }
        Played { done: outcome.done, changed, needs_keyframe: outcome.needs_keyframe }
    }
}

/// The bands of an update, each with its payload. Their lengths add up to the payload's.
fn with_payloads<'a>(header: &'a UpdateHeader, payload: &'a [u8]) -> impl Iterator<Item = (Band, &'a [u8])> {
    header.bands.iter().scan(payload, |rest, band| {
        let (own, later) = rest.split_at_checked(band.len as usize)?;
        *rest = later;
        Some((*band, own))
    })
}
