//! Turns an input event into what the system does for a mouse or a keyboard.

use enigo::{Axis, Direction, Enigo, Keyboard as _, Mouse as _, Settings};
use tagio_wire::{
    Point,
    input::{Button, InputEvent, Key},
};

#[cfg(windows)]
use super::windows_pointer;
use super::{InjectError, Keyboard, keys, wheel::Wheel};

/// Injects input. Keys that are still down when it is dropped are released.
///
/// `enigo` does the pointer (but on Windows), the wheel and the keys that are not text. Characters go through
/// [`Keyboard`]: where `enigo` types them well that is `enigo` again, on X11 it is our own.
pub struct Injector {
    enigo: Enigo,
    keyboard: Keyboard,
    sideways: Wheel,
    downwards: Wheel,
}

impl Injector {
    /// For the screen of this session.
    pub fn open() -> Result<Self, InjectError> {
        Self::open_display(None)
    }

    /// For the X11 display `name`; `None` is the one of this session. Other systems have only that.
    pub fn open_display(name: Option<&str>) -> Result<Self, InjectError> {
        // First, because its errors say more.
        let keyboard = Keyboard::open(name)?;
        let settings = Settings {
            // Pauses of the X server before each event. Nothing here needs them.
            linux_delay: 0,
            x11_display: name.map(str::to_owned),
            ..Settings::default()
        };
        let enigo = Enigo::new(&settings).map_err(|error| InjectError::Unavailable(error.to_string()))?;
        Ok(Self { enigo, keyboard, sideways: Wheel::default(), downwards: Wheel::default() })
    }

    /// Makes one event happen, and returns when the system has it.
    pub fn inject(&mut self, event: &InputEvent) -> Result<(), InjectError> {
        match event {
            InputEvent::Pointer(to) => self.point(to.to),
            InputEvent::Button { button, down, at } => {
                self.point(at.to)?;
                let button = button_of(*button);
                self.enigo.button(button, direction(*down)).map_err(refused)
            }
            InputEvent::Wheel { x, y } => {
                let (x, y) = (self.sideways.turn(*x), self.downwards.turn(*y));
                self.scroll(x, Axis::Horizontal)?;
                self.scroll(y, Axis::Vertical)
            }
            InputEvent::Key { key: Key::Char(char), down } => self.keyboard.key(*char, *down),
            InputEvent::Key { key, down } => match keys::enigo_key(*key) {
                Some(key) => self.enigo.key(key, direction(*down)).map_err(refused),
                None => Err(InjectError::Refused(format!("this system has no key {key:?}"))),
            },
            InputEvent::Text(text) => self.keyboard.text(text),
        }
    }

    #[cfg(windows)]
    #[expect(clippy::unused_self, reason = "other systems need it")]
    fn point(&mut self, to: Point) -> Result<(), InjectError> {
        windows_pointer::move_to(to)
    }

    #[cfg(not(windows))]
    fn point(&mut self, to: Point) -> Result<(), InjectError> {
        // A viewer may send any number; the system moves to the edge, but would refuse what X11 cannot say.
        let inside = |position: i32| position.clamp(0, tagio_wire::limits::SCREEN_SIDE_MAX as i32);
        self.enigo.move_mouse(inside(to.x), inside(to.y), enigo::Coordinate::Abs).map_err(refused)
    }

    fn scroll(&mut self, notches: i32, axis: Axis) -> Result<(), InjectError> {
        if notches == 0 {
            return Ok(());
        }
        self.enigo.scroll(notches, axis).map_err(refused)
    }
}

fn direction(down: bool) -> Direction {
    if down { Direction::Press } else { Direction::Release }
}

fn button_of(button: Button) -> enigo::Button {
    match button {
        Button::Left => enigo::Button::Left,
        Button::Middle => enigo::Button::Middle,
        Button::Right => enigo::Button::Right,
        Button::Back => enigo::Button::Back,
        Button::Forward => enigo::Button::Forward,
    }
}

pub(super) fn refused(error: enigo::InputError) -> InjectError {
    InjectError::Refused(error.to_string())
}
