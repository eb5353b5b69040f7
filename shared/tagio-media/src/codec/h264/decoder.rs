//! Access units to pictures.

use openh264::{
    OpenH264API,
    decoder::{Decoder, DecoderConfig},
    formats::YUVSource,
};
use tagio_wire::{Rect, Size};

use super::{
    LONG_SIDE_MAX, NAME, SHORT_SIDE_MAX,
    sps::{MACROBLOCK, announced_sizes},
};
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
    /// sides; of one that fails, no pixel is shown. One that claims to be larger is refused unread.
    ///
    /// # Errors
    /// [`VideoError`]; nothing is shown until the next keyframe.
    pub fn decode(&mut self, payload: &[u8], rect: Rect, shown: &mut Framebuffer) -> Result<(), VideoError> {
        if rect.is_empty() || !rect.fits(shown.size()) {
            return Err(VideoError::OutOfBounds(NAME));
        }
        let block = |side: u32| side.next_multiple_of(MACROBLOCK);
        let fits = |size: Size| size.width <= block(rect.width) && size.height <= block(rect.height);
        check_size(payload, fits)?;
        let planes = self.planes(payload)?;
        let size = size_of(&planes);
        let even = Size::new(rect.width.next_multiple_of(2), rect.height.next_multiple_of(2));
        if size != even {
            return Err(VideoError::Misfit { codec: NAME, size });
        }
        colour::show(&planes, rect, shown).map_err(damaged)
    }

    /// Decodes a frame to a picture of its own size, for playing back what was recorded: at most
    /// [`LONG_SIDE_MAX`] by [`SHORT_SIDE_MAX`], whichever way round.
    ///
    /// # Errors
    /// [`VideoError`]; nothing is shown until the next keyframe.
    pub fn decode_whole(&mut self, payload: &[u8], picture: &mut Framebuffer) -> Result<(), VideoError> {
        let sides = |size: Size| (size.width.max(size.height), size.width.min(size.height));
        let fits = |size: Size| sides(size).0 <= LONG_SIDE_MAX && sides(size).1 <= SHORT_SIDE_MAX;
        check_size(payload, fits)?;
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

/// Refuses a frame that announces a size, in whole macroblocks, which does not fit: the library would allocate by it.
fn check_size(payload: &[u8], fits: impl Fn(Size) -> bool) -> Result<(), VideoError> {
    let sizes = announced_sizes(payload).map_err(damaged)?;
    match sizes.into_iter().find(|size| !fits(*size)) {
        Some(size) => Err(VideoError::Misfit { codec: NAME, size }),
        None => Ok(()),
    }
}

fn size_of(planes: &impl YUVSource) -> Size {
    let (width, height) = planes.dimensions();
    Size::new(width as u32, height as u32)
}

fn damaged(reason: impl ToString) -> VideoError {
    VideoError::Damaged { codec: NAME, reason: reason.to_string() }
}
