//! H.264 for what moves like a film: one encoder and one decoder per moving rectangle.
//!
//! One picture in, one access unit out: no picture is delayed, dropped or reordered, and keyframes come only where
//! they are asked for. The quantiser of every picture is ours ([`rate`]), so a frame costs about what it may.

mod decoder;
mod encoder;
mod rate;
mod tuning;

pub use decoder::H264Decoder;
pub use encoder::{H264Encoder, H264Frame};

/// Name of the codec in errors.
const NAME: &str = "H.264";

/// Sides that the library encodes, in pixels, whichever way round the picture lies.
pub const LONG_SIDE_MAX: u32 = 3840;
/// See [`LONG_SIDE_MAX`].
pub const SHORT_SIDE_MAX: u32 = 2160;
/// Smallest side that it encodes: one macroblock.
pub const SIDE_MIN: u32 = 16;

/// What a frame may cost and how it may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTarget {
    /// Bytes it should have. A keyframe takes up to [`KEYFRAME_SHARE`] times as many.
    pub bytes: usize,
    /// Finest quantiser, 1 to 51: what is saved below it nobody sees.
    pub qp_min: u8,
    /// Coarsest quantiser; where even that is too dear, a frame is larger than its target.
    pub qp_max: u8,
}

/// How many times the bytes of another frame a keyframe may cost: one that is held to the same would be blurred, and all
/// that refer to it too.
pub const KEYFRAME_SHARE: usize = 4;

/// What the library is told to let through; the quantiser of each frame is what holds it back.
const BITRATE_MAX: u32 = 100_000_000;
