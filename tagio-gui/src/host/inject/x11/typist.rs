//! Types characters by pressing keys.

use std::collections::{BTreeMap, BTreeSet};

use x11rb::{
    connection::Connection as _,
    errors::{ConnectionError, ReplyError},
    protocol::{
        Event,
        xkb::{ConnectionExt as _, EventType, ID, MapPart, SelectEventsAux},
        xproto::Keycode,
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use super::{
    super::InjectError,
    keymap::{Keymap, Spot},
    modifiers::{Held, fake_key},
    spare::SpareKeys,
};

/// The XKB that every server of this century speaks.
const XKB_VERSION: (u16, u16) = (1, 0);

/// Types characters on an X server.
pub(in super::super) struct Typist {
    conn: RustConnection,
    keymap: Keymap,
    spare: SpareKeys,
    /// The keys behind the characters that are held, as they were found when they were pressed.
    held: BTreeMap<char, Keycode>,
}

impl Typist {
    /// Connects to the display `name`, or to the one that `DISPLAY` names.
    pub(in super::super) fn open(name: Option<&str>) -> Result<Self, InjectError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            InjectError::Unavailable(format!("{error}; it needs an X server with XTEST and XKEYBOARD"))
        };
        let (conn, _) = x11rb::connect(name).map_err(|error| unavailable(&error))?;
        listen(&conn).map_err(|error| unavailable(&error))?;
        let keymap = Keymap::fetch(&conn).map_err(|error| unavailable(&error))?;
        Ok(Self { conn, keymap, spare: SpareKeys::default(), held: BTreeMap::new() })
    }

    /// Presses or releases the key that has this character, with the modifiers it needs on this layout besides
    /// those that are held.
    pub(in super::super) fn key(&mut self, char: char, down: bool) -> Result<(), InjectError> {
        if !down {
            let Some(keycode) = self.held.remove(&char) else { return Ok(()) };
            fake_key(&self.conn, keycode, false)?;
            return Ok(self.conn.sync()?);
        }
        self.learn(&[char])?;
        let mut held = Held::look(&self.conn, &self.keymap)?;
        let Some(spot) = self.keymap.spot(char, held.group()) else {
            return Err(InjectError::Refused("no key could be found for a character".to_owned()));
        };
        held.set_group(spot.group)?;
        held.add(spot.modifiers)?;
        fake_key(&self.conn, spot.keycode, true)?;
        held.restore()?;
        self.held.insert(char, spot.keycode);
        Ok(self.conn.sync()?)
    }

    /// Types a text: line ends as Enter, tabs as Tab; other control characters are left out.
    pub(in super::super) fn text(&mut self, text: &str) -> Result<(), InjectError> {
        let chars: Vec<char> = text.replace("\r\n", "\n").chars().filter_map(typed_char).collect();
        self.refresh_keymap()?;
        // No piece has more characters than can be bound at once.
        let piece = self.spare.capacity(self.keymap.spare.len()).max(1);
        chars.chunks(piece).try_for_each(|chars| self.type_piece(chars))
    }

    fn type_piece(&mut self, chars: &[char]) -> Result<(), InjectError> {
        self.learn(chars)?;
        let mut held = Held::look(&self.conn, &self.keymap)?;
        held.suspend_locks()?;
        let mut missing = 0;
        for char in chars {
            match self.keymap.spot(*char, held.group()) {
                Some(spot) => press_once(&self.conn, &mut held, spot)?,
                None => missing += 1,
            }
        }
        held.restore()?;
        self.conn.sync()?;
        self.spare.note_pressed();
        if missing > 0 {
            return Err(InjectError::Refused(format!("no key was left for {missing} characters")));
        }
        Ok(())
    }

    /// Puts those characters on spare keys that no key has.
    fn learn(&mut self, chars: &[char]) -> Result<(), InjectError> {
        self.refresh_keymap()?;
        let has = |char: &char| self.keymap.spot(*char, 0).is_some();
        let missing: BTreeSet<char> = chars.iter().copied().filter(|char| !has(char)).collect();
        if !missing.is_empty() {
            let missing: Vec<char> = missing.into_iter().collect();
            self.spare.bind(&self.conn, &self.keymap.spare, chars, &missing)?;
            self.fetch_keymap()?;
        }
        Ok(())
    }

    /// Follows what others, or we, changed.
    fn refresh_keymap(&mut self) -> Result<(), ReplyError> {
        let mut changed = false;
        while let Some(event) = self.conn.poll_for_event()? {
            changed |= matches!(
                event,
                Event::MappingNotify(_) | Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_)
            );
        }
        if changed { self.fetch_keymap() } else { Ok(()) }
    }

    fn fetch_keymap(&mut self) -> Result<(), ReplyError> {
        self.keymap = Keymap::fetch(&self.conn)?;
        self.spare.keep(|char, keycode| self.keymap.types(char, keycode));
        Ok(())
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        // A server that is gone needs none of this.
        let _ = self.held.values().try_for_each(|keycode| fake_key(&self.conn, *keycode, false));
        let _ = self.spare.release(&self.conn);
        let _ = self.conn.sync();
    }
}

/// Asks to be told of changed maps.
fn listen(conn: &RustConnection) -> Result<(), ReplyError> {
    conn.xtest_get_version(2, 2)?.reply()?;
    conn.xkb_use_extension(XKB_VERSION.0, XKB_VERSION.1)?.reply()?;
    let events = EventType::NEW_KEYBOARD_NOTIFY | EventType::MAP_NOTIFY;
    let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
    let no_details = SelectEventsAux::new();
    let none = EventType::from(0_u16);
    conn.xkb_select_events(ID::USE_CORE_KBD.into(), none, events, parts, parts, &no_details)?.check()
}

/// A key that is down already is let go first: pressing it again would type nothing.
fn press_once(conn: &RustConnection, held: &mut Held<'_>, spot: Spot) -> Result<(), ConnectionError> {
    held.set_group(spot.group)?;
    held.set(spot.modifiers)?;
    if held.is_down(spot.keycode) {
        fake_key(conn, spot.keycode, false)?;
    }
    fake_key(conn, spot.keycode, true)?;
    fake_key(conn, spot.keycode, false)
}

/// What the keymap calls a character of a text, if it can be typed.
fn typed_char(char: char) -> Option<char> {
    match char {
        '\n' => Some('\r'),
        '\r' | '\t' => Some(char),
        _ => (!char.is_control()).then_some(char),
    }
}
