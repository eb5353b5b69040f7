//! How the engine tells a window that there is something new to show.

use std::sync::{Arc, OnceLock};

use eframe::egui;

/// Can be called from any thread, also before the window exists and after it is gone.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<OnceLock<egui::Context>>);

impl Wake {
    /// Shows the newest state soon. Cheap; many calls make one frame.
    pub fn wake(&self) {
        if let Some(ctx) = self.0.get() {
            ctx.request_repaint();
        }
    }

    /// Closes the window, as its user could.
    pub fn close(&self) {
        if let Some(ctx) = self.0.get() {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            ctx.request_repaint();
        }
    }

    /// Wakes this window from now on. Only the first call counts.
    pub(super) fn connect(&self, ctx: &egui::Context) {
        // A second window on the same handle would be a mistake that costs nothing but its repaints.
        let _ = self.0.set(ctx.clone());
    }
}
