//! Which keys and buttons are down, so that none stays down.

use tagio_wire::input::{Button, InputEvent, Key, PointerMove};

/// Most keys held at once. People have ten fingers; a viewer that claims more is not followed.
const HELD_KEYS_MAX: usize = 32;

/// Keys and buttons that are down, in the order in which they went down.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: Vec<Key>,
    buttons: Vec<Button>,
}

impl Held {
    /// Notes a key; whether the event means anything. A key that is down may go down again: it repeats.
    pub(super) fn key(&mut self, key: Key, down: bool) -> bool {
        match (down, self.keys.iter().position(|held| *held == key)) {
            (true, Some(_)) => true,
            (true, None) if self.keys.len() == HELD_KEYS_MAX => false,
            (true, None) => {
                self.keys.push(key);
                true
            }
            (false, Some(index)) => {
                self.keys.remove(index);
                true
            }
            (false, None) => false,
        }
    }

    /// Notes a button; whether the event means anything. Buttons do not repeat.
    pub(super) fn button(&mut self, button: Button, down: bool) -> bool {
        match (down, self.buttons.iter().position(|held| *held == button)) {
            (true, None) => self.buttons.push(button),
            (false, Some(index)) => {
                self.buttons.remove(index);
            }
            (true, Some(_)) | (false, None) => return false,
        }
        true
    }

    /// Lets go of everything: what went down last comes up first, so that no modifier comes up alone before
    /// the key that it was held for.
    pub(super) fn release_all(&mut self, at: PointerMove) -> Vec<InputEvent> {
        let buttons = self.buttons.drain(..).rev();
        let buttons = buttons.map(|button| InputEvent::Button { button, down: false, at });
        let keys = self.keys.drain(..).rev().map(|key| InputEvent::Key { key, down: false });
        buttons.chain(keys).collect()
    }
}
