//! The thread `x11-events`: blocks on its own connection and says what kind of thing changed.
//!
//! It wakes the picture thread once per kind and then stays silent about that kind until somebody has looked,
//! so that a mouse with 8000 events a second costs one wake per look.

use std::{
    net::Shutdown,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tagio_media::capture::{CaptureError, Wake};
use tagio_process::spawn_named;
use x11rb::{
    connection::Connection as _,
    errors::ReplyOrIdError,
    protocol::{
        Event,
        damage::{self, ConnectionExt as _, ReportLevel},
        randr::{self, ConnectionExt as _, NotifyMask},
        xfixes::{ConnectionExt as _, CursorNotifyMask},
        xinput::{self, ConnectionExt as _, Device, XIEventMask},
        xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask},
    },
    wrapper::ConnectionExt as _,
};

use super::{
    connect::{XScreen, has, lost},
    monitors::MonitorsBy,
};
use crate::host::capture::desktop::Placed;

const LOCK: &str = "no thread panics while it holds the monitors";

/// What changed since somebody looked.
#[derive(Default)]
pub(super) struct Changes {
    picture: AtomicBool,
    cursor_shape: AtomicBool,
    pointer: AtomicBool,
    /// The monitors, if they are others than those that were taken last.
    monitors: Mutex<Option<Vec<Placed>>>,
    /// Why no event will ever come again.
    lost: OnceLock<String>,
    /// The source is going; nobody wants to hear of it.
    closing: AtomicBool,
}

/// Owns the event thread; dropping it ends and joins the thread.
pub(super) struct Watcher {
    changes: Arc<Changes>,
    /// A second handle of the thread's socket: shutting it down is the one call that ends a blocked read
    /// whatever state the server is in.
    socket: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch. Returns the damage object that gathers what changed on the root window.
    pub(super) fn start(name: Option<&str>, wake: Wake) -> Result<(Self, damage::Damage), CaptureError> {
        let screen = XScreen::open(name)?;
        let damage = select_events(&screen).map_err(lost)?;
        let no_thread =
            |error: std::io::Error| CaptureError::Unavailable(format!("no event thread: {error}"));
        // Also right for TCP: the handle serves only to shut the socket down.
        let socket = UnixStream::from(screen.conn.stream().as_fd().try_clone_to_owned().map_err(no_thread)?);
        let by = MonitorsBy::negotiate(&screen).map_err(lost)?;
        let monitors = by.ask(&screen).map_err(lost)?;
        let changes = Changes { monitors: Mutex::new(Some(monitors.clone())), ..Changes::default() };
        let changes = Arc::new(changes);
        let seen = Arc::clone(&changes);
        let thread = spawn_named("x11-events", move || watch(&screen, (by, monitors), &seen, &*wake))
            .map_err(no_thread)?;
        Ok((Self { changes, socket, thread: Some(thread) }, damage))
    }

    /// An error once the server is gone.
    pub(super) fn check(&self) -> Result<(), CaptureError> {
        match self.changes.lost.get() {
            Some(why) => Err(CaptureError::Lost(why.clone())),
            None => Ok(()),
        }
    }

    /// Whether pixels or the size may have changed since the last call.
    pub(super) fn take_picture(&self) -> bool {
        self.changes.picture.swap(false, Ordering::AcqRel)
    }

    /// The monitors, if they changed since the last call; the first call tells them.
    pub(super) fn take_monitors(&self) -> Option<Vec<Placed>> {
        self.changes.monitors.lock().expect(LOCK).take()
    }

    /// Whether the cursor may have another shape since the last call.
    pub(super) fn take_cursor_shape(&self) -> bool {
        self.changes.cursor_shape.swap(false, Ordering::AcqRel)
    }

    /// Whether the pointer may have moved since the last call.
    pub(super) fn take_pointer(&self) -> bool {
        self.changes.pointer.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.changes.closing.store(true, Ordering::Release);
        // It fails when the server hung up first; then the thread has ended by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread x11-events panicked");
        }
    }
}

fn select_events(screen: &XScreen) -> Result<damage::Damage, ReplyOrIdError> {
    let XScreen { conn, root } = screen;
    conn.xfixes_select_cursor_input(*root, CursorNotifyMask::DISPLAY_CURSOR)?.check()?;
    if has(conn, randr::X11_EXTENSION_NAME) {
        let mask = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
        conn.randr_select_input(*root, mask)?.check()?;
        // Of monitors that are no outputs RANDR has no event: the server sends this one instead.
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        conn.change_window_attributes(*root, &mask)?.check()?;
    }
    if has(conn, xinput::X11_EXTENSION_NAME) {
        let mask =
            xinput::EventMask { deviceid: Device::ALL_MASTER.into(), mask: vec![XIEventMask::RAW_MOTION] };
        conn.xinput_xi_select_events(*root, &[mask])?.check()?;
    }
    let damage = conn.generate_id()?;
    conn.damage_create(damage, *root, ReportLevel::NON_EMPTY)?.check()?;
    conn.sync()?;
    Ok(damage)
}

/// The thread's whole life. The connection ends with it, and so does the damage object.
fn watch(
    screen: &XScreen,
    (by, mut monitors): (MonitorsBy, Vec<Placed>),
    changes: &Changes,
    wake: &(dyn Fn() + Send + Sync),
) {
    loop {
        let kind = match screen.conn.wait_for_event() {
            Ok(Event::DamageNotify(_)) => &changes.picture,
            Ok(Event::XfixesCursorNotify(_)) => &changes.cursor_shape,
            Ok(Event::XinputRawMotion(_)) => &changes.pointer,
            Ok(Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) | Event::ConfigureNotify(_)) => {
                // If the server is gone, the next wait says so.
                if let Ok(now) = by.ask(screen)
                    && now != monitors
                {
                    monitors.clone_from(&now);
                    *changes.monitors.lock().expect(LOCK) = Some(now);
                }
                // Also a change of the size.
                &changes.picture
            }
            Ok(_) => continue,
            Err(error) => {
                if !changes.closing.load(Ordering::Acquire) {
                    // Only this thread sets it, and only here.
                    let _ = changes.lost.set(error.to_string());
                    wake();
                }
                return;
            }
        };
        if !kind.swap(true, Ordering::AcqRel) {
            wake();
        }
    }
}
