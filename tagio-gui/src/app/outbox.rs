//! Commands on their way to the engine: never blocks, never loses a key.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::engine::status::ViewerCommand;

/// More than this waiting means that the engine is stuck; then letting go of all keys is all that counts.
const WAITING_MAX: usize = 1024;

/// What the engine's queue had no room for yet, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<ViewerCommand>,
}

impl Outbox {
    /// Queues a command. Of pointer moves in a row only the newest stays.
    pub(super) fn push(&mut self, command: ViewerCommand) {
        let is_move = |command: &ViewerCommand| matches!(command, ViewerCommand::Move(_));
        if is_move(&command) && self.waiting.back().is_some_and(is_move) {
            self.waiting.pop_back();
        }
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.clear();
            self.waiting.push_back(ViewerCommand::ReleaseAll);
        }
        self.waiting.push_back(command);
    }

    /// Hands on what there is room for; true when something is left.
    pub(super) fn flush(&mut self, to: &mpsc::Sender<ViewerCommand>) -> bool {
        while let Some(command) = self.waiting.pop_front() {
            match to.try_send(command) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(command)) => {
                    self.waiting.push_front(command);
                    return true;
                }
                // The engine is gone, and with it every held key.
                Err(mpsc::error::TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::Point;

    use super::*;

    #[test]
    fn moves_in_a_row_become_one_and_nothing_else_is_lost() {
        let (to, mut from) = mpsc::channel(1);
        let mut outbox = Outbox::default();
        outbox.push(ViewerCommand::Move(Point::new(1, 1)));
        outbox.push(ViewerCommand::Move(Point::new(2, 2)));
        outbox.push(ViewerCommand::ReleaseAll);
        assert!(outbox.flush(&to), "the queue holds one");
        assert!(matches!(from.try_recv(), Ok(ViewerCommand::Move(Point { x: 2, y: 2 }))));
        assert!(!outbox.flush(&to));
        assert!(matches!(from.try_recv(), Ok(ViewerCommand::ReleaseAll)));
    }

    #[test]
    fn a_stuck_engine_is_told_to_let_go() {
        let mut outbox = Outbox::default();
        for _ in 0..=WAITING_MAX {
            outbox.push(ViewerCommand::Retry);
        }
        assert!(matches!(outbox.waiting[0], ViewerCommand::ReleaseAll));
    }
}
