//! The end-to-end handshake: who the two are, that nobody sits between them, and that the viewer may come in.
//!
//! Noise between the two identity keys, with the TLS exporter of the connection as prologue, so that both
//! ends of the Noise handshake must be the ends of the same TLS connection. OPAQUE inside, tied to the same
//! exporter and keys. Frames are handed over without their length; nothing here does IO.
//!
//! ```text
//! host's key known (IK)                    first contact (XX)
//! viewer  1 | noise 1 (AuthRequest)        viewer  2 | noise 1
//! host    noise 2 (AuthReply)              host    noise 2
//!                                          viewer  noise 3 (AuthRequest)
//!                                          host    AuthReply
//! ```
//!
//! After a challenge the viewer goes on with `ViewerMessage::Auth`. From noise 2 (IK) or noise 3 (XX) on,
//! frames are plain inside TLS: the exporter has shown that its other end is the owner of the key.

mod host;
mod noise;
mod viewer;

use thiserror::Error;

pub use host::{
    Admission, Challenged, HostHandshake, HostStep, ResumeRequest, Resumed, SecretRequest, Visitor,
};
pub use viewer::{Credential, Verified, ViewerHandshake, ViewerIntent, ViewerStep};

use crate::opaque::OpaqueError;

/// Why a handshake cannot go on. The connection is then closed; nobody was let in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HandshakeError {
    /// A frame does not spell what it should.
    #[error("the other side sent something that is no TagIO handshake")]
    Malformed,
    /// The first frame asks for a handshake that this version does not know.
    #[error("the other side asks for handshake pattern {0}, which this version does not know")]
    UnknownPattern(u8),
    /// The frame was made for another key or another connection.
    #[error("the other side has another key than expected, or someone sits between the two")]
    NotAuthentic,
    /// The host answered something else than what was asked.
    #[error("the host's answer does not fit the request")]
    UnfitReply,
    /// Resuming shows the host no secret, so the viewer must know beforehand whom it resumes with.
    #[error("a session can be resumed only with a host whose key is known")]
    ResumeNeedsHostKey,
    /// The secret is over 64 KiB.
    #[error("the secret is too long")]
    SecretTooLong,
}

impl HandshakeError {
    /// Whether this may be an attack, and not just a broken or strange program.
    pub const fn is_suspicious(self) -> bool {
        matches!(self, Self::NotAuthentic | Self::UnfitReply)
    }
}

/// The viewer does not know the secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("wrong code or password")]
pub struct WrongSecret;

impl From<OpaqueError> for WrongSecret {
    fn from(_: OpaqueError) -> Self {
        Self
    }
}
