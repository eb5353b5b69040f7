//! What a viewer sends of its user's hands.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tagio_wire::{
    Point,
    input::{Button, InputEvent, Key, MoveNumber, PointerMove},
    limits::INPUT_TEXT_BYTES_MAX,
};

use super::{NOWHERE, held::Held};

/// Least time between two datagrams: 500 a second follow any screen, and a mouse of 8000 Hz floods nobody.
const MOVE_SPACING: Duration = Duration::from_millis(2);

/// How long after its last datagram a pointer counts as at rest, and its position is sent once more, in the
/// lane: the last datagram may be lost, and no newer one would repair it.
const REST_AFTER: Duration = Duration::from_millis(60);

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// As a datagram.
    Datagram(PointerMove),
    /// In the input lane.
    Reliable(InputEvent),
}

/// One viewer's hands: orders, thins and remembers what its user does.
///
/// After every call: [`ViewerInput::poll`] until it has nothing more, then wait for
/// [`ViewerInput::next_wakeup`]. So the queue inside is never longer than what one call put there.
#[derive(Debug, Default)]
pub struct ViewerInput {
    held: Held,
    reliable: VecDeque<InputEvent>,
    /// Where the pointer is, if that is not sent yet.
    pending: Option<Point>,
    /// The newest position that was sent.
    last: Option<PointerMove>,
    /// When [`Self::last`] went as a datagram, until the lane has confirmed it.
    unconfirmed_since: Option<Instant>,
    next_datagram_at: Option<Instant>,
    next_number: MoveNumber,
}

impl ViewerInput {
    /// Hands that have done nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pointer is here now.
    pub fn pointer(&mut self, to: Point) {
        self.pending = self.last.is_none_or(|last| last.to != to).then_some(to);
    }

    /// A button goes down or up here.
    pub fn button(&mut self, button: Button, down: bool, to: Point) {
        if self.held.button(button, down) {
            let at = self.numbered(to);
            self.reliable.push_back(InputEvent::Button { button, down, at });
        }
    }

    /// The wheel turns, where the pointer is.
    pub fn wheel(&mut self, x: i32, y: i32) {
        if let Some(InputEvent::Wheel { x: queued_x, y: queued_y }) = self.reliable.back_mut() {
            *queued_x = queued_x.saturating_add(x);
            *queued_y = queued_y.saturating_add(y);
            return;
        }
        // A wheel event has no position of its own, so the pointer has to be there before it.
        self.confirm_position();
        self.reliable.push_back(InputEvent::Wheel { x, y });
    }

    /// A key that is no text goes down or up. One that is down may go down again: it repeats.
    pub fn key(&mut self, key: Key, down: bool) {
        if self.held.key(key, down) {
            self.reliable.push_back(InputEvent::Key { key, down });
        }
    }

    /// Text is typed.
    pub fn text(&mut self, mut text: &str) {
        while !text.is_empty() {
            let (head, tail) = text.split_at(text.floor_char_boundary(INPUT_TEXT_BYTES_MAX));
            self.reliable.push_back(InputEvent::Text(head.to_owned()));
            text = tail;
        }
    }

    /// Lets go of everything: the window has lost the focus, or the session ends.
    pub fn release_all(&mut self) {
        let at = self.last.unwrap_or(NOWHERE);
        self.reliable.extend(self.held.release_all(at));
    }

    /// The next thing to send, if it is time.
    pub fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        if let Some(event) = self.reliable.pop_front() {
            return Some(Outgoing::Reliable(event));
        }
        if let Some(to) = self.pending {
            if self.next_datagram_at.is_some_and(|at| now < at) {
                return None;
            }
            let pointer = self.numbered(to);
            self.unconfirmed_since = Some(now);
            self.next_datagram_at = Some(now + MOVE_SPACING);
            return Some(Outgoing::Datagram(pointer));
        }
        let rested = self.unconfirmed_since.is_some_and(|since| now >= since + REST_AFTER);
        if !rested {
            return None;
        }
        self.unconfirmed_since = None;
        self.last.map(|last| Outgoing::Reliable(InputEvent::Pointer(last)))
    }

    /// When to poll again if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Instant> {
        match self.pending {
            Some(_) => self.next_datagram_at,
            None => self.unconfirmed_since.map(|since| since + REST_AFTER),
        }
    }

    /// Puts the position in the lane if the host may not have it.
    fn confirm_position(&mut self) {
        if let Some(to) = self.pending {
            let pointer = self.numbered(to);
            self.reliable.push_back(InputEvent::Pointer(pointer));
        } else if let (Some(_), Some(last)) = (self.unconfirmed_since.take(), self.last) {
            self.reliable.push_back(InputEvent::Pointer(last));
        }
    }

    /// `to` as the newest move, in the lane unless the caller says otherwise.
    fn numbered(&mut self, to: Point) -> PointerMove {
        let pointer = PointerMove { number: self.next_number, to };
        self.next_number = self.next_number.wrapping_add(1);
        self.pending = None;
        self.unconfirmed_since = None;
        self.last = Some(pointer);
        pointer
    }
}
