//! What turns a screen into updates and back: one encoder per viewer, one decoder per session.

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
