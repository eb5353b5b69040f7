//! Characters on X11, by XTEST and XKB on a connection of our own.
//!
//! Why not enigo: it looks only at the first column of the keyboard map as it was when it started, so every
//! capital letter and most signs cost a change of the map and up to 12 ms, a second layout or a changed one
//! types wrong letters, and held modifiers spoil the text. Here a character that the layout has is a plain
//! press of its key with exactly the modifiers and the layout group it needs; held modifiers, Caps Lock and
//! the group are put aside for that moment and come back. Only characters that no key has are put on spare
//! keys.

mod keymap;
mod modifiers;
mod spare;
mod typist;

pub(super) use typist::Typist as Keyboard;

use x11rb::errors::{ConnectionError, ReplyError};

use super::InjectError;

impl From<ConnectionError> for InjectError {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<ReplyError> for InjectError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(_) => Self::Refused(error.to_string()),
        }
    }
}
