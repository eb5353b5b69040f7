//! The seam behind which picture codecs live: one encoder per viewer, one decoder per session.

pub mod bands;
mod colour;
pub mod h264;
pub mod jpeg;
pub mod picture;

use tagio_wire::{
    Size,
    picture::{UpdateHeader, UpdateNumber, VideoHeader},
};
use thiserror::Error;

use crate::{Framebuffer, Region};

/// One update of a viewer's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedUpdate {
    /// What the payload holds.
    pub header: UpdateHeader,
    /// The bands' payloads, back to back.
    pub payload: Vec<u8>,
}

/// One frame of a rectangle that plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    /// What the payload holds.
    pub header: VideoHeader,
    /// One access unit or one JPEG.
    pub payload: Vec<u8>,
}

/// Why an update could not be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The screen is larger than a viewer accepts.
    #[error("a screen of {} x {} pixels is larger than a viewer accepts", .0.width, .0.height)]
    TooLarge(Size),
    /// The codec library refused.
    #[error("{codec} encoder failed: {reason}")]
    Library {
        /// Which codec.
        codec: &'static str,
        /// Its own words.
        reason: String,
    },
}

/// Why an update could not be decoded. The stream is broken then, and the session ends with a reason.
#[derive(Debug, Error)]
pub enum PictureError {
    /// Its header names sizes or places that cannot be.
    #[error("picture update {0} is out of bounds")]
    Unsound(UpdateNumber),
    /// The payload is not what the header says.
    #[error("picture update {number} is damaged: {reason}")]
    Damaged {
        /// Which.
        number: UpdateNumber,
        /// What is wrong.
        reason: String,
    },
}

/// Why lossy pixels could not be decoded.
#[derive(Debug, Error)]
pub enum VideoError {
    /// The picture has another size than its place.
    #[error("a {codec} picture of {} x {} pixels does not fit its place", .size.width, .size.height)]
    Misfit {
        /// Which codec.
        codec: &'static str,
        /// Size of the picture.
        size: Size,
    },
    /// It lies outside the picture that it belongs to.
    #[error("a {0} picture lies outside the screen")]
    OutOfBounds(&'static str),
    /// The bytes are not what the codec writes.
    #[error("a {codec} picture is damaged: {reason}")]
    Damaged {
        /// Which codec.
        codec: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Turns damage into updates for one viewer. Keeps what that viewer was *sent*.
pub trait VideoEncoder: Send {
    /// Encodes `damage` of `screen`. `None` where the viewer already has those very pixels.
    ///
    /// A screen of another size than before starts the viewer's picture anew, in black; that is an update
    /// even where all of it is black. What does not fit into one update is kept for the next call: see
    /// [`Self::is_behind`].
    fn encode(
        &mut self,
        number: UpdateNumber,
        screen: &Framebuffer,
        damage: &Region,
    ) -> Result<Option<EncodedUpdate>, EncodeError>;

    /// Whether damage is left that found no room in the last update: call again when the link has room, if
    /// need be with no new damage.
    fn is_behind(&self) -> bool {
        false
    }
}

/// Turns updates back into pixels. Updates must come in the order in which they were encoded, all of them,
/// with the picture that the last one left.
pub trait VideoDecoder: Send {
    /// Applies an update to `picture` and returns what changed in it.
    fn decode(
        &mut self,
        header: &UpdateHeader,
        payload: &[u8],
        picture: &mut Framebuffer,
    ) -> Result<Region, PictureError>;
}
