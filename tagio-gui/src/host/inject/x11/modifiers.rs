//! Putting held modifiers, locks and the layout group aside while a text is typed, and back afterwards.

use x11rb::{
    errors::{ConnectionError, ReplyError},
    protocol::{
        xkb::{ConnectionExt as _, Group, ID},
        xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, ModMask},
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

use super::keymap::{Keymap, MODIFIERS};

/// Num Lock: changes no key that we press, so its lamp may stay on.
const NUM_LOCK: u8 = 1 << 4;

/// The keyboard as we found it, and as it is now.
pub(super) struct Held<'a> {
    conn: &'a RustConnection,
    /// One bit for each key that was down.
    down: Vec<u8>,
    /// The keys that switch each modifier: those that were down, else the first that the layout has.
    switches: [Vec<Keycode>; MODIFIERS],
    found: u8,
    now: u8,
    found_locks: u8,
    /// The group in force then, and the part of it that is locked: held keys may add to that.
    found_group: u8,
    found_group_lock: u8,
    group: u8,
}

impl<'a> Held<'a> {
    /// Looks at the keyboard.
    pub(super) fn look(conn: &'a RustConnection, keymap: &Keymap) -> Result<Self, ReplyError> {
        let state = conn.xkb_get_state(ID::USE_CORE_KBD.into())?;
        let keys = conn.query_keymap()?;
        let (state, down) = (state.reply()?, keys.reply()?.keys.to_vec());
        let found = u16::from(state.base_mods) as u8;
        let switches = std::array::from_fn(|bit| switches(&keymap.modifier_keys[bit], &down, found, bit));
        let group = u8::from(state.group);
        Ok(Self {
            conn,
            down,
            switches,
            found,
            now: found,
            found_locks: u16::from(state.locked_mods) as u8,
            found_group: group,
            found_group_lock: u8::from(state.locked_group),
            group,
        })
    }

    /// The layout group that is in force.
    pub(super) fn group(&self) -> u8 {
        self.group
    }

    /// Whether a key was down when we looked.
    pub(super) fn is_down(&self, keycode: Keycode) -> bool {
        is_down(&self.down, keycode)
    }

    /// Switches Caps Lock and other locks off, which would change what keys type.
    pub(super) fn suspend_locks(&self) -> Result<(), ConnectionError> {
        match self.found_locks & !NUM_LOCK {
            0 => Ok(()),
            locks => lock(self.conn, locks, 0, None),
        }
    }

    /// Makes exactly these modifiers be down.
    pub(super) fn set(&mut self, modifiers: u8) -> Result<(), ConnectionError> {
        for bit in (0..MODIFIERS).filter(|bit| (self.now ^ modifiers) & (1 << bit) != 0) {
            let press = modifiers & (1 << bit) != 0;
            for keycode in &self.switches[bit] {
                fake_key(self.conn, *keycode, press)?;
            }
        }
        self.now = modifiers;
        Ok(())
    }

    /// Makes these modifiers be down, and leaves others as they are.
    pub(super) fn add(&mut self, modifiers: u8) -> Result<(), ConnectionError> {
        self.set(self.now | modifiers)
    }

    /// Makes a layout group be in force, if it matters.
    pub(super) fn set_group(&mut self, group: Option<u8>) -> Result<(), ConnectionError> {
        match group {
            Some(group) if group != self.group => {
                self.group = group;
                lock(self.conn, 0, 0, Some(group))
            }
            _ => Ok(()),
        }
    }

    /// Puts everything back.
    pub(super) fn restore(mut self) -> Result<(), ConnectionError> {
        self.set(self.found)?;
        if self.group != self.found_group {
            lock(self.conn, 0, 0, Some(self.found_group_lock))?;
        }
        match self.found_locks & !NUM_LOCK {
            0 => Ok(()),
            locks => lock(self.conn, locks, locks, None),
        }
    }
}

/// Presses or releases a key.
pub(super) fn fake_key(conn: &RustConnection, keycode: Keycode, press: bool) -> Result<(), ConnectionError> {
    let kind = if press { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
    conn.xtest_fake_input(kind, keycode, 0, x11rb::NONE, 0, 0, 0).map(drop)
}

fn lock(conn: &RustConnection, affected: u8, locks: u8, group: Option<u8>) -> Result<(), ConnectionError> {
    let mask = |bits: u8| ModMask::from(u16::from(bits));
    conn.xkb_latch_lock_state(
        ID::USE_CORE_KBD.into(),
        mask(affected),
        mask(locks),
        group.is_some(),
        Group::from(group.unwrap_or(0)),
        mask(0),
        false,
        0,
    )
    .map(drop)
}

fn switches(keys: &[Keycode], down: &[u8], found: u8, bit: usize) -> Vec<Keycode> {
    if found & (1 << bit) == 0 {
        return keys.first().copied().into_iter().collect();
    }
    keys.iter().copied().filter(|keycode| is_down(down, *keycode)).collect()
}

fn is_down(down: &[u8], keycode: Keycode) -> bool {
    down.get(usize::from(keycode / 8)).is_some_and(|bits| bits & (1 << (keycode % 8)) != 0)
}
