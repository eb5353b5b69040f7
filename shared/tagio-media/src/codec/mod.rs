//! What turns a screen into updates and back: one encoder per viewer, one decoder per session.

pub mod bands;

use tagio_wire::{
    Size,
    picture::{UpdateHeader, UpdateNumber},
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
