//! egui's keys as the wire's keys.

use eframe::egui;
use tagio_wire::input::Key;

/// What a key is for. `None` for keys that are carried by modifiers, or that the wire has no word for.
pub(super) fn key_from_egui(key: egui::Key) -> Option<Key> {
    use egui::Key as E;
    Some(match key {
        E::ArrowDown => Key::Down,
        E::ArrowLeft => Key::Left,
        E::ArrowRight => Key::Right,
        E::ArrowUp => Key::Up,
        E::Escape => Key::Escape,
        E::Tab => Key::Tab,
        E::Backspace => Key::Backspace,
        E::Enter => Key::Enter,
        E::Insert => Key::Insert,
        E::Delete => Key::Delete,
        E::Home => Key::Home,
        E::End => Key::End,
        E::PageUp => Key::PageUp,
        E::PageDown => Key::PageDown,
        E::SuperLeft | E::SuperRight => Key::Meta,
        E::CapsLock => Key::CapsLock,
        E::PrintScreen => Key::PrintScreen,
        E::Pause => Key::Pause,
        E::Menu => Key::Menu,
        _ => return function_key(key).or_else(|| char_of(key).map(Key::Char)),
    })
}

/// The character of a key that types one; lower case.
pub(super) fn char_of(key: egui::Key) -> Option<char> {
    use egui::Key as E;
    Some(match key {
        E::Space => ' ',
        E::Colon => ':',
        E::Comma => ',',
        E::Backslash | E::IntlBackslash => '\\',
        E::Slash => '/',
        E::Pipe => '|',
        E::Questionmark => '?',
        E::Exclamationmark => '!',
        E::OpenBracket => '[',
        E::CloseBracket => ']',
        E::OpenCurlyBracket => '{',
        E::CloseCurlyBracket => '}',
        E::Backtick => '`',
        E::Minus => '-',
        E::Period => '.',
        E::Plus => '+',
        E::Equals => '=',
        E::Semicolon => ';',
        E::Quote => '\'',
        // Letters and digits are named by themselves.
        _ => {
            let mut name = key.name().chars();
            return match (name.next(), name.next()) {
                (Some(c), None) if c.is_ascii_alphanumeric() => Some(c.to_ascii_lowercase()),
                _ => None,
            };
        }
    })
}

fn function_key(key: egui::Key) -> Option<Key> {
    key.name().strip_prefix('F')?.parse().ok().map(Key::Function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_meaning() {
        assert_eq!(key_from_egui(egui::Key::F12), Some(Key::Function(12)));
        assert_eq!(key_from_egui(egui::Key::F), Some(Key::Char('f')));
        assert_eq!(key_from_egui(egui::Key::Num7), Some(Key::Char('7')));
        assert_eq!(key_from_egui(egui::Key::SuperLeft), Some(Key::Meta));
        assert_eq!(key_from_egui(egui::Key::ControlLeft), None);
        assert_eq!(key_from_egui(egui::Key::AudioVolumeUp), None);
    }
}
