//! Framebuffers, damage and the picture codecs.
//!
//! Pure: pixels in, bytes out and back. Capturing and presenting are leaves elsewhere that implement or use
//! what is defined here.
#![warn(missing_docs)]

pub mod activity;
pub mod capture;
pub mod codec;
mod framebuffer;
mod pixels;
mod region;
mod view;

pub use framebuffer::Framebuffer;
pub use pixels::BYTES_PER_PIXEL;
pub use region::Region;
pub use view::{Look, View};
