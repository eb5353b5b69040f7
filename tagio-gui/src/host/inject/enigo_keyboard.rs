//! Characters through enigo, where the system has a way to type any of them (Windows, macOS).

use enigo::{Direction, Enigo, Keyboard as _, Settings};

use super::{InjectError, injector::refused};

/// Types characters.
pub(super) struct Keyboard {
    enigo: Enigo,
}

impl Keyboard {
    /// An enigo of its own: it holds no connection, only what is pressed.
    pub(super) fn open(_display: Option<&str>) -> Result<Self, InjectError> {
        let enigo = Enigo::new(&Settings::default());
        Ok(Self { enigo: enigo.map_err(|error| InjectError::Unavailable(error.to_string()))? })
    }

    /// Presses or releases the key that has this character on the host's layout.
    pub(super) fn key(&mut self, char: char, down: bool) -> Result<(), InjectError> {
        let direction = if down { Direction::Press } else { Direction::Release };
        self.enigo.key(enigo::Key::Unicode(char), direction).map_err(refused)
    }

    /// Types a text. A zero byte, which enigo refuses, is left out.
    pub(super) fn text(&mut self, text: &str) -> Result<(), InjectError> {
        self.enigo.text(&text.replace('\0', "")).map_err(refused)
    }
}
