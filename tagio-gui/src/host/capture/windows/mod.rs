//! The screen of Windows: DXGI desktop duplication, else GDI; the cursor by the window manager's own word.
//!
//! Duplication is per display, and all of them or none: a display that cannot be duplicated would be black. GDI
//! takes over then, and gives back when the displays change or a minute later.
//!
//! Both read the whole desktop, all displays as one picture. The picture's origin is the desktop's corner, which
//! is not that of Windows' own coordinates: those begin at the primary display, and what lies left of or above it
//! is negative. Everything here runs on the picture thread, which asks again and again: neither of the two tells
//! by itself that something changed.

mod cursor;
mod cursor_image;
mod displays;
mod duplication;
mod dxgi;
mod gdi;
mod mapped;
mod outputs;
mod source;
mod surface;

pub(in crate::host) use displays::virtual_screen;

use tagio_media::capture::{CaptureError, CaptureSource, Wake};

/// Opens the screen. Both ways of reading it are polled, so `_wake` is never called.
pub(super) fn open(_wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    Ok(Box::new(source::WindowsSource::open()?))
}
