//! The viewer's side of the picture: decoding it and putting it on the screen.

pub mod canvas;
pub mod decode;
mod enlarge;
pub mod presenter;
pub mod surface;
