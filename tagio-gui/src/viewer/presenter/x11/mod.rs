//! The picture as a child window of an X11 window. Drawing belongs to the painter thread and has a connection
//! of its own; the pointer has another one and a thread, so that neither waits for the other.
//!
//! Pixels go by shared memory into a pixmap as large as the view, and from there to the window. The pixmap is
//! the window's background too, so the server repaints by itself what other windows uncover, and nothing
//! flashes. Where the session's window covers the picture, the child has holes: through them egui's pixels
//! are seen and the pointer is egui's.

mod cursor;
mod holes;
mod pointer;
mod remote_pointer;
mod upload;

use std::sync::Arc;

use tagio_media::Region;
use tagio_wire::Rect;
use x11rb::{
    COPY_DEPTH_FROM_PARENT, NONE,
    connection::Connection as _,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        Event,
        xproto::{
            ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
            Gcontext, Gravity, Pixmap, Rectangle, Screen, Window, WindowClass,
        },
    },
    rust_connection::RustConnection,
};

use self::{
    cursor::{Cursors, Look},
    pointer::PointerThread,
    remote_pointer::RemotePointer,
    upload::Uploader,
};
use super::{Lender, PresentError, Presenter, WindowEvents, scale::Scaler};
use crate::views::session::{CursorLook, CursorState, PictureView};

/// The only depth whose fourth byte means nothing; with 32 bits a compositor would take it for transparency.
const DEPTH: u8 = 24;

/// Shows a picture in a child window.
pub struct X11Presenter {
    conn: RustConnection,
    window: Window,
    gc: Gcontext,
    /// What the window shows, as large as the view.
    shown: Option<Pixmap>,
    uploader: Uploader,
    scaler: Option<Scaler>,
    view: PictureView,
    /// The server reads the shared memory and will say when it is done; until then nobody writes it.
    uploading: bool,
    cursor: CursorState,
    cursors: Cursors,
    remote_pointer: RemotePointer,
    _pointer: PointerThread,
}

impl X11Presenter {
    /// A child of the window `parent` on `display`, or on the one that `DISPLAY` names. Nothing is seen before
    /// the first [`Presenter::place`].
    pub fn open(
        display: Option<&str>,
        parent: Window,
        events: Arc<dyn WindowEvents>,
    ) -> Result<Self, PresentError> {
        let (conn, number) = x11rb::connect(display).map_err(unavailable)?;
        let screen = conn.setup().roots[number].clone();
        if screen.root_depth != DEPTH {
            return Err(PresentError::Unavailable(format!("the screen has {} bits", screen.root_depth)));
        }
        let window = create_window(&conn, &screen, parent).map_err(unavailable)?;
        let gc = create_gc(&conn, window).map_err(unavailable)?;
        let cursors = Cursors::new(&conn).map_err(unavailable)?;
        let remote_pointer = RemotePointer::create(&conn, &screen, window).map_err(unavailable)?;
        let pointer = PointerThread::start(display, parent, window, events)?;
        Ok(Self {
            conn,
            window,
            gc,
            shown: None,
            uploader: Uploader::default(),
            scaler: None,
            view: PictureView::default(),
            uploading: false,
            cursor: CursorState::default(),
            cursors,
            remote_pointer,
            _pointer: pointer,
        })
    }

    /// Waits until the server has read the shared memory. An error in the meantime means that the window went
    /// with its parent: nothing else here can fail.
    fn await_server(&mut self) -> Result<(), ReplyError> {
        while self.uploading {
            self.handle(self.conn.wait_for_event()?)?;
        }
        while let Some(event) = self.conn.poll_for_event()? {
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), ReplyError> {
        match event {
            Event::ShmCompletion(_) => self.uploading = false,
            Event::Error(error) => return Err(error.into()),
            // Servers tell every client of keyboard changes.
            _ => {}
        }
        Ok(())
    }

    /// Scales parts of the picture into the pixmap and copies them to the window.
    fn draw(&mut self, picture: &dyn Lender, damage: &Region) -> Result<(), ReplyOrIdError> {
        self.await_server()?;
        let (Some(shown), Some(scaler)) = (self.shown, &mut self.scaler) else { return Ok(()) };
        let seen = self.view.seen();
        let mut parts = Region::new();
        for rect in damage.rects() {
            let touched = scaler.touched(*rect).intersection(self.view.scaled.rect());
            if let Some(part) = touched.and_then(|part| part.intersection(seen)) {
                parts.add(part);
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let make = |part, out: &mut [u8]| scaler.scale(part, picture, out);
        let to = (shown, self.gc);
        self.uploading = self.uploader.upload(&self.conn, to, parts.rects(), seen, make)?;
        for part in parts.rects() {
            let (x, y) = ((part.x - seen.x) as i16, (part.y - seen.y) as i16);
            let (width, height) = (part.width as u16, part.height as u16);
            self.conn.copy_area(shown, self.window, self.gc, x, y, x, y, width, height)?;
        }
        // Servers may copy a background when it is set, so one that changed is set again.
        let background = ChangeWindowAttributesAux::new().background_pixmap(shown);
        self.conn.change_window_attributes(self.window, &background)?;
        Ok(self.conn.flush()?)
    }

    /// A new pixmap for a view of a new size.
    fn renew_pixmap(&mut self, area: Rect) -> Result<Pixmap, ReplyOrIdError> {
        self.await_server()?;
        self.uploader.resize(&self.conn, area.area() as usize)?;
        let pixmap = self.conn.generate_id()?;
        self.conn.create_pixmap(DEPTH, pixmap, self.window, area.width as u16, area.height as u16)?;
        if let Some(old) = self.shown.replace(pixmap) {
            self.conn.free_pixmap(old)?;
        }
        Ok(pixmap)
    }

    fn hide(&mut self) -> Result<(), ReplyOrIdError> {
        self.await_server()?;
        self.conn.unmap_window(self.window)?;
        Ok(self.conn.flush()?)
    }

    /// Takes over a view after `old` and shows what is not there yet.
    fn show(&mut self, old: &PictureView, picture: &dyn Lender) -> Result<(), ReplyOrIdError> {
        let view = &self.view;
        let is_drawn = (old.area, old.picture, old.scaled, old.seen())
            == (view.area, view.picture, view.scaled, view.seen());
        if !is_drawn {
            self.draw_all(old.area, picture)?;
        }
        if !is_drawn
            || (&old.covered, old.pointer_is_windows) != (&self.view.covered, self.view.pointer_is_windows)
        {
            holes::cut(&self.conn, self.window, &self.view)?;
        }
        self.show_cursor()?;
        self.conn.map_window(self.window)?;
        Ok(self.conn.flush()?)
    }

    fn draw_all(&mut self, old: Rect, picture: &dyn Lender) -> Result<(), ReplyOrIdError> {
        let (area, from, to) = (self.view.area, self.view.picture, self.view.scaled);
        let is_scalable = from.area() > 0 && to.area() > 0;
        self.scaler = is_scalable.then(|| Scaler::new(from, to));
        let shown = match self.shown {
            Some(shown) if (old.width, old.height) == (area.width, area.height) => shown,
            _ => self.renew_pixmap(area)?,
        };
        // Black, where the view is larger than the picture.
        let all = Rectangle { x: 0, y: 0, width: area.width as u16, height: area.height as u16 };
        self.conn.poly_fill_rectangle(shown, self.gc, &[all])?;
        self.draw(picture, &Region::whole(from))?;
        let place =
            ConfigureWindowAux::new().x(area.x as i32).y(area.y as i32).width(area.width).height(area.height);
        self.conn.configure_window(self.window, &place)?;
        // The window kept its old pixels while it was resized; the background has the new ones.
        self.conn.clear_area(false, self.window, 0, 0, 0, 0)?;
        Ok(())
    }

    /// While this viewer leads, the host's cursor is the window's, so it never lags behind the hand; while
    /// something on the host moves it, it is drawn where the host has it.
    fn show_cursor(&mut self) -> Result<(), ReplyOrIdError> {
        let is_leading = self.view.has_control && self.cursor.moved_to.is_none();
        let look = match &self.cursor.look {
            CursorLook::Shape(shape) if is_leading => Look::Shape(Arc::clone(shape), self.cursor_factor()),
            CursorLook::Hidden if is_leading => Look::Hidden,
            CursorLook::Unknown | CursorLook::Hidden | CursorLook::Shape(_) => Look::Windows,
        };
        self.cursors.show(&self.conn, self.window, look)?;
        match (&self.cursor.look, self.cursor.moved_to) {
            (CursorLook::Shape(shape), Some(at)) if self.view.draws_pointer => {
                let at = self.view.position_of(at);
                self.remote_pointer.show(&self.conn, Arc::clone(shape), self.cursor_factor(), at)
            }
            _ => self.remote_pointer.hide(&self.conn),
        }
    }

    /// How many times a cursor's pixels are repeated, as the picture is enlarged.
    fn cursor_factor(&self) -> u32 {
        let scale = f64::from(self.view.scaled.width) / f64::from(self.view.picture.width.max(1));
        (scale.round() as u32).max(1)
    }
}

impl Presenter for X11Presenter {
    fn present(&mut self, picture: &dyn Lender, damage: &Region) -> Result<(), PresentError> {
        if self.view.area.is_empty() {
            return Ok(());
        }
        self.draw(picture, damage).map_err(lost)
    }

    fn place(&mut self, view: PictureView, picture: &dyn Lender) -> Result<(), PresentError> {
        let is_empty = view.area.is_empty();
        let old = std::mem::replace(&mut self.view, view);
        match is_empty {
            _ if old == self.view => Ok(()),
            true => self.hide().map_err(lost),
            false => self.show(&old, picture).map_err(lost),
        }
    }

    fn set_cursor(&mut self, cursor: CursorState) -> Result<(), PresentError> {
        self.cursor = cursor;
        if self.view.area.is_empty() {
            return Ok(());
        }
        self.show_cursor().map_err(lost)?;
        self.conn.flush().map_err(lost)
    }
}

/// A child with the screen's own visual, whatever the parent's is, and no events.
fn create_window(conn: &RustConnection, screen: &Screen, parent: Window) -> Result<Window, ReplyOrIdError> {
    let window = conn.generate_id()?;
    let aux = CreateWindowAux::new()
        .background_pixmap(NONE)
        .border_pixel(0)
        .bit_gravity(Gravity::NORTH_WEST)
        .colormap(screen.default_colormap);
    let class = WindowClass::INPUT_OUTPUT;
    debug_assert_ne!(DEPTH, COPY_DEPTH_FROM_PARENT, "a parent with 32 bits must not pass them on");
    conn.create_window(DEPTH, window, parent, 0, 0, 1, 1, 0, class, screen.root_visual, &aux)?.check()?;
    holes::require(conn)?;
    Ok(window)
}

/// Draws black, and asks for no word about areas that could not be copied.
fn create_gc(conn: &RustConnection, window: Window) -> Result<Gcontext, ReplyOrIdError> {
    let gc = conn.generate_id()?;
    conn.create_gc(gc, window, &CreateGCAux::new().foreground(0).graphics_exposures(0))?.check()?;
    Ok(gc)
}

fn unavailable(error: impl std::fmt::Display) -> PresentError {
    PresentError::Unavailable(error.to_string())
}

fn lost(error: impl std::fmt::Display) -> PresentError {
    PresentError::Lost(error.to_string())
}
