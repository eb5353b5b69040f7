//! Characters that no key of the layout has, put on keys that it leaves empty.

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

use x11rb::{
    connection::Connection as _,
    errors::ConnectionError,
    protocol::xproto::{ConnectionExt as _, Keycode},
    rust_connection::RustConnection,
};
use xkeysym::{Keysym, NO_SYMBOL};

/// How long programs get to learn a changed map before its new keys are pressed. Those that handle events
/// strictly in order need none; some (Wine) lose characters without it. Paid once for each new character.
const LEARNING_TIME: Duration = Duration::from_millis(30);

/// How long programs get to read presses of a key before it means something else: they look it up when they
/// get to it. Paid only when no spare key is empty any more.
const READING_TIME: Duration = Duration::from_millis(250);

/// The spare keys in use, least recently bound first.
#[derive(Default)]
pub(super) struct SpareKeys {
    bound: VecDeque<(char, Keycode)>,
    /// When keys were pressed last.
    pressed: Option<Instant>,
}

impl SpareKeys {
    /// Most characters that can be bound at a time, with `free` keys still empty.
    pub(super) fn capacity(&self, free: usize) -> usize {
        self.bound.len() + free
    }

    /// Binds the `missing` ones of the characters of `piece`, of which there are at most [`Self::capacity`], to
    /// keys of `free`; when those run out, to keys whose characters were not needed for longest.
    pub(super) fn bind(
        &mut self,
        conn: &RustConnection,
        free: &[Keycode],
        piece: &[char],
        missing: &[char],
    ) -> Result<(), ConnectionError> {
        let is_needed = |(char, _): &(char, Keycode)| piece.contains(char);
        self.bound.make_contiguous().sort_by_key(is_needed);
        let reused = missing.len().saturating_sub(free.len()).min(self.bound.len());
        if reused > 0 {
            let since = self.pressed.map_or(READING_TIME, |pressed| pressed.elapsed());
            thread::sleep(READING_TIME.saturating_sub(since));
        }
        let keycodes: Vec<Keycode> =
            free.iter().copied().chain(self.bound.drain(..reused).map(|(_, keycode)| keycode)).collect();
        for (char, keycode) in missing.iter().zip(keycodes) {
            set(conn, keycode, Keysym::from_char(*char))?;
            self.bound.push_back((*char, keycode));
        }
        conn.flush()?;
        thread::sleep(LEARNING_TIME);
        Ok(())
    }

    /// Keys were pressed: the meaning of none may change at once.
    pub(super) fn note_pressed(&mut self) {
        self.pressed = Some(Instant::now());
    }

    /// Forgets keys that somebody gave another meaning, as a change of the layout does.
    pub(super) fn keep(&mut self, is_bound: impl Fn(char, Keycode) -> bool) {
        self.bound.retain(|(char, keycode)| is_bound(*char, *keycode));
    }

    /// Empties the keys again.
    pub(super) fn release(&mut self, conn: &RustConnection) -> Result<(), ConnectionError> {
        self.bound.drain(..).try_for_each(|(_, keycode)| set(conn, keycode, NO_SYMBOL))
    }
}

/// Two levels with the same meaning: with one, the server would make the other its upper case.
fn set(conn: &RustConnection, keycode: Keycode, sym: Keysym) -> Result<(), ConnectionError> {
    conn.change_keyboard_mapping(1, keycode, 2, &[sym.raw(), sym.raw()]).map(drop)
}
