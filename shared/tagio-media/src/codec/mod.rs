//! The seam behind which picture codecs live: one encoder per viewer, one decoder per session.

use tagio_wire::picture::{UpdateHeader, UpdateNumber};
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

/// Why an update could not be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
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

/// Turns damage into updates for one viewer. Keeps what that viewer was *sent*.
pub trait VideoEncoder: Send {
    /// Encodes `damage` of `screen`. `None` where the viewer already has those very pixels.
    ///
    /// A screen of another size than before starts the viewer's picture anew, in black.
    fn encode(
        &mut self,
        number: UpdateNumber,
        screen: &Framebuffer,
        damage: &Region,
    ) -> Result<Option<EncodedUpdate>, EncodeError>;
}

/// Turns updates back into pixels.
pub trait VideoDecoder: Send {
    /// Applies an update to `picture` and returns what changed in it.
    fn decode(
        &mut self,
        header: &UpdateHeader,
        payload: &[u8],
        picture: &mut Framebuffer,
    ) -> Result<Region, PictureError>;
}
