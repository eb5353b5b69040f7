//! The video frames of one slot at the viewer: each travels on a stream of its own, so they may come in any
//! order, and some never.

use std::collections::BTreeMap;

use tagio_wire::{
    Rect,
    picture::{UpdateNumber, VideoCodec, VideoHeader},
};

use super::is_newer;
use crate::{
    Framebuffer,
    codec::{VideoError, h264::H264Decoder, jpeg},
};

/// Frames that wait for one before them: a quarter of a second. More would be a film that is late anyway.
const WAITING_MAX: usize = 8;

/// One slot.
#[derive(Default)]
pub(super) struct Frames {
    decoder: Option<H264Decoder>,
    /// The newest frame that was decoded; 0 before the first.
    last: UpdateNumber,
    waiting: BTreeMap<UpdateNumber, (VideoHeader, Vec<u8>)>,
    /// For frames that are decoded only because others need them.
    unseen: Framebuffer,
}

/// What became of the frames that are done with.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) done: Vec<UpdateNumber>,
    /// Where something is shown now.
    pub(super) shown: Vec<Rect>,
    /// A frame is lost: only one that needs no other can be decoded.
    pub(super) needs_keyframe: bool,
}

impl Frames {
    /// Takes a frame, and decodes it and those that waited for it. Frames up to `until` are not shown.
    pub(super) fn take(
        &mut self,
        header: VideoHeader,
        payload: Vec<u8>,
        until: UpdateNumber,
        shown: &mut Framebuffer,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.last != 0 && !is_newer(header.number, self.last) {
            outcome.done.push(header.number);
            return outcome;
        }
        self.waiting.insert(header.number, (header, payload));
        while let Some((header, payload)) = self.next() {
            outcome.done.push(header.number);
            let is_seen = until == 0 || is_newer(header.number, until);
            match self.decode(&header, &payload, is_seen, shown) {
                Ok(()) => {
                    self.last = header.number;
                    if is_seen {
                        outcome.shown.push(header.rect);
                    }
                }
                Err(_) => self.give_up(&mut outcome),
            }
        }
        if self.waiting.len() > WAITING_MAX {
            self.give_up(&mut outcome);
        }
        outcome
    }

    /// The next frame that can be decoded: the newest that needs no other, else the one after the last.
    fn next(&mut self) -> Option<(VideoHeader, Vec<u8>)> {
        let free =
            self.waiting.iter().rev().find(|(_, (header, _))| header.after == 0).map(|(number, _)| *number);
        let number = match free {
            Some(number) => number,
            None => {
                let mut all = self.waiting.iter();
                *all.find(|(_, (header, _))| header.after == self.last && self.last != 0)?.0
            }
        };
        let found = self.waiting.remove(&number);
        // What is older is worth nothing any more.
        self.waiting.retain(|waiting, _| is_newer(*waiting, number));
        found
    }

    fn decode(
        &mut self,
        header: &VideoHeader,
        payload: &[u8],
        is_seen: bool,
        shown: &mut Framebuffer,
    ) -> Result<(), VideoError> {
        match header.codec {
            VideoCodec::Jpeg if is_seen => jpeg::decode(payload, header.rect, shown),
            VideoCodec::Jpeg => Ok(()),
            VideoCodec::H264 => {
                if header.after == 0 || self.decoder.is_none() {
                    self.decoder = Some(H264Decoder::new()?);
                }
                let decoder = self.decoder.as_mut().expect("it was made above");
                if is_seen {
                    decoder.decode(payload, header.rect, shown)
                } else {
                    decoder.decode_whole(payload, &mut self.unseen)
                }
            }
        }
    }

    fn give_up(&mut self, outcome: &mut Outcome) {
        outcome.needs_keyframe = true;
        outcome.done.extend(self.waiting.keys());
        self.waiting.clear();
        self.last = 0;
    }
}
