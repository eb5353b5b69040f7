//! What hands do in a session's window, as commands for the host. Pure: events in, commands out.
//!
//! Text travels as text, so that keyboard layouts never matter; keys travel as keys when they type nothing
//! or when Ctrl, Alt or Meta is held. Shift is pressed on the host only around keys, buttons and the wheel:
//! text already contains it.

use std::collections::BTreeMap;

use eframe::egui::{self, Event, ImeEvent, Modifiers, MouseWheelUnit, PointerButton, Pos2, Rect, Vec2};
use tagio_wire::{
    Point,
    input::{Button, InputEvent, Key, PointerMove},
    limits::INPUT_TEXT_BYTES_MAX,
};

use super::keys::{char_of, key_from_egui};
use crate::{engine::status::ViewerCommand, views::session::Placement};

/// The wire's unit of the wheel.
const WHEEL_UNITS_PER_NOTCH: f32 = 120.0;

/// What a touchpad has to travel for a notch.
const POINTS_PER_NOTCH: f32 = 50.0;

/// A page is this many notches.
const NOTCHES_PER_PAGE: f32 = 10.0;

/// What is held on the host, and what is not yet a whole unit.
#[derive(Debug, Default)]
pub struct InputCapture {
    /// As the window has them.
    modifiers: Modifiers,
    /// As the host has them.
    sent: BTreeMap<ModifierKey, ()>,
    keys: BTreeMap<egui::Key, Key>,
    buttons: Vec<Button>,
    meta_held: bool,
    wheel: Vec2,
    /// Of the pointer, not told yet.
    moved: Option<Point>,
    out: Vec<ViewerCommand>,
}

/// Where the picture is in this frame.
#[derive(Clone, Copy, Debug)]
pub struct CaptureArea<'a> {
    /// The picture.
    pub picture: &'a Placement,
    /// Pointer events in here are the window's own.
    pub covered: &'a [Rect],
    /// Option types characters on a Mac instead of holding Alt.
    pub alt_types_text: bool,
}

/// What the pointer does on a picture that has a window of its own, already in the picture's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureInput {
    /// It is here now.
    Moved(Point),
    /// A button goes down or up.
    Button {
        /// Which.
        button: Button,
        /// Down.
        down: bool,
        /// Where.
        at: Point,
        /// What the keyboard holds, as the window system has it.
        modifiers: Modifiers,
    },
    /// The wheel turns, in the wire's units.
    Wheel {
        /// To the right.
        x: i32,
        /// Downwards.
        y: i32,
        /// What the keyboard holds, as the window system has it.
        modifiers: Modifiers,
    },
}

/// Combinations that are the window's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Ctrl+Alt+Enter.
    FullScreen,
    /// Ctrl+Alt+Home.
    Toolbar,
    /// Ctrl+Alt+S.
    Figures,
}

/// The window's own shortcut that this event is, if any.
pub fn shortcut(event: &Event) -> Option<Shortcut> {
    let Event::Key { key, pressed: true, modifiers, .. } = event else { return None };
    match key {
        egui::Key::Enter if modifiers.ctrl && modifiers.alt => Some(Shortcut::FullScreen),
        egui::Key::Home if modifiers.ctrl && modifiers.alt => Some(Shortcut::Toolbar),
        egui::Key::S if modifiers.ctrl && modifiers.alt => Some(Shortcut::Figures),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ModifierKey {
    Control,
    Alt,
    Shift,
    Meta,
}

impl ModifierKey {
    fn key(self) -> Key {
        match self {
            Self::Control => Key::Control,
            Self::Alt => Key::Alt,
            Self::Shift => Key::Shift,
            Self::Meta => Key::Meta,
        }
    }
}

impl InputCapture {
    /// Translates the events of one frame.
    pub fn translate(&mut self, events: &[Event], area: &CaptureArea<'_>) -> Vec<ViewerCommand> {
        for event in events {
            self.on_event(event, area);
        }
        self.flush_move();
        std::mem::take(&mut self.out)
    }

    /// Translates what happens on the picture's own window. It may be ahead of the keyboard's events, so it
    /// brings the modifiers along.
    pub fn translate_picture(&mut self, input: PictureInput) -> Vec<ViewerCommand> {
        match input {
            PictureInput::Moved(point) => self.moved = Some(point),
            PictureInput::Button { button, down, at, modifiers } => {
                self.on_modifiers(modifiers);
                self.button(button, down, at, true);
            }
            PictureInput::Wheel { x, y, modifiers } => {
                self.on_modifiers(modifiers);
                self.send_shift();
                self.send(InputEvent::Wheel { x, y });
            }
        }
        self.flush_move();
        std::mem::take(&mut self.out)
    }

    /// Lets go of everything, as when the window loses the keyboard.
    pub fn release_all(&mut self) -> Vec<ViewerCommand> {
        let held = !(self.sent.is_empty() && self.keys.is_empty() && self.buttons.is_empty());
        *self = Self::default();
        if held { vec![ViewerCommand::ReleaseAll] } else { Vec::new() }
    }

    fn on_event(&mut self, event: &Event, area: &CaptureArea<'_>) {
        match event {
            Event::PointerMoved(pos) => self.on_move(*pos, area),
            Event::PointerButton { pos, button, pressed, modifiers } => {
                self.on_modifiers(*modifiers);
                self.on_button(*pos, *button, *pressed, area);
            }
            Event::MouseWheel { unit, delta, modifiers, .. } => {
                self.on_modifiers(*modifiers);
                self.on_wheel(*unit, *delta);
            }
            Event::ModifiersChanged(modifiers) => self.on_modifiers(*modifiers),
            Event::Key { key, pressed, modifiers, .. } => {
                if shortcut(event).is_none() {
                    self.on_modifiers(*modifiers);
                    self.on_key(*key, *pressed, area);
                }
            }
            Event::Text(text) => self.on_text(text, area),
            Event::Ime(ImeEvent::Commit(text)) => self.text(text),
            Event::Copy => self.tap_with_control('c'),
            Event::Cut => self.tap_with_control('x'),
            Event::Paste(_) => self.tap_with_control('v'),
            Event::WindowFocused(false) => {
                *self = Self { out: std::mem::take(&mut self.out), ..Self::default() };
                self.out.push(ViewerCommand::ReleaseAll);
            }
            // Made of the above, meant for the window, or nothing that a host could do anything with.
            Event::WindowFocused(true)
            | Event::PasteImage(_)
            | Event::MiddleClickPaste { .. }
            | Event::MouseMoved(_)
            | Event::PointerGone
            | Event::Zoom(_)
            | Event::Rotate(_)
            | Event::Ime(_)
            | Event::Touch { .. }
            | Event::AccessKitActionRequest(_) => {}
        }
    }

    fn on_move(&mut self, pos: Pos2, area: &CaptureArea<'_>) {
        if !self.buttons.is_empty() {
            self.moved = Some(area.picture.nearest_point(pos));
        } else if let Some(point) = point_at(pos, area) {
            self.moved = Some(point);
        }
    }

    fn on_button(&mut self, pos: Pos2, button: PointerButton, is_down: bool, area: &CaptureArea<'_>) {
        let button = match button {
            PointerButton::Primary => Button::Left,
            PointerButton::Secondary => Button::Right,
            PointerButton::Middle => Button::Middle,
            PointerButton::Extra1 => Button::Back,
            PointerButton::Extra2 => Button::Forward,
        };
        self.button(button, is_down, area.picture.nearest_point(pos), point_at(pos, area).is_some());
    }

    /// A button that goes down beside the picture is the window's; one that was the host's stays so.
    fn button(&mut self, button: Button, is_down: bool, to: Point, is_on_picture: bool) {
        let held = self.buttons.iter().position(|held| *held == button);
        match (is_down, held) {
            (true, None) if is_on_picture => {
                self.send_shift();
                self.buttons.push(button);
            }
            (false, Some(at)) => drop(self.buttons.swap_remove(at)),
            _ => return,
        }
        self.moved = None;
        // The engine numbers moves; it knows which it has sent.
        self.send(InputEvent::Button { button, down: is_down, at: PointerMove { number: 0, to } });
    }

    fn on_wheel(&mut self, unit: MouseWheelUnit, delta: Vec2) {
        let notches = match unit {
            MouseWheelUnit::Line => delta,
            MouseWheelUnit::Point => delta / POINTS_PER_NOTCH,
            MouseWheelUnit::Page => delta * NOTCHES_PER_PAGE,
        };
        // egui says where the content goes, the wire says where the view goes.
        self.wheel -= notches * WHEEL_UNITS_PER_NOTCH;
        let whole = Vec2::new(self.wheel.x.trunc(), self.wheel.y.trunc());
        self.wheel -= whole;
        if whole != Vec2::ZERO {
            self.send_shift();
            self.send(InputEvent::Wheel { x: whole.x as i32, y: whole.y as i32 });
        }
    }

    /// Presses and lets go of what changed. A missing Shift is pressed later, when something needs it.
    fn on_modifiers(&mut self, modifiers: Modifiers) {
        self.modifiers = modifiers;
        let now = [
            (ModifierKey::Control, modifiers.ctrl),
            (ModifierKey::Alt, modifiers.alt),
            (ModifierKey::Meta, modifiers.mac_cmd || self.meta_held),
        ];
        for (key, is_held) in now {
            self.set_modifier(key, is_held);
        }
        if !modifiers.shift {
            self.set_modifier(ModifierKey::Shift, false);
        }
    }

    fn on_key(&mut self, key: egui::Key, is_down: bool, area: &CaptureArea<'_>) {
        if matches!(key, egui::Key::SuperLeft | egui::Key::SuperRight) {
            self.meta_held = is_down;
            self.set_modifier(ModifierKey::Meta, is_down || self.modifiers.mac_cmd);
            return;
        }
        if !is_down {
            if let Some(key) = self.keys.remove(&key) {
                self.send(InputEvent::Key { key, down: false });
            }
            return;
        }
        if char_of(key).is_some() && !self.is_chord(area) {
            return; // It comes as text.
        }
        if let Some(wire) = key_from_egui(key) {
            self.send_shift();
            self.keys.insert(key, wire);
            self.send(InputEvent::Key { key: wire, down: true });
        }
    }

    fn on_text(&mut self, text: &str, area: &CaptureArea<'_>) {
        if !self.is_chord(area) {
            self.text(text);
        }
    }

    /// Whether a character is a shortcut now and not text.
    fn is_chord(&self, area: &CaptureArea<'_>) -> bool {
        let Modifiers { ctrl, alt, mac_cmd, .. } = self.modifiers;
        ctrl || (alt && !area.alt_types_text) || mac_cmd || self.meta_held
    }

    fn text(&mut self, text: &str) {
        self.set_modifier(ModifierKey::Shift, false);
        let mut rest = text;
        while !rest.is_empty() {
            let (part, next) = rest.split_at(rest.floor_char_boundary(INPUT_TEXT_BYTES_MAX));
            self.send(InputEvent::Text(part.to_owned()));
            rest = next;
        }
    }

    /// A shortcut that egui has turned into an event of its own, whose key's release may not follow.
    fn tap_with_control(&mut self, c: char) {
        let was_held = self.sent.contains_key(&ModifierKey::Control);
        self.set_modifier(ModifierKey::Control, true);
        for down in [true, false] {
            self.send(InputEvent::Key { key: Key::Char(c), down });
        }
        if !was_held {
            self.set_modifier(ModifierKey::Control, false);
        }
    }

    fn send_shift(&mut self) {
        if self.modifiers.shift {
            self.set_modifier(ModifierKey::Shift, true);
        }
    }

    fn set_modifier(&mut self, modifier: ModifierKey, is_held: bool) {
        let changed = if is_held {
            self.sent.insert(modifier, ()).is_none()
        } else {
            self.sent.remove(&modifier).is_some()
        };
        if changed {
            self.send(InputEvent::Key { key: modifier.key(), down: is_held });
        }
    }

    fn flush_move(&mut self) {
        if let Some(point) = self.moved.take() {
            self.out.push(ViewerCommand::Move(point));
        }
    }

    fn send(&mut self, event: InputEvent) {
        self.flush_move();
        self.out.push(ViewerCommand::Input(event));
    }
}

/// Control, Alt and Delete, pressed and released.
pub fn ctrl_alt_del() -> Vec<ViewerCommand> {
    let keys = [Key::Control, Key::Alt, Key::Delete];
    let key = |key, down| ViewerCommand::Input(InputEvent::Key { key, down });
    let down = keys.into_iter().map(|k| key(k, true));
    down.chain(keys.into_iter().rev().map(|k| key(k, false))).collect()
}

fn point_at(pos: Pos2, area: &CaptureArea<'_>) -> Option<Point> {
    let is_covered = area.covered.iter().any(|rect| rect.contains(pos));
    if is_covered { None } else { area.picture.point_at(pos) }
}

#[cfg(test)]
mod tests;
