//! The thread `x11-pointer`: reads what the pointer does on the picture's window, and whether anybody can see
//! it, on a connection of its own. egui is not woken for any of it.

use std::{
    net::Shutdown,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::Arc,
    thread::JoinHandle,
};

use eframe::egui::Modifiers;
use tagio_process::spawn_named;
use tagio_wire::input::Button;
use x11rb::{
    connection::Connection as _,
    errors::{ConnectionError, ReplyError},
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ButtonPressEvent, ChangeWindowAttributesAux, ConnectionExt as _, EventMask,
            KeyButMask, Visibility, Window,
        },
    },
    rust_connection::RustConnection,
};

use super::{super::PointerAct, PresentError, WindowEvents, unavailable};

/// Most states that a window manager could list for a window.
const STATES_MAX: u32 = 64;

/// Owns the thread; dropping it ends and joins the thread.
pub(super) struct PointerThread {
    /// A second handle of the thread's socket: shutting it down is the one call that ends a blocked read
    /// whatever state the server is in.
    socket: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl PointerThread {
    /// Reads the pointer on `picture`, and watches its parent.
    pub(super) fn start(
        display: Option<&str>,
        parent: Window,
        picture: Window,
        events: Arc<dyn WindowEvents>,
    ) -> Result<Self, PresentError> {
        let (conn, _) = x11rb::connect(display).map_err(unavailable)?;
        // Also right for TCP: the handle serves only to shut the socket down.
        let socket = UnixStream::from(conn.stream().as_fd().try_clone_to_owned().map_err(unavailable)?);
        let reader = Reader::new(conn, parent, picture, events).map_err(unavailable)?;
        let run = move || reader.run().unwrap_or_else(|error| tracing::debug!(%error, "the pointer is gone"));
        let thread = Some(spawn_named("x11-pointer", run).map_err(unavailable)?);
        Ok(Self { socket, thread })
    }
}

impl Drop for PointerThread {
    fn drop(&mut self) {
        // It fails when the server is gone, and then so is the thread.
        self.socket.shutdown(Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Reader {
    conn: RustConnection,
    parent: Window,
    events: Arc<dyn WindowEvents>,
    net_wm_state: Atom,
    net_wm_state_hidden: Atom,
    is_mapped: bool,
    is_covered: bool,
    /// Minimised, by a window manager that keeps such windows mapped.
    is_hidden: bool,
}

impl Reader {
    fn new(
        conn: RustConnection,
        parent: Window,
        picture: Window,
        events: Arc<dyn WindowEvents>,
    ) -> Result<Self, ReplyError> {
        let pointer = EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::ENTER_WINDOW
            | EventMask::LEAVE_WINDOW;
        let sight = EventMask::STRUCTURE_NOTIFY | EventMask::VISIBILITY_CHANGE | EventMask::PROPERTY_CHANGE;
        for (window, mask) in [(picture, pointer), (parent, sight)] {
            let aux = ChangeWindowAttributesAux::new().event_mask(mask);
            conn.change_window_attributes(window, &aux)?.check()?;
        }
        let state = conn.intern_atom(false, b"_NET_WM_STATE")?;
        let hidden = conn.intern_atom(false, b"_NET_WM_STATE_HIDDEN")?;
        let (net_wm_state, net_wm_state_hidden) = (state.reply()?.atom, hidden.reply()?.atom);
        Ok(Self {
            conn,
            parent,
            events,
            net_wm_state,
            net_wm_state_hidden,
            // A window that was never shown is about to be.
            is_mapped: true,
            is_covered: false,
            is_hidden: false,
        })
    }

    /// Until the connection ends.
    fn run(mut self) -> Result<(), ReplyError> {
        loop {
            let first = self.conn.wait_for_event()?;
            self.on_event(&first)?;
            // A fast mouse sends many events at once: they become one message.
            while let Some(event) = self.conn.poll_for_event()? {
                self.on_event(&event)?;
            }
            self.events.flush();
        }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), ReplyError> {
        match event {
            Event::MotionNotify(at) => self.tell(at.event_x, at.event_y, PointerAct::Moved),
            Event::EnterNotify(at) => self.tell(at.event_x, at.event_y, PointerAct::Moved),
            Event::LeaveNotify(at) => self.tell(at.event_x, at.event_y, PointerAct::Gone),
            Event::ButtonPress(press) => self.on_button(press, true),
            Event::ButtonRelease(press) => self.on_button(press, false),
            other => self.on_sight(other)?,
        }
        Ok(())
    }

    fn on_sight(&mut self, event: &Event) -> Result<(), ReplyError> {
        match event {
            Event::MapNotify(map) if map.window == self.parent => self.is_mapped = true,
            Event::UnmapNotify(unmap) if unmap.window == self.parent => self.is_mapped = false,
            Event::VisibilityNotify(sight) => self.is_covered = sight.state == Visibility::FULLY_OBSCURED,
            Event::PropertyNotify(change) if change.atom == self.net_wm_state => {
                self.is_hidden = self.ask_hidden()?;
            }
            _ => return Ok(()),
        }
        self.events.seen(self.is_mapped && !self.is_covered && !self.is_hidden);
        Ok(())
    }

    fn on_button(&self, press: &ButtonPressEvent, down: bool) {
        let modifiers = modifiers(press.state);
        let wheel = |x, y| PointerAct::Wheel { x, y, modifiers };
        let button = |button| PointerAct::Button { button, down, modifiers };
        let act = match press.detail {
            1 => button(Button::Left),
            2 => button(Button::Middle),
            3 => button(Button::Right),
            8 => button(Button::Back),
            9 => button(Button::Forward),
            4 if down => wheel(0, -1),
            5 if down => wheel(0, 1),
            6 if down => wheel(-1, 0),
            7 if down => wheel(1, 0),
            _ => return,
        };
        self.tell(press.event_x, press.event_y, act);
    }

    fn tell(&self, x: i16, y: i16, act: PointerAct) {
        self.events.pointer(x.into(), y.into(), act);
    }

    /// Whether the window manager says that the window is minimised.
    fn ask_hidden(&self) -> Result<bool, ConnectionError> {
        let cookie =
            self.conn.get_property(false, self.parent, self.net_wm_state, AtomEnum::ATOM, 0, STATES_MAX)?;
        // A window that is gone cannot be asked, and is not seen.
        let Ok(reply) = cookie.reply() else { return Ok(true) };
        Ok(reply.value32().is_some_and(|mut states| states.any(|state| state == self.net_wm_state_hidden)))
    }
}

/// Of those that the keyboard holds, the ones whose place among X's modifiers never changes. Meta comes with
/// the keyboard's own events.
fn modifiers(state: KeyButMask) -> Modifiers {
    Modifiers {
        ctrl: state.contains(KeyButMask::CONTROL),
        shift: state.contains(KeyButMask::SHIFT),
        alt: state.contains(KeyButMask::MOD1),
        ..Modifiers::NONE
    }
}
