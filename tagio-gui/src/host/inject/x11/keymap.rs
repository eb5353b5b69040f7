//! Where each character is on the host's keyboard: a snapshot of the server's map.

use std::collections::BTreeMap;

use x11rb::{
    connection::Connection as _,
    errors::ReplyError,
    protocol::{
        xkb::{ConnectionExt as _, GetMapReply, ID, KeySymMap, KeyType, MapPart},
        xproto::Keycode,
    },
    rust_connection::RustConnection,
};
use xkeysym::Keysym;

/// Keyboards have up to four groups (layouts) in X11.
const GROUPS_MAX: u8 = 4;

/// The low bits of a key's group information: how many groups it has.
const GROUP_COUNT_MASK: u8 = 0x0f;

/// The one keycode below 9 that servers name; evdev has no such key, and programs ignore it.
const NO_KEY: Keycode = 8;

/// Caps Lock and Num Lock among the modifier bits.
const LOCKS: u8 = 1 << 1 | 1 << 4;

/// Modifier bits as in [`x11rb::protocol::xproto::ModMask`], with one list of keys each.
pub(super) const MODIFIERS: usize = 8;

/// How to type a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) keycode: Keycode,
    /// The layout group it needs; `None` for keys that are the same in all.
    pub(super) group: Option<u8>,
    /// The modifiers that must be down, and no others.
    pub(super) modifiers: u8,
}

/// What the keyboard can type.
pub(super) struct Keymap {
    spots: BTreeMap<char, Vec<Spot>>,
    /// Keys that type nothing and modify nothing, the highest first: programs know the low ones by number.
    pub(super) spare: Vec<Keycode>,
    /// The keys of each modifier.
    pub(super) modifier_keys: [Vec<Keycode>; MODIFIERS],
}

impl Keymap {
    /// Asks the server.
    pub(super) fn fetch(conn: &RustConnection) -> Result<Self, ReplyError> {
        let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
        let none = MapPart::from(0_u16);
        let device = ID::USE_CORE_KBD.into();
        let reply = conn
            .xkb_get_map(device, parts, none, 0, 0, 0, 0, 0, 0, 0, 0, 0_u16.into(), 0, 0, 0, 0, 0, 0)?
            .reply()?;
        let setup = conn.setup();
        Ok(Self::from_reply(&reply, setup.min_keycode..=setup.max_keycode))
    }

    fn from_reply(reply: &GetMapReply, keycodes: std::ops::RangeInclusive<Keycode>) -> Self {
        let mut modifier_keys: [Vec<Keycode>; MODIFIERS] = Default::default();
        for entry in reply.map.modmap_rtrn.iter().flatten() {
            let bits = u16::from(entry.mods);
            let switched = modifier_keys.iter_mut().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            switched.for_each(|(_, keys)| keys.push(entry.keycode));
        }
        let types = reply.map.types_rtrn.as_deref().unwrap_or_default();
        let keys = || (reply.first_key_sym..=Keycode::MAX).zip(reply.map.syms_rtrn.iter().flatten());
        let mut keymap = Self { spots: BTreeMap::new(), spare: Vec::new(), modifier_keys };
        for (keycode, key) in keys() {
            keymap.add_key(keycode, key, types);
        }
        let is_empty = |key: &KeySymMap| key.syms.iter().all(|&sym| sym == 0);
        let used: Vec<Keycode> =
            keys().filter(|(_, key)| !is_empty(key)).map(|(keycode, _)| keycode).collect();
        let modifies = |keycode| keymap.modifier_keys.iter().any(|keys| keys.contains(&keycode));
        let spare = keycodes
            .rev()
            .filter(|keycode| *keycode != NO_KEY && !used.contains(keycode) && !modifies(*keycode))
            .collect();
        Self { spare, ..keymap }
    }

    fn add_key(&mut self, keycode: Keycode, key: &KeySymMap, types: &[KeyType]) {
        let groups = (key.group_info & GROUP_COUNT_MASK).min(GROUPS_MAX);
        for group in 0..groups {
            let Some(kind) = types.get(usize::from(key.kt_index[usize::from(group)])) else { continue };
            let first = usize::from(group) * usize::from(key.width);
            let syms = key.syms.iter().skip(first).take(usize::from(key.width));
            for (level, sym) in (0..kind.num_levels).zip(syms) {
                let (Some(char), Some(modifiers)) = (char_of(*sym), modifiers_of(kind, level)) else {
                    continue;
                };
                let group = (groups > 1).then_some(group);
                if self.has_keys_for(modifiers) {
                    self.spots.entry(char).or_default().push(Spot { keycode, group, modifiers });
                }
            }
        }
    }

    fn has_keys_for(&self, modifiers: u8) -> bool {
        (0..MODIFIERS).all(|bit| modifiers & (1 << bit) == 0 || !self.modifier_keys[bit].is_empty())
    }

    /// The best way to type `char` while `group` is the layout: in that layout, with few modifiers.
    pub(super) fn spot(&self, char: char, group: u8) -> Option<Spot> {
        let cost = |spot: &&Spot| {
            (spot.group.is_some_and(|needed| needed != group), spot.modifiers.count_ones(), spot.keycode)
        };
        self.spots.get(&char)?.iter().min_by_key(cost).copied()
    }

    /// Whether this key can type `char`.
    pub(super) fn types(&self, char: char, keycode: Keycode) -> bool {
        self.spots.get(&char).is_some_and(|spots| spots.iter().any(|spot| spot.keycode == keycode))
    }
}

/// The character of a keysym. Those of the keypad depend on Num Lock, and the main keys have them all.
fn char_of(sym: u32) -> Option<char> {
    let sym = Keysym::new(sym);
    if sym.is_keypad_key() {
        return None;
    }
    sym.key_char()
}

/// The fewest modifiers that lead to a level of a key, without the locks, whose state is not ours.
fn modifiers_of(kind: &KeyType, level: u8) -> Option<u8> {
    if level == 0 {
        return Some(0);
    }
    kind.map
        .iter()
        .filter(|entry| entry.active && entry.level == level)
        .map(|entry| u16::from(entry.mods_mask) as u8)
        .filter(|modifiers| modifiers & LOCKS == 0)
        .min_by_key(|modifiers| modifiers.count_ones())
}
