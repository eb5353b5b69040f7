//! What a host does with one viewer's hands.

use tagio_wire::{
    Point, Size,
    input::{InputEvent, PointerMove},
    limits::INPUT_TEXT_BYTES_MAX,
    session::Permission,
};

use super::{NOWHERE, held::Held, is_newer};

/// Most that one wheel event may turn, in 1/120 of a notch: 50 notches. Some systems can only be told notch
/// by notch, and a viewer must not keep the host busy with one message.
const WHEEL_MAX: i32 = 50 * 120;

/// One viewer's hands on the host: what of it is allowed, what is new, what is down.
///
/// What comes back is to be injected in this order. When the session ends, for whatever reason,
/// [`HostInput::release_all`] has the last word.
#[derive(Debug)]
pub struct HostInput {
    permission: Permission,
    screen: Size,
    held: Held,
    /// The newest position, clamped.
    newest: Option<PointerMove>,
}

impl HostInput {
    /// A viewer that may do `permission` on a screen of `screen`.
    pub fn new(permission: Permission, screen: Size) -> Self {
        Self { permission, screen, held: Held::default(), newest: None }
    }

    /// A pointer move, from a datagram.
    pub fn handle_move(&mut self, pointer: PointerMove) -> Vec<InputEvent> {
        self.handle_event(InputEvent::Pointer(pointer))
    }

    /// An event of the input lane.
    pub fn handle_event(&mut self, event: InputEvent) -> Vec<InputEvent> {
        if self.permission == Permission::View {
            return Vec::new();
        }
        match event {
            InputEvent::Pointer(pointer) => {
                let pointer = self.clamped(pointer);
                let moved = self.advance(pointer);
                if moved { vec![InputEvent::Pointer(pointer)] } else { Vec::new() }
            }
            InputEvent::Button { button, down, at } => {
                let at = self.clamped(at);
                if !self.held.button(button, down) {
                    return Vec::new();
                }
                let mut events = vec![InputEvent::Button { button, down, at }];
                // A datagram may have overtaken the click. The click goes where it was meant, and the
                // pointer back to where it is by now.
                let overtaken_by = self.newest.filter(|newest| is_newer(newest.number, at.number));
                events.extend(overtaken_by.map(InputEvent::Pointer));
                self.advance(at);
                events
            }
            InputEvent::Wheel { x: 0, y: 0 } => Vec::new(),
            InputEvent::Wheel { x, y } => {
                let clamp = |turn: i32| turn.clamp(-WHEEL_MAX, WHEEL_MAX);
                vec![InputEvent::Wheel { x: clamp(x), y: clamp(y) }]
            }
            InputEvent::Key { key, down } => {
                if self.held.key(key, down) {
                    vec![InputEvent::Key { key, down }]
                } else {
                    Vec::new()
                }
            }
            InputEvent::Text(text) if text.is_empty() || text.len() > INPUT_TEXT_BYTES_MAX => Vec::new(),
            InputEvent::Text(text) => vec![InputEvent::Text(text)],
        }
    }

    /// What the viewer may do has changed. One that may only look lets go of everything.
    pub fn set_permission(&mut self, permission: Permission) -> Vec<InputEvent> {
        self.permission = permission;
        match permission {
            Permission::View => self.release_all(),
            Permission::Control => Vec::new(),
        }
    }

    /// The host's screen has another size.
    pub fn set_screen(&mut self, screen: Size) {
        self.screen = screen;
        self.newest = self.newest.map(|newest| self.clamped(newest));
    }

    /// Lets go of everything that this viewer holds.
    pub fn release_all(&mut self) -> Vec<InputEvent> {
        let at = self.newest.unwrap_or(NOWHERE);
        self.held.release_all(at)
    }

    /// Takes a position if it is the newest; whether it is.
    fn advance(&mut self, pointer: PointerMove) -> bool {
        let newer = self.newest.is_none_or(|newest| is_newer(pointer.number, newest.number));
        if newer {
            self.newest = Some(pointer);
        }
        newer
    }

    fn clamped(&self, pointer: PointerMove) -> PointerMove {
        let last = |side: u32| i32::try_from(side.saturating_sub(1)).unwrap_or(i32::MAX);
        let x = pointer.to.x.clamp(0, last(self.screen.width));
        let y = pointer.to.y.clamp(0, last(self.screen.height));
        PointerMove { to: Point::new(x, y), ..pointer }
    }
}
