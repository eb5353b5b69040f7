//! The seam between the picture and the system that owns the screen.

use std::{sync::Arc, time::Duration};

use tagio_wire::{Size, picture::CursorUpdate, session::Monitor};
use thiserror::Error;

use crate::{Framebuffer, Region};

/// Called by a source, from any thread, when something on the screen may have changed. Must be cheap.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Why the screen cannot be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// There is no screen to read, or no permission; says what to do.
    #[error("cannot read the screen: {0}")]
    Unavailable(String),
    /// It could be read and no longer can.
    #[error("the screen went away: {0}")]
    Lost(String),
}

/// A screen that can be read. Used by one thread.
pub trait CaptureSource: Send {
    /// What reads the screen, for logs: `x11`, `dxgi`, `gdi`, `scrap`.
    fn name(&self) -> &'static str;

    /// Its size now.
    fn size(&self) -> Size;

    /// The monitors that make up the screen, in the system's order, as of the last [`Self::update`]. Empty where
    /// the system does not tell them apart.
    fn monitors(&self) -> Vec<Monitor> {
        Vec::new()
    }

    /// `None`: the source calls its [`Wake`] when something changes. Else how often it wants to be asked
    /// while somebody watches.
    fn poll_interval(&self) -> Option<Duration>;

    /// Brings `frame` up to date and returns what changed since the last call. The first call, and one
    /// after a change of size, fills all of it. Returns an empty region at no cost when nothing changed.
    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError>;

    /// What happened to the cursor since the last call, oldest first: shape, then position. The first call
    /// tells both.
    fn cursor(&mut self) -> Result<Vec<CursorUpdate>, CaptureError>;
}
