//! What waits for the thread `inject`: bounded, in order, and with pointer moves in a row merged to the newest.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex},
};

use tagio_wire::input::InputEvent;

use super::Rejected;

/// Most events that wait, moves in a row counting as one. A system takes thousands a second, so only one that
/// hangs lets so many gather, and a viewer's hands make fewer in the seconds that pass before its session is
/// given up.
pub(super) const EVENTS_MAX: usize = 256;

const LOCK: &str = "no thread panics while it holds the queue";

/// A queue between the engine and the thread.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// INVARIANT: no two pointer moves follow each other, and at most [`EVENTS_MAX`] events wait, besides a last
    /// one that is a pointer move.
    events: VecDeque<InputEvent>,
    /// No more will come.
    is_closed: bool,
    /// Nobody will take any more.
    is_abandoned: bool,
}

impl Waiting {
    /// Adds an event. A pointer move takes the place of one that waits as the last, so it always finds room: a
    /// mouse of 8000 Hz fills nothing, and where it stopped is never lost.
    pub(super) fn push(&self, event: InputEvent) -> Result<(), Rejected> {
        let mut state = self.state.lock().expect(LOCK);
        if state.is_abandoned {
            return Err(Rejected::Ended);
        }
        let is_move = matches!(event, InputEvent::Pointer(_));
        if is_move && let Some(last @ InputEvent::Pointer(_)) = state.events.back_mut() {
            *last = event;
            return Ok(());
        }
        if !is_move && state.events.len() >= EVENTS_MAX {
            return Err(Rejected::Overrun);
        }
        state.events.push_back(event);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits for the oldest event; `None` once it is closed and empty.
    pub(super) fn pop(&self) -> Option<InputEvent> {
        let state = self.state.lock().expect(LOCK);
        let is_idle = |state: &mut State| state.events.is_empty() && !state.is_closed;
        self.ready.wait_while(state, is_idle).expect(LOCK).events.pop_front()
    }

    /// No more will come; what waits is still taken.
    pub(super) fn close(&self) {
        self.state.lock().expect(LOCK).is_closed = true;
        self.ready.notify_one();
    }

    /// Nobody will take any more; what waits is dropped.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock().expect(LOCK);
        state.is_abandoned = true;
        state.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::{
        Point,
        input::{Button, PointerMove},
    };

    use super::*;

    fn moved(x: i32) -> InputEvent {
        InputEvent::Pointer(PointerMove { number: 0, to: Point::new(x, 0) })
    }

    fn button(down: bool) -> InputEvent {
        let at = PointerMove { number: 0, to: Point::new(7, 7) };
        InputEvent::Button { button: Button::Left, down, at }
    }

    fn drain(waiting: &Waiting) -> Vec<InputEvent> {
        waiting.close();
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    #[test]
    fn moves_in_a_row_merge_to_the_newest_and_buttons_keep_their_place() {
        let waiting = Waiting::default();
        for x in 0..8000 {
            waiting.push(moved(x)).expect("moves always find room");
        }
        waiting.push(button(true)).expect("there is room");
        for x in 8000..16_000 {
            waiting.push(moved(x)).expect("moves always find room");
        }
        waiting.push(button(false)).expect("there is room");
        assert_eq!(drain(&waiting), [moved(7999), button(true), moved(15_999), button(false)]);
    }

    #[test]
    fn a_full_queue_refuses_all_but_the_newest_position() {
        let waiting = Waiting::default();
        for i in 0..EVENTS_MAX {
            waiting.push(button(i % 2 == 0)).expect("there is room");
        }
        assert_eq!(waiting.push(button(true)), Err(Rejected::Overrun));
        for x in 0..3 {
            waiting.push(moved(x)).expect("moves always find room");
        }
        assert_eq!(waiting.push(button(true)), Err(Rejected::Overrun));
        let taken = drain(&waiting);
        assert_eq!(taken.len(), EVENTS_MAX + 1);
        assert_eq!(taken.last(), Some(&moved(2)));
    }

    #[test]
    fn an_abandoned_queue_says_so() {
        let waiting = Waiting::default();
        waiting.push(moved(1)).expect("there is room");
        waiting.abandon();
        assert_eq!(waiting.push(moved(2)), Err(Rejected::Ended));
        assert_eq!(drain(&waiting), []);
    }
}
