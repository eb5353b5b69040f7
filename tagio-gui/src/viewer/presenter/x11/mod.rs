//! The picture as a child window of an X11 window, with a connection of its own. Runs on the decode thread.
//!
//! Pixels go by shared memory into a pixmap as large as the view, and from there to the window. The pixmap is
//! the window's background too, so the server repaints by itself what other windows uncover, and nothing
//! flashes. Its input shape is empty: for pointer and keyboard it is not there, so the parent sees no crossing
//! into it either.

mod upload;

use tagio_media::{Framebuffer, Region};
use tagio_wire::{Rect, Size};
use x11rb::{
    COPY_DEPTH_FROM_PARENT, NONE,
    connection::Connection as _,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        Event, shape,
        xfixes::ConnectionExt as _,
        xproto::{
            ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
            Gcontext, Gravity, Pixmap, Rectangle, Screen, Window, WindowClass,
        },
    },
    rust_connection::RustConnection,
};

use self::upload::Uploader;
use super::{Placement, PresentError, Presenter};

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
    placement: Placement,
    /// Size of the picture that is shown.
    picture: Size,
    /// The server reads the shared memory and will say when it is done; until then nobody writes it.
    uploading: bool,
}

impl X11Presenter {
    /// A child of the window `parent` on `display`, or on the one that `DISPLAY` names. Nothing is seen before
    /// the first [`Presenter::place`].
    pub fn open(display: Option<&str>, parent: Window) -> Result<Self, PresentError> {
        let (conn, number) = x11rb::connect(display).map_err(unavailable)?;
        let screen = conn.setup().roots[number].clone();
        if screen.root_depth != DEPTH {
            return Err(PresentError::Unavailable(format!("the screen has {} bits", screen.root_depth)));
        }
        let window = create_window(&conn, &screen, parent).map_err(unavailable)?;
        let gc = create_gc(&conn, window).map_err(unavailable)?;
        let uploader = Uploader::default();
        Ok(Self {
            conn,
            window,
            gc,
            shown: None,
            uploader,
            placement: Placement::default(),
            picture: Size::default(),
            uploading: false,
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

    /// Copies parts of the picture into the pixmap and the window.
    fn draw(&mut self, picture: &Framebuffer, region: &Region) -> Result<(), ReplyOrIdError> {
        let Some(shown) = self.shown else { return Ok(()) };
        let view = self.placement.view();
        let in_view = |rect: &Rect| rect.intersection(view)?.intersection(picture.size().rect());
        let rects: Vec<Rect> = region.rects().iter().filter_map(in_view).collect();
        if rects.is_empty() {
            return Ok(());
        }
        self.await_server()?;
        self.uploading = self.uploader.upload(&self.conn, (shown, self.gc), picture, &rects, view)?;
        for rect in rects {
            let (x, y) = ((rect.x - view.x) as i16, (rect.y - view.y) as i16);
            let (width, height) = (rect.width as u16, rect.height as u16);
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

    /// Shows all that is in view, after what was shown at `old`.
    fn show(&mut self, old: Placement, picture: &Framebuffer) -> Result<(), ReplyOrIdError> {
        let area = self.placement.area;
        self.picture = picture.size();
        let shown = match self.shown {
            Some(shown) if (old.area.width, old.area.height) == (area.width, area.height) => shown,
            _ => self.renew_pixmap(area)?,
        };
        // Black, where the view is larger than the picture.
        let all = Rectangle { x: 0, y: 0, width: area.width as u16, height: area.height as u16 };
        self.conn.poly_fill_rectangle(shown, self.gc, &[all])?;
        self.draw(picture, &Region::whole(picture.size()))?;
        let place =
            ConfigureWindowAux::new().x(area.x as i32).y(area.y as i32).width(area.width).height(area.height);
        self.conn.configure_window(self.window, &place)?;
        // The window kept its old pixels while it was resized; the background has the new ones.
        self.conn.clear_area(false, self.window, 0, 0, 0, 0)?;
        self.conn.map_window(self.window)?;
        Ok(self.conn.flush()?)
    }
}

impl Presenter for X11Presenter {
    fn present(&mut self, picture: &Framebuffer, damage: &Region) -> Result<(), PresentError> {
        if self.placement.area.is_empty() {
            return Ok(());
        }
        if picture.size() != self.picture {
            return self.show(self.placement, picture).map_err(lost);
        }
        self.draw(picture, damage).map_err(lost)
    }

    fn place(&mut self, placement: Placement, picture: &Framebuffer) -> Result<(), PresentError> {
        let old = std::mem::replace(&mut self.placement, placement);
        match placement.area.is_empty() {
            _ if old == placement => Ok(()),
            true => self.hide().map_err(lost),
            false => self.show(old, picture).map_err(lost),
        }
    }
}

/// The child: the screen's own visual whatever the parent's is, and no events.
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
    conn.xfixes_query_version(2, 0)?.reply()?;
    let nowhere = conn.generate_id()?;
    conn.xfixes_create_region(nowhere, &[])?;
    conn.xfixes_set_window_shape_region(window, shape::SK::INPUT, 0, 0, nowhere)?;
    conn.xfixes_destroy_region(nowhere)?.check()?;
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
