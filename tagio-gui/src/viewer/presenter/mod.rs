//! The seam between the host's picture and the window that shows it, for machines without a GPU.
//!
//! With a GPU the picture is a texture that egui draws. Without one, drawing a window by software for one
//! typed letter takes 50 times longer than the letter: there the picture gets a child window of its own inside
//! the session's window, only what changed is copied to it, and the pointer on it does not wake egui.

mod painter;
#[cfg(target_os = "linux")]
mod scale;
mod software;
#[cfg(target_os = "linux")]
pub mod x11;

pub use painter::{PainterMail, PainterThread};
pub use software::is_software_renderer;

use eframe::egui::Modifiers;
use tagio_media::{Framebuffer, Region};
use tagio_wire::input::Button;
use thiserror::Error;

use crate::views::session::{CursorState, PictureView};

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

/// Shows a picture inside a window. Everything but the picture's part of it stays that window's.
///
/// Belongs to the painter thread. It ends, and takes what it showed with it, when it is dropped.
pub trait Presenter: Send {
    /// Shows what changed of the picture. Cheap when nothing of `damage` is in view. Shows nothing while the
    /// picture has another size than the view is for: a new view is under way then.
    fn present(&mut self, picture: &dyn Lender, damage: &Region) -> Result<(), PresentError>;

    /// Moves, resizes, scrolls, hides or shows the picture, and gives parts of it to the window around it.
    /// Nothing is shown when the view's area is empty.
    fn place(&mut self, view: PictureView, picture: &dyn Lender) -> Result<(), PresentError>;

    /// Shows the host's cursor: as the pointer's look on the picture, or where the host moved it.
    fn set_cursor(&mut self, cursor: CursorState) -> Result<(), PresentError>;
}

/// Lends the newest picture and cursor, for a copy only: the engine may be waiting for them.
pub trait Lender: Send + Sync {
    /// Shows `read` the picture.
    fn lend(&self, read: &mut dyn FnMut(&Framebuffer));

    /// The remote cursor.
    fn cursor(&self) -> CursorState;
}

/// Hears of what happens in the picture's window. Called on a thread of the presenter; must be quick.
pub trait WindowEvents: Send + Sync {
    /// The pointer did something, at a position from the picture's corner in the window's pixels, which lies
    /// outside of it while a button is held.
    fn pointer(&self, x: i32, y: i32, act: PointerAct);

    /// That was all for now.
    fn flush(&self);

    /// Whether anybody can see the window.
    fn seen(&self, is_seen: bool);
}

/// What the pointer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerAct {
    /// It moved, or came.
    Moved,
    /// It left the picture.
    Gone,
    /// A button went down or up.
    Button {
        /// Which.
        button: Button,
        /// Down.
        down: bool,
        /// What the keyboard holds.
        modifiers: Modifiers,
    },
    /// The wheel turned.
    Wheel {
        /// Notches to the right.
        x: i32,
        /// Notches downwards.
        y: i32,
        /// What the keyboard holds.
        modifiers: Modifiers,
    },
}
