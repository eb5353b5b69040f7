//! One viewer's whole picture: exact bands, video where much moves, and what is to be made exact later.

mod decoder;
mod encoder;
mod frames;
mod link;
mod mask;
mod slot;
mod stills;

pub use decoder::{PictureDecoder, Played};
pub use encoder::{Encoded, PictureEncoder};
pub use link::Link;

use tagio_wire::picture::UpdateNumber;

/// Whether `a` was counted after `b`; numbers wrap around.
fn is_newer(a: UpdateNumber, b: UpdateNumber) -> bool {
    a != b && a.wrapping_sub(b) < UpdateNumber::MAX / 2
}
