//! The screen by GDI: slow, and it works everywhere (remote desktops, virtual machines, old drivers, Wine).
//! Runs on the picture thread.

use std::time::Duration;

use tagio_media::{Framebuffer, Region, capture::CaptureError};
use tagio_wire::{Point, Size};

use super::{super::tiles, displays::Desktop, surface::Surface};

/// How often to look: every look copies and compares the whole screen, so 30 times a second.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(33);

/// Reads the desktop by GDI.
pub(super) struct GdiReader {
    desktop: Desktop,
    surface: Surface,
    /// The frame lacks more than a comparison with it would say.
    needs_whole: bool,
    /// It was told that Windows does not let us look now.
    is_locked: bool,
}

impl GdiReader {
    /// Makes sure that the screen can be read.
    pub(super) fn open(desktop: &Desktop) -> Result<Self, CaptureError> {
        let mut surface = new_surface(desktop.screen.size)?;
        surface.copy_screen(desktop.screen.origin).map_err(|error| {
            CaptureError::Unavailable(format!(
                "Windows refused ({error}); unlock the screen and start TagIO there"
            ))
        })?;
        Ok(Self { desktop: desktop.clone(), surface, needs_whole: true, is_locked: false })
    }

    /// What the last update showed.
    pub(super) fn desktop(&self) -> &Desktop {
        &self.desktop
    }

    /// Brings `frame` up to date with `desktop`. Nothing changes while Windows shows its secure desktop.
    pub(super) fn update(
        &mut self,
        frame: &mut Framebuffer,
        desktop: &Desktop,
    ) -> Result<Region, CaptureError> {
        let size = desktop.screen.size;
        if size != self.surface.size() {
            self.surface = new_surface(size)?;
            self.needs_whole = true;
        }
        if !self.look(desktop.screen.origin) {
            return Ok(Region::new());
        }
        self.desktop.clone_from(desktop);
        let whole = self.needs_whole || frame.size() != size;
        frame.resize(size);
        let changed = tiles::adopt(frame, self.surface.bytes());
        self.needs_whole = false;
        Ok(if whole { Region::whole(size) } else { changed })
    }

    /// Takes the picture of the screen from `origin` on. Whether Windows allowed it.
    fn look(&mut self, origin: Point) -> bool {
        let looked = self.surface.copy_screen(origin);
        match (&looked, self.is_locked) {
            (Err(error), false) => tracing::info!("Windows does not let us look for now: {error}"),
            (Ok(()), true) => tracing::info!("Windows lets us look again"),
            _ => {}
        }
        self.is_locked = looked.is_err();
        looked.is_ok()
    }
}

fn new_surface(size: Size) -> Result<Surface, CaptureError> {
    let unavailable = |error: windows::core::Error| CaptureError::Unavailable(error.to_string());
    Surface::new(size).map_err(unavailable)
}
