//! A rectangle that plays, on the host: its encoder and the frame that the next one builds on.

use tagio_wire::{
    Rect, Size,
    picture::{Timing, UpdateNumber, VideoCodec, VideoHeader},
    session::{Quality, VideoWish},
};

use crate::{
    View,
    codec::{
        EncodeError, EncodedFrame,
        h264::{FrameTarget, H264Encoder},
        jpeg,
    },
};

/// Frames a second that a film is expected to have.
const FILM_FPS: f64 = 30.0;
/// Share of the link that one film may take; the rest is for text, input and the other film.
const LINK_SHARE: f64 = 0.6;
/// Least bits per pixel of a frame: on a thin link frames get fewer, not worse than this.
const BITS_PER_PIXEL_MIN: f64 = 0.02;

/// A rectangle that plays.
pub(super) struct VideoSlot {
    pub(super) id: u32,
    pub(super) rect: Rect,
    /// `None`: every frame is a JPEG.
    encoder: Option<H264Encoder>,
    /// The frame that the next one may build on; 0 for none.
    last: UpdateNumber,
    /// Something in it has changed since the last frame.
    pub(super) is_stale: bool,
}

/// How video is to be, by the viewer's wish.
#[derive(Clone, Copy, Debug)]
pub(super) struct VideoTaste {
    qp_min: u8,
    qp_max: u8,
    bits_per_pixel: f64,
    pub(super) jpeg_quality: u8,
    codec: VideoWish,
}

impl VideoTaste {
    pub(super) fn new(quality: Quality, codec: VideoWish) -> Self {
        let (qp_min, qp_max, bits_per_pixel, jpeg_quality) = match quality {
            Quality::Auto => (16, 36, 0.13, 70),
            Quality::Sharp => (12, 28, 0.4, 85),
            Quality::Smooth => (18, 40, 0.1, 60),
            Quality::Saver { .. } => (24, 44, 0.05, 35),
        };
        Self { qp_min, qp_max, bits_per_pixel, jpeg_quality, codec }
    }

    /// What a frame of so many pixels should cost on a link that carries so many bytes a second.
    fn target(&self, pixels: u64, bytes_per_second: Option<f64>) -> FrameTarget {
        let wanted = pixels as f64 * self.bits_per_pixel / 8.0;
        let least = pixels as f64 * BITS_PER_PIXEL_MIN / 8.0;
        let carried = bytes_per_second.map_or(wanted, |rate| rate * LINK_SHARE / FILM_FPS);
        let bytes = wanted.min(carried).max(least) as usize;
        FrameTarget { bytes, qp_min: self.qp_min, qp_max: self.qp_max }
    }
}

impl VideoSlot {
    pub(super) fn new(id: u32, rect: Rect, taste: VideoTaste) -> Result<Self, EncodeError> {
        let size = Size::new(rect.width, rect.height);
        let encoder = match taste.codec {
            VideoWish::H264 if H264Encoder::accepts(size) => Some(H264Encoder::new(size)?),
            VideoWish::H264 | VideoWish::Jpeg => None,
        };
        Ok(Self { id, rect, encoder, last: 0, is_stale: true })
    }

    /// The next frame must need no other.
    pub(super) fn refresh(&mut self) {
        self.last = 0;
        self.is_stale = true;
    }

    /// Encodes what is in the rectangle now as frame `number`; `None` if the encoder skips it.
    pub(super) fn encode(
        &mut self,
        view: &View<'_>,
        taste: VideoTaste,
        bytes_per_second: Option<f64>,
        number: UpdateNumber,
        slot: u8,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let (codec, after, payload) = match &mut self.encoder {
            Some(encoder) => {
                let target = taste.target(self.rect.area(), bytes_per_second);
                let Some(frame) = encoder.encode(view, self.rect, self.last == 0, target)? else {
                    return Ok(None);
                };
                (VideoCodec::H264, if frame.is_keyframe { 0 } else { self.last }, frame.payload)
            }
            None => (VideoCodec::Jpeg, 0, jpeg::encode(view, self.rect, taste.jpeg_quality)?),
        };
        self.is_stale = false;
        self.last = number;
        let area = view.look().area;
        let header = VideoHeader {
            number,
            screen: Size::new(area.width, area.height),
            scale: view.look().scale,
            slot,
            rect: self.rect,
            codec,
            after,
            timing: Timing::default(),
        };
        Ok(Some(EncodedFrame { header, payload }))
    }
}
