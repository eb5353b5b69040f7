//! Connecting to an X server and refusing, in words that help, one that cannot be shared.
//! Runs on the picture thread, when a source opens.

use std::{env, fmt::Display};

use tagio_media::capture::CaptureError;
use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    errors::{ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{
        damage::ConnectionExt as _,
        randr::ConnectionExt as _,
        xfixes::ConnectionExt as _,
        xinput::ConnectionExt as _,
        xproto::{ImageOrder, Screen, Setup, Window},
    },
    rust_connection::RustConnection,
};

/// The only pixels that are read: as [`tagio_media::Framebuffer`] keeps them.
const BITS_PER_PIXEL: u8 = 32;

/// Red, green and blue in a little-endian BGRX pixel.
const MASKS: [u32; 3] = [0x00ff_0000, 0x0000_ff00, 0x0000_00ff];

/// What Xwayland calls its outputs. Its root window is black: the compositor keeps the pixels.
const XWAYLAND_OUTPUT: &[u8] = b"XWAYLAND";

const USE_X11: &str = "this is a Wayland session, which TagIO cannot share yet; log out, choose an X11 (Xorg) \
                       session on the login screen, and log in again";

/// A connection, and the root window of its screen.
pub(super) struct XScreen {
    pub(super) conn: RustConnection,
    pub(super) root: Window,
}

impl XScreen {
    /// Connects and negotiates the extensions that every later request rests on.
    pub(super) fn open(name: Option<&str>) -> Result<Self, CaptureError> {
        let (conn, number) = x11rb::connect(name).map_err(|error| no_display(name, &error))?;
        negotiate(&conn)?;
        let root = conn.setup().roots[number].root;
        Ok(Self { conn, root })
    }

    /// Refuses a screen whose pixels are not BGRX, or that shows nothing of the session.
    pub(super) fn check(&self) -> Result<(), CaptureError> {
        let setup = self.conn.setup();
        let screen = setup.roots.iter().find(|screen| screen.root == self.root);
        if !screen.is_some_and(|screen| has_bgrx_pixels(setup, screen)) {
            let depth = screen.map_or(0, |screen| screen.root_depth);
            return unavailable(format!("its colour depth is {depth}; set it to 24 bits"));
        }
        if self.is_xwayland() {
            return unavailable(USE_X11);
        }
        Ok(())
    }

    fn is_xwayland(&self) -> bool {
        let Some(resources) = self.conn.randr_get_screen_resources_current(self.root).ok() else {
            return false;
        };
        let Ok(resources) = resources.reply() else { return false };
        let Some(output) = resources.outputs.first() else { return false };
        let info = self.conn.randr_get_output_info(*output, resources.config_timestamp);
        info.ok()
            .and_then(|info| info.reply().ok())
            .is_some_and(|info| info.name.starts_with(XWAYLAND_OUTPUT))
    }
}

/// Tells the server which versions are spoken. RANDR and XINPUT may be missing: then a changed size is only
/// seen together with damage, and pointer moves by others are only seen together with a new cursor.
fn negotiate(conn: &RustConnection) -> Result<(), CaptureError> {
    let xfixes = conn.xfixes_query_version(5, 0).map_err(lost)?.reply();
    let damage = conn.damage_query_version(1, 1).map_err(lost)?.reply();
    if xfixes.is_err() || damage.is_err() {
        return unavailable(
            "the X server lacks the extensions XFIXES and DAMAGE; enable them in its settings",
        );
    }
    if has(conn, x11rb::protocol::randr::X11_EXTENSION_NAME) {
        conn.randr_query_version(1, 5).map_err(lost)?.reply().map_err(lost)?;
    }
    if has(conn, x11rb::protocol::xinput::X11_EXTENSION_NAME) {
        conn.xinput_xi_query_version(2, 2).map_err(lost)?.reply().map_err(lost)?;
    }
    Ok(())
}

/// Whether the server has an extension.
pub(super) fn has(conn: &RustConnection, extension: &'static str) -> bool {
    matches!(conn.extension_information(extension), Ok(Some(_)))
}

fn has_bgrx_pixels(setup: &Setup, screen: &Screen) -> bool {
    let format = setup.pixmap_formats.iter().find(|format| format.depth == screen.root_depth);
    let mut visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
    let visual = visuals.find(|visual| visual.visual_id == screen.root_visual);
    setup.image_byte_order == ImageOrder::LSB_FIRST
        && format.is_some_and(|format| format.bits_per_pixel == BITS_PER_PIXEL)
        && visual.is_some_and(|visual| [visual.red_mask, visual.green_mask, visual.blue_mask] == MASKS)
}

fn no_display(name: Option<&str>, error: &dyn Display) -> CaptureError {
    let named = name.map(str::to_owned).or_else(|| env::var("DISPLAY").ok()).filter(|name| !name.is_empty());
    CaptureError::Unavailable(match named {
        _ if env::var_os("WAYLAND_DISPLAY").is_some() => USE_X11.to_owned(),
        Some(name) => {
            format!("no X server answers at DISPLAY={name} ({error}); run TagIO inside the session")
        }
        None => "DISPLAY is not set; run TagIO inside a graphical X11 session".to_owned(),
    })
}

fn unavailable<T>(problem: impl Into<String>) -> Result<T, CaptureError> {
    Err(CaptureError::Unavailable(problem.into()))
}

/// An error after the first successful request: the server went away, or refuses what it allowed before.
pub(super) fn lost(error: impl Into<XError>) -> CaptureError {
    CaptureError::Lost(error.into().0)
}

/// The text of any of x11rb's error types.
pub(super) struct XError(String);

impl From<ConnectionError> for XError {
    fn from(error: ConnectionError) -> Self {
        Self(error.to_string())
    }
}

impl From<ReplyError> for XError {
    fn from(error: ReplyError) -> Self {
        Self(error.to_string())
    }
}

impl From<ReplyOrIdError> for XError {
    fn from(error: ReplyOrIdError) -> Self {
        Self(error.to_string())
    }
}
