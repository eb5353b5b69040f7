//! Doing on the host what a viewer's hands do. Everything here runs on the thread `inject`, which
//! [`spawn_injector`] starts; only [`InjectorHandle`] is used from outside.
//!
//! Limits of the systems: on Windows, Ctrl+Alt+Del cannot be injected by a user's program (the secure
//! attention sequence needs a service), nor can input for a window of higher integrity; both are refused or
//! ignored by the system. On Wayland nothing can be injected; see [`super::capture`].

#[cfg(any(windows, test))]
mod aim;
#[cfg(not(target_os = "linux"))]
mod enigo_keyboard;
mod injector;
mod keys;
mod queue;
mod waiting;
mod wheel;
#[cfg(windows)]
mod windows_pointer;
#[cfg(target_os = "linux")]
mod x11;

#[cfg(not(target_os = "linux"))]
use enigo_keyboard::Keyboard;
#[cfg(target_os = "linux")]
use x11::Keyboard;

pub use injector::Injector;
pub use queue::{InjectorHandle, Rejected, spawn_injector, spawn_injector_on};

use thiserror::Error;

/// Why an input event did not happen.
#[derive(Debug, Error)]
pub enum InjectError {
    /// Nothing can be injected here; says what to do.
    #[error("cannot control this screen: {0}")]
    Unavailable(String),
    /// The system refused this one event; others may pass.
    #[error("the system refused an input event: {0}")]
    Refused(String),
    /// The system will take none any more.
    #[error("the screen went away: {0}")]
    Lost(String),
}

impl InjectError {
    /// Whether the next event may pass.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
