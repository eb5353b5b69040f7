//! The seam between the host's picture and the window that shows it, for machines without a GPU.
//!
//! With a GPU the picture is a texture that egui draws. Without one, drawing a window by software for one
//! typed letter takes 50 times longer than the letter: there the picture gets a child window of its own inside
//! the session's window, and only what changed is copied to it. Runs on the decode thread.

mod software;
#[cfg(target_os = "linux")]
pub mod x11;

pub use software::is_software_renderer;

use tagio_media::{Framebuffer, Region};
use tagio_wire::Rect;
use thiserror::Error;

/// Why the picture cannot be shown this way.
#[derive(Debug, Error)]
pub enum PresentError {
    /// Not on this system; let egui draw the picture.
    #[error("the picture cannot have a window of its own: {0}")]
    Unavailable(String),
    /// The window or the display is gone. The presenter is of no more use.
    #[error("the picture's window is gone: {0}")]
    Lost(String),
}

/// Where the picture is seen, one picture pixel per screen pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The part of the session's window that shows it, in the window's physical pixels. Nothing is shown
    /// when it is empty.
    pub area: Rect,
    /// The picture's pixel at the top left of `area`: how far it is scrolled.
    pub scrolled_x: u32,
    /// Like `scrolled_x`, downwards.
    pub scrolled_y: u32,
}

impl Placement {
    /// The part of a picture's pixels that is in view.
    pub fn view(&self) -> Rect {
        Rect::new(self.scrolled_x, self.scrolled_y, self.area.width, self.area.height)
    }
}

/// Shows a picture inside a window. Pointer and keyboard events reach that window as if
/// the picture were not there, and its cursor is that window's.
///
/// It ends, and takes what it showed with it, when it is dropped.
pub trait Presenter: Send {
    /// Shows what changed. Cheap when nothing of `damage` is in view.
    fn present(&mut self, picture: &Framebuffer, damage: &Region) -> Result<(), PresentError>;

    /// Moves, resizes, scrolls, hides or shows the picture.
    fn place(&mut self, placement: Placement, picture: &Framebuffer) -> Result<(), PresentError>;
}
