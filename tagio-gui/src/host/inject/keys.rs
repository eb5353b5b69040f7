//! The names that enigo has for our keys, which differ from system to system.

use tagio_wire::input::Key;

/// `ISO_Level3_Shift`, the keysym that X11 layouts give to AltGr.
#[cfg(target_os = "linux")]
const ISO_LEVEL3_SHIFT: u32 = 0xfe03;

/// enigo's key; `None` where the system has none.
pub(super) fn enigo_key(key: Key) -> Option<enigo::Key> {
    use enigo::Key as E;
    Some(match key {
        Key::Char(char) => E::Unicode(char),
        Key::Function(number) => return function_key(number),
        Key::Shift => E::Shift,
        Key::Control => E::Control,
        Key::Alt => E::Alt,
        Key::Meta => E::Meta,
        Key::CapsLock => E::CapsLock,
        Key::Escape => E::Escape,
        Key::Tab => E::Tab,
        Key::Enter => E::Return,
        Key::Backspace => E::Backspace,
        Key::Delete => E::Delete,
        Key::Home => E::Home,
        Key::End => E::End,
        Key::PageUp => E::PageUp,
        Key::PageDown => E::PageDown,
        Key::Up => E::UpArrow,
        Key::Down => E::DownArrow,
        Key::Left => E::LeftArrow,
        Key::Right => E::RightArrow,
        Key::AltGr | Key::Insert | Key::PrintScreen | Key::Pause | Key::Menu => return system_key(key),
    })
}

#[cfg(target_os = "linux")]
fn system_key(key: Key) -> Option<enigo::Key> {
    match key {
        Key::AltGr => Some(enigo::Key::Other(ISO_LEVEL3_SHIFT)),
        Key::Insert => Some(enigo::Key::Insert),
        Key::PrintScreen => Some(enigo::Key::PrintScr),
        Key::Pause => Some(enigo::Key::Pause),
        Key::Menu => Some(enigo::Key::LMenu),
        _ => None,
    }
}

#[cfg(windows)]
fn system_key(key: Key) -> Option<enigo::Key> {
    match key {
        Key::AltGr => Some(enigo::Key::RMenu),
        Key::Insert => Some(enigo::Key::Insert),
        Key::PrintScreen => Some(enigo::Key::PrintScr),
        Key::Pause => Some(enigo::Key::Pause),
        Key::Menu => Some(enigo::Key::Apps),
        _ => None,
    }
}

/// A Mac's keyboard has only one of them, under another name.
#[cfg(target_os = "macos")]
fn system_key(key: Key) -> Option<enigo::Key> {
    (key == Key::AltGr).then_some(enigo::Key::ROption)
}

/// The function keys that every system has.
fn function_key(number: u8) -> Option<enigo::Key> {
    use enigo::Key as E;
    const KEYS: [enigo::Key; 20] = [
        E::F1,
        E::F2,
        E::F3,
        E::F4,
        E::F5,
        E::F6,
        E::F7,
        E::F8,
        E::F9,
        E::F10,
        E::F11,
        E::F12,
        E::F13,
        E::F14,
        E::F15,
        E::F16,
        E::F17,
        E::F18,
        E::F19,
        E::F20,
    ];
    KEYS.get(usize::from(number).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_keys_count_from_one() {
        assert_eq!(function_key(0), None);
        assert_eq!(function_key(1), Some(enigo::Key::F1));
        assert_eq!(function_key(20), Some(enigo::Key::F20));
        assert_eq!(function_key(21), None);
    }
}
