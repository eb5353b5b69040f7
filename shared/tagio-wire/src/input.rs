//! What a viewer's hands do.

use serde::{Deserialize, Serialize};

use crate::geometry::Point;

/// Orders pointer moves among each other; wraps around.
pub type MoveNumber = u32;

/// A pointer position, sent as a datagram: the newest wins, a lost one is not missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointerMove {
    /// Counts up.
    pub number: MoveNumber,
    /// Where the pointer is now.
    pub to: Point,
}

/// An input event, in the lane of inputs: reliable and in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputEvent {
    /// The pointer came to rest here, or moves where datagrams do not pass.
    Pointer(PointerMove),
    /// A button went down or up at a position.
    Button {
        /// Which.
        button: Button,
        /// Down or up.
        down: bool,
        /// Where; counts as the newest move.
        at: PointerMove,
    },
    /// The wheel turned, in 1/120 of a notch. Positive is down and right.
    Wheel {
        /// Sideways.
        x: i32,
        /// Up and down.
        y: i32,
    },
    /// A key that is not text went down or up.
    Key {
        /// Which.
        key: Key,
        /// Down or up.
        down: bool,
    },
    /// Text to be typed as it is, whatever the keyboard layouts.
    Text(String),
}

/// A pointer button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the whole meaning")]
pub enum Button {
    Left,
    Middle,
    Right,
    Back,
    Forward,
}

/// A key by what it is for. Printable characters come as [`InputEvent::Text`], or as [`Key::Char`] while
/// Ctrl, Alt or Meta is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the whole meaning")]
pub enum Key {
    /// The key that gives this character without modifiers on the viewer's layout.
    Char(char),
    Function(u8),
    Shift,
    Control,
    Alt,
    AltGr,
    Meta,
    CapsLock,
    Escape,
    Tab,
    Enter,
    Backspace,
    Delete,
    Insert,
    Home,
    End,
    PageUp,
    PageDown,
    Up,
    Down,
    Left,
    Right,
    PrintScreen,
    Pause,
    Menu,
}
