//! What a session's window shows its picture on: the GPU by way of egui, or a window of its own.
//!
//! With a GPU, egui draws the picture as a texture and is woken for each update. Without one, while the
//! picture is 1:1 and nothing lies over it, a [`Presenter`] copies only what changed, on the decode thread,
//! and egui sleeps.

use std::sync::{Arc, Mutex};

use eframe::glow::HasContext as _;
use tagio_media::{Framebuffer, Region};
use tagio_wire::Rect;

use super::{
    canvas::Canvas,
    decode::Screen,
    presenter::{self, Placement, Presenter},
};
use crate::{
    app::Wake,
    views::session::{PicturePainter, PixelRect},
};

const LOCK: &str = "no thread panics while it holds the surface";
/// Set to `gpu` or `cpu`, it decides in place of the renderer's name.
const CHOICE_VAR: &str = "TAGIO_PRESENTER";

/// The window's side of the picture. Shared by the decode thread and the window.
#[derive(Clone)]
pub struct Surface {
    canvas: Arc<Canvas>,
    wake: Wake,
    child: Arc<Mutex<Option<Child>>>,
}

/// The picture's own window.
struct Child {
    presenter: Box<dyn Presenter>,
    placement: Placement,
}

impl Surface {
    /// A surface for `canvas`; `wake` repaints the window.
    pub fn new(canvas: Arc<Canvas>, wake: Wake) -> Self {
        Self { canvas, wake, child: Arc::default() }
    }

    /// Chooses who paints, once the window exists.
    pub fn painter(&self, creation: &eframe::CreationContext<'_>) -> PicturePainter {
        if !wants_child(creation) {
            return PicturePainter::Texture;
        }
        let Some(presenter) = open_child(creation) else { return PicturePainter::Texture };
        *self.child.lock().expect(LOCK) = Some(Child { presenter, placement: Placement::default() });
        let surface = self.clone();
        PicturePainter::External(Box::new(move |rect| surface.place(rect)))
    }

    /// Moves the child window; `None` hides it.
    fn place(&self, rect: Option<PixelRect>) {
        let placement = rect.map_or_else(Placement::default, |rect| Placement {
            area: Rect::new(rect.x.max(0) as u32, rect.y.max(0) as u32, rect.width, rect.height),
            scrolled_x: rect.from.x.max(0) as u32,
            scrolled_y: rect.from.y.max(0) as u32,
        });
        if rect.is_some() {
            self.canvas.note_frame();
        }
        let mut child = self.child.lock().expect(LOCK);
        let Some(open) = child.as_mut().filter(|open| open.placement != placement) else { return };
        open.placement = placement;
        let outcome = open.presenter.place(placement, &self.canvas.lock().picture);
        if let Err(error) = outcome {
            tracing::warn!(%error, "the picture lost its window");
            *child = None;
        }
    }
}

impl Screen for Surface {
    fn picture_changed(&self, picture: &Framebuffer, changed: &Region) {
        let mut child = self.child.lock().expect(LOCK);
        let placed = child.as_mut().filter(|open| !open.placement.area.is_empty());
        let Some(open) = placed else {
            drop(child);
            return self.wake.wake();
        };
        if let Err(error) = open.presenter.present(picture, changed) {
            tracing::warn!(%error, "the picture lost its window");
            *child = None;
            self.wake.wake();
        }
    }

    fn cursor_changed(&self) {
        self.wake.wake();
    }
}

/// Whether drawing by OpenGL would be done by the processor.
fn wants_child(creation: &eframe::CreationContext<'_>) -> bool {
    match std::env::var(CHOICE_VAR).as_deref() {
        Ok("gpu") => return false,
        Ok("cpu") => return true,
        Ok(_) | Err(_) => {}
    }
    let Some(gl) = &creation.gl else { return false };
    #[expect(unsafe_code, reason = "glow declares every call of OpenGL unsafe")]
    // SAFETY: eframe made this context current for the creation of the app, and RENDERER always has a value.
    let renderer = unsafe { gl.get_parameter_string(eframe::glow::RENDERER) };
    let software = presenter::is_software_renderer(&renderer);
    tracing::info!(renderer, software, "OpenGL");
    software
}

#[cfg(target_os = "linux")]
fn open_child(creation: &eframe::CreationContext<'_>) -> Option<Box<dyn Presenter>> {
    use raw_window_handle::{HasWindowHandle as _, RawWindowHandle};
    let parent = match creation.window_handle().ok()?.as_raw() {
        RawWindowHandle::Xlib(handle) => u32::try_from(handle.window).ok()?,
        RawWindowHandle::Xcb(handle) => handle.window.get(),
        _ => return None,
    };
    match presenter::x11::X11Presenter::open(None, parent) {
        Ok(presenter) => Some(Box::new(presenter)),
        Err(error) => {
            tracing::info!(%error, "egui draws the picture");
            None
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open_child(_creation: &eframe::CreationContext<'_>) -> Option<Box<dyn Presenter>> {
    None
}
