//! The screen of an X server: what changed by DAMAGE, pixels by shared memory, the cursor by XFIXES.
//!
//! [`X11Source`] lives on the picture thread and asks on a connection of its own; a second connection, read
//! by the thread `x11-events`, only says that something changed. While nobody asks, damage gathers in the
//! server and costs nothing.

mod connect;
mod cursor;
mod events;
mod grab;
mod monitors;
mod source;

use tagio_media::capture::{CaptureError, CaptureSource, Wake};

/// Opens the display `name`, or the one that `DISPLAY` names.
pub fn open_display(name: Option<&str>, wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    Ok(Box::new(source::X11Source::open(name, wake)?))
}
