//! Reading the host's screen: which backend this system gets. Everything here runs on the picture thread,
//! except where a backend says that it has a thread of its own.

use tagio_media::capture::{CaptureError, CaptureSource, Wake};

#[cfg(any(windows, test))]
mod changed;
#[cfg(any(windows, target_os = "linux"))]
mod desktop;
#[cfg(any(windows, test))]
mod rotation;
#[cfg(any(target_os = "macos", feature = "scrap-capture"))]
mod scrap;
#[cfg(any(windows, target_os = "macos", feature = "scrap-capture", test))]
mod tiles;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
pub mod x11;

#[cfg(windows)]
pub(super) use windows::virtual_screen;

/// Chooses a backend where more than one is built in; the only value is `scrap`.
#[cfg(feature = "scrap-capture")]
const BACKEND_VARIABLE: &str = "TAGIO_CAPTURE";

/// Opens the screen of this session. `wake` is called, from any thread, when something may have changed.
pub fn open(wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    #[cfg(feature = "scrap-capture")]
    if std::env::var_os(BACKEND_VARIABLE).is_some_and(|value| value == "scrap") {
        return scrap::open();
    }
    open_native(wake)
}

#[cfg(target_os = "linux")]
fn open_native(wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    x11::open_display(None, wake)
}

#[cfg(windows)]
fn open_native(wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    windows::open(wake)
}

#[cfg(target_os = "macos")]
fn open_native(_wake: Wake) -> Result<Box<dyn CaptureSource>, CaptureError> {
    scrap::open()
}
