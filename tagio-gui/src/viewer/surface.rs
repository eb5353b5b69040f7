//! What a session's window shows its picture on: the GPU by way of egui, or a window of the picture's own.
//!
//! With a GPU, egui draws the picture as a texture and is woken for each update. Without one, a
//! [`presenter::Presenter`] shows only what changed, on a thread of its own, the pointer on it goes straight to
//! the engine, and egui sleeps.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use eframe::glow::HasContext as _;
use tagio_media::{Framebuffer, Region};
use tagio_wire::Point;

use super::{
    canvas::Canvas,
    decode::Screen,
    presenter::{self, Lender, PainterMail, PainterThread, PointerAct, Presenter, WindowEvents},
};
use crate::{
    app::{InputLine, Wake, Witness, input_capture::PictureInput},
    views::session::{CursorState, PicturePainter, PicturePointer, PictureView, PictureWindow},
};

const LOCK: &str = "no thread panics while it holds the view";
/// Set to `gpu` or `cpu`, it decides in place of the renderer's name.
const CHOICE_VAR: &str = "TAGIO_PRESENTER";
/// The wire's unit of the wheel.
const WHEEL_UNITS_PER_NOTCH: i32 = 120;

/// The window's side of the picture. Shared by the decode thread, the engine and the window.
#[derive(Clone)]
pub struct Surface {
    canvas: Arc<Canvas>,
    wake: Wake,
    child: Arc<OnceLock<Child>>,
}

/// The picture's own window.
struct Child {
    thread: PainterThread,
    hands: Arc<Hands>,
}

/// The pointer on the picture's own window.
struct Hands {
    canvas: Arc<Canvas>,
    input: InputLine,
    mail: PainterMail,
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    view: PictureView,
    pointer: Option<PicturePointer>,
    /// Something on the host moved its pointer, and this viewer has not moved it since.
    host_leads: bool,
}

impl Surface {
    /// A surface for `canvas`; `wake` repaints the window.
    pub fn new(canvas: Arc<Canvas>, wake: Wake) -> Self {
        Self { canvas, wake, child: Arc::default() }
    }

    /// Chooses who paints, once the window exists. The pointer on a picture that has its own window goes to
    /// `input`.
    pub fn painter(&self, creation: &eframe::CreationContext<'_>, input: InputLine) -> PicturePainter {
        match wants_child(creation).then(|| self.open(creation, input)).flatten() {
            Some(child) => {
                // A second window on one surface would be a mistake: the first one stays.
                self.child.set(child).ok();
                PicturePainter::Window(Box::new(self.clone()))
            }
            None => PicturePainter::Texture,
        }
    }

    fn open(&self, creation: &eframe::CreationContext<'_>, input: InputLine) -> Option<Child> {
        let mail = PainterMail::default();
        let hands = Arc::new(Hands {
            canvas: Arc::clone(&self.canvas),
            input,
            mail: mail.clone(),
            place: Mutex::default(),
        });
        let presenter = open_child(creation, Arc::clone(&hands) as Arc<dyn WindowEvents>)?;
        let wake = self.wake.clone();
        let on_lost = move |error| {
            tracing::warn!(%error, "the picture lost its window");
            wake.wake();
        };
        let canvas = Arc::clone(&self.canvas) as Arc<dyn Lender>;
        let thread = PainterThread::spawn(presenter, canvas, mail, on_lost)
            .inspect_err(|error| tracing::warn!(%error, "egui draws the picture"))
            .ok()?;
        Some(Child { thread, hands })
    }

    /// The picture's own window, while it shows the picture.
    fn shown(&self) -> Option<&Child> {
        self.child.get().filter(|child| !child.hands.lock().view.area.is_empty())
    }
}

impl PictureWindow for Surface {
    fn show(&mut self, view: Option<PictureView>) -> bool {
        let Some(child) = self.child.get() else { return false };
        let is_shown = view.is_some();
        let view = view.unwrap_or_default();
        if is_shown {
            self.canvas.note_frame();
        }
        let mut place = child.hands.lock();
        if place.view != view {
            place.view = view.clone();
            child.thread.mail().place(view);
        }
        if child.thread.mail().is_lost() {
            place.view = PictureView::default();
            return false;
        }
        is_shown
    }

    fn pointer(&self) -> Option<PicturePointer> {
        self.child.get()?.hands.lock().pointer
    }
}

impl Screen for Surface {
    fn picture_changed(&self, _picture: &Framebuffer, changed: &Region) {
        match self.shown() {
            Some(child) => child.thread.mail().damage(changed),
            None => self.wake.wake(),
        }
    }

    fn cursor_changed(&self) {
        if let Some(child) = self.child.get() {
            child.hands.lock().host_leads = self.canvas.lock().cursor.moved_to.is_some();
            child.thread.mail().cursor_changed();
        }
        if self.shown().is_none() {
            self.wake.wake();
        }
    }
}

impl Hands {
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().expect(LOCK)
    }
}

impl WindowEvents for Hands {
    fn pointer(&self, x: i32, y: i32, act: PointerAct) {
        let mut place = self.lock();
        let area = place.view.area;
        let is_within = |at: i32, side: u32| u32::try_from(at).is_ok_and(|at| at < side);
        place.pointer = Some(PicturePointer {
            at: Point::new(x + area.x as i32, y + area.y as i32),
            is_on_it: act != PointerAct::Gone && is_within(x, area.width) && is_within(y, area.height),
        });
        if act == PointerAct::Moved && place.view.follow(x, y) {
            self.mail.place(place.view.clone());
        }
        let at = place.view.point_at(x, y);
        let is_mine = act != PointerAct::Gone && place.view.has_control;
        let takes_lead = is_mine && std::mem::take(&mut place.host_leads);
        drop(place);
        if takes_lead {
            self.canvas.lock().cursor.moved_to = None;
            self.mail.cursor_changed();
        }
        self.input.picture_input(match act {
            PointerAct::Gone => return,
            PointerAct::Moved => PictureInput::Moved(at),
            PointerAct::Button { button, down, modifiers } => {
                PictureInput::Button { button, down, at, modifiers }
            }
            PointerAct::Wheel { x, y, modifiers } => {
                let units = |notches: i32| notches * WHEEL_UNITS_PER_NOTCH;
                PictureInput::Wheel { x: units(x), y: units(y), modifiers }
            }
        });
    }

    fn flush(&self) {
        self.input.flush_or_wake();
    }

    fn seen(&self, is_seen: bool) {
        self.input.set_watching(Witness::Picture, is_seen);
    }
}

impl Lender for Canvas {
    fn lend(&self, read: &mut dyn FnMut(&Framebuffer)) {
        read(&self.lock().picture);
    }

    fn cursor(&self) -> CursorState {
        self.lock().cursor.clone()
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
fn open_child(
    creation: &eframe::CreationContext<'_>,
    events: Arc<dyn WindowEvents>,
) -> Option<Box<dyn Presenter>> {
    use raw_window_handle::{HasWindowHandle as _, RawWindowHandle};
    let parent = match creation.window_handle().ok()?.as_raw() {
        RawWindowHandle::Xlib(handle) => u32::try_from(handle.window).ok()?,
        RawWindowHandle::Xcb(handle) => handle.window.get(),
        _ => return None,
    };
    match presenter::x11::X11Presenter::open(None, parent, events) {
        Ok(presenter) => Some(Box::new(presenter)),
        Err(error) => {
            tracing::info!(%error, "egui draws the picture");
            None
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open_child(
    _creation: &eframe::CreationContext<'_>,
    _events: Arc<dyn WindowEvents>,
) -> Option<Box<dyn Presenter>> {
    None
}
