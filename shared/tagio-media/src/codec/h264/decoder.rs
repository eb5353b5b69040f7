//! Access units to pictures.

use openh264::{
    OpenH264API,
    decoder::{Decoder, DecoderConfig},
    formats::YUVSource,
};
use tagio_wire::{Rect, Size};

use super::NAME;
use crate::{
    Framebuffer,
    codec::{VideoError, colour},
};

/// Decodes the frames of one moving rectangle, in the order in which they were encoded. After an error it wants a
/// keyframe.
pub struct H264Decoder {
    decoder: Decoder,
}

impl H264Decoder {
    /// A decoder that waits for a keyframe.
    ///
    /// # Errors
    /// [`VideoError::Damaged`] where memory is short.
    pub fn new() -> Result<Self, VideoError> {
        // Its default hands every picture out at once, which this needs: others wait for one to reorder.
        let config = DecoderConfig::new();
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config).map_err(damaged)?;
        Ok(Self { decoder })
    }

    /// Decodes a frame to `rect` of `shown`. Its picture must be as large as the rectangle, rounded up to even
    /// sides; of one that fails, no pixel is shown.
    ///
    /// # Errors
    /// [`VideoError`]; nothing is shown until the next keyframe.
    pub fn decode(&mut self, payload: &[u8], rect: Rect, shown: &mut Framebuffer) -> Result<(), VideoError> {
        if rect.is_empty() || !rect.fits(shown.size()) {
            return Err(VideoError::OutOfBounds(NAME));
        }
        let planes = self.planes(payload)?;
        let size = size_of(&planes);
        let even = Size::new(rect.width.next_multiple_of(2), rect.height.next_multiple_of(2));
        if size != even {
            return Err(VideoError::Misfit { codec: NAME, size });
        }
        colour::show(&planes, rect, shown).map_err(damaged)
    }

    /// Decodes a frame to a picture of its own size, for playing back what was recorded.
    ///
    /// # Errors
    /// [`VideoError::Damaged`]; nothing is shown until the next keyframe.
    pub fn decode_whole(&mut self, payload: &[u8], picture: &mut Framebuffer) -> Result<(), VideoError> {
        let planes = self.planes(payload)?;
        picture.resize(size_of(&planes));
        colour::show(&planes, picture.size().rect(), picture).map_err(damaged)
    }

    fn planes(&mut self, payload: &[u8]) -> Result<impl YUVSource + use<'_>, VideoError> {
        if payload.is_empty() {
            return Err(damaged("it is empty"));
        }
        self.decoder.decode(payload).map_err(damaged)?.ok_or_else(|| damaged("it holds no picture"))
    }
}

fn size_of(planes: &impl YUVSource) -> Size {
    let (width, height) = planes.dimensions();
    Size::new(width as u32, height as u32)
}

fn damaged(reason: impl ToString) -> VideoError {
    VideoError::Damaged { codec: NAME, reason: reason.to_string() }
}
