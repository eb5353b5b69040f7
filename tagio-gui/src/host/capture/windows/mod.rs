//! The screen of Windows: DXGI desktop duplication, else GDI; the cursor by the window manager's own word.
//!
//! Both read the primary monitor, whose corner is the origin of the coordinates that Windows gives to
//! pointers. Everything here runs on the picture thread, which asks again and again: neither of the two
//! tells by itself that something changed.

mod cursor;
mod cursor_image;
mod duplication;
mod dxgi;
mod gdi;
mod source;
mod surface;

use tagio_media::capture::{CaptureError, CaptureSource, Wake};

/// Opens the screen. Both ways of reading it are polled, so `_wake` is never called.
pub(super) fn open(_wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    Ok(Box::new(source::WindowsSource::open()?))
}
