//! The one line on which hands' work goes to the engine: keys and clicks from egui's thread, and the pointer
//! from the thread of the picture's own window. Each event is translated and queued under one short lock, so
//! both see the same held keys and buttons, and nothing overtakes what came first.

use std::sync::{Arc, Mutex, MutexGuard};

use eframe::egui::Event;
use tokio::sync::mpsc;

use super::{
    Wake,
    input_capture::{CaptureArea, InputCapture, PictureInput},
    outbox::Outbox,
};
use crate::engine::status::ViewerCommand;

const LOCK: &str = "no thread panics while it holds the line";

/// Commands on their way to the engine. Clones are the same line.
#[derive(Clone, Debug)]
pub struct InputLine {
    state: Arc<Mutex<State>>,
    commands: mpsc::Sender<ViewerCommand>,
    wake: Wake,
}

/// Who sees whether the session's window can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// What egui says of the window.
    Window,
    /// What the picture's own window says.
    Picture,
}

#[derive(Debug)]
struct State {
    capture: InputCapture,
    outbox: Outbox,
    /// The picture takes input: it is live and this viewer has control.
    is_open: bool,
    seen_by_window: bool,
    seen_by_picture: bool,
}

impl InputLine {
    /// A line to the engine. `wake` is for what its queue has no room for at once: the window tries again.
    pub fn new(commands: mpsc::Sender<ViewerCommand>, wake: Wake) -> Self {
        let state = State {
            capture: InputCapture::default(),
            outbox: Outbox::default(),
            is_open: false,
            seen_by_window: true,
            seen_by_picture: true,
        };
        Self { state: Arc::new(Mutex::new(state)), commands, wake }
    }

    /// Queues a command.
    pub fn push(&self, command: ViewerCommand) {
        self.lock().outbox.push(command);
    }

    /// Translates the events of one frame. Without an area, or while keys are the window's own, the host has
    /// to let go of everything.
    pub fn window_events(&self, events: &[Event], area: Option<&CaptureArea<'_>>, keys_are_local: bool) {
        let mut state = self.lock();
        state.is_open = area.is_some();
        if let Some(area) = area {
            let commands = state.capture.translate(events, area);
            state.queue(commands);
        }
        if area.is_none() || keys_are_local {
            let commands = state.capture.release_all();
            state.queue(commands);
        }
    }

    /// Takes what happened on the picture's own window. Nothing is sent before [`Self::flush`].
    pub fn picture_input(&self, input: PictureInput) {
        let mut state = self.lock();
        if state.is_open {
            let commands = state.capture.translate_picture(input);
            state.queue(commands);
        }
    }

    /// Tells the host when nobody can see the picture any more, or somebody can again.
    pub fn set_watching(&self, witness: Witness, is_seen: bool) {
        let mut state = self.lock();
        let before = state.is_watching();
        match witness {
            Witness::Window => state.seen_by_window = is_seen,
            Witness::Picture => state.seen_by_picture = is_seen,
        }
        let now = state.is_watching();
        if now != before {
            state.outbox.push(ViewerCommand::Watching(now));
        }
    }

    /// Hands on what there is room for; true when something is left.
    pub fn flush(&self) -> bool {
        self.lock().outbox.flush(&self.commands)
    }

    /// Like [`Self::flush`], from a thread that will not come back for the rest: the window does that.
    pub fn flush_or_wake(&self) {
        if self.flush() {
            self.wake.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(LOCK)
    }
}

impl State {
    fn is_watching(&self) -> bool {
        self.seen_by_window && self.seen_by_picture
    }

    fn queue(&mut self, commands: Vec<ViewerCommand>) {
        commands.into_iter().for_each(|command| self.outbox.push(command));
    }
}

#[cfg(test)]
mod tests {
    use eframe::egui::{Modifiers, Pos2, Rect, vec2};
    use tagio_wire::{Point, Size, input::Button};

    use super::*;
    use crate::views::session::{Placement, ScaleMode, place};

    fn line(room: usize) -> (InputLine, mpsc::Receiver<ViewerCommand>) {
        let (commands, from) = mpsc::channel(room);
        (InputLine::new(commands, Wake::default()), from)
    }

    fn picture() -> Placement {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(100.0, 100.0));
        place(area, 1.0, Size::new(100, 100), ScaleMode::Original, None)
    }

    fn open(line: &InputLine, events: &[Event]) {
        let area = CaptureArea { picture: &picture(), covered: &[], alt_types_text: false };
        line.window_events(events, Some(&area), false);
    }

    fn drain(from: &mut mpsc::Receiver<ViewerCommand>) -> Vec<String> {
        std::iter::from_fn(|| from.try_recv().ok()).map(|command| format!("{command:?}")).collect()
    }

    fn press(down: bool, at: i32, modifiers: Modifiers) -> PictureInput {
        PictureInput::Button { button: Button::Left, down, at: Point::new(at, at), modifiers }
    }

    #[test]
    fn a_fast_mouse_never_costs_a_button() {
        let (line, mut from) = line(2);
        open(&line, &[]);
        for i in 0..20_000 {
            line.picture_input(PictureInput::Moved(Point::new(i % 100, 5)));
            if i % 5000 == 0 {
                line.picture_input(press(true, 1, Modifiers::NONE));
                line.picture_input(press(false, 1, Modifiers::NONE));
            }
            if i % 8 == 0 {
                line.flush();
            }
        }
        let mut seen = Vec::new();
        loop {
            let is_more = line.flush();
            seen.extend(drain(&mut from));
            if !is_more {
                break;
            }
        }
        let buttons: Vec<bool> =
            seen.iter().filter(|c| c.contains("Button")).map(|c| c.contains("down: true")).collect();
        assert_eq!(buttons, [true, false, true, false, true, false, true, false]);
        assert!(seen.last().is_some_and(|last| last.contains("x: 99")), "the newest move arrives");
    }

    #[test]
    fn shift_is_held_on_the_host_around_a_click_on_the_picture() {
        let (line, mut from) = line(64);
        open(&line, &[]);
        line.picture_input(press(true, 3, Modifiers::SHIFT));
        line.picture_input(press(false, 3, Modifiers::SHIFT));
        line.flush();
        let commands = drain(&mut from);
        assert!(commands[0].contains("Shift") && commands[0].contains("down: true"), "{commands:?}");
        assert_eq!(commands.len(), 3);
        open(&line, &[Event::ModifiersChanged(Modifiers::NONE)]);
        line.flush();
        let commands = drain(&mut from);
        assert!(commands[0].contains("Shift") && commands[0].contains("down: false"), "{commands:?}");
    }

    #[test]
    fn without_control_the_picture_takes_nothing_and_held_buttons_are_let_go() {
        let (line, mut from) = line(64);
        line.picture_input(press(true, 3, Modifiers::NONE));
        line.flush();
        assert!(drain(&mut from).is_empty());
        open(&line, &[]);
        line.picture_input(press(true, 3, Modifiers::NONE));
        line.window_events(&[], None, true);
        line.flush();
        let commands = drain(&mut from);
        assert!(commands[0].contains("Button") && commands[1].contains("ReleaseAll"), "{commands:?}");
    }

    #[test]
    fn the_host_is_told_once_that_nobody_sees_the_picture() {
        let (line, mut from) = line(64);
        line.set_watching(Witness::Picture, false);
        line.set_watching(Witness::Window, false);
        line.set_watching(Witness::Picture, true);
        line.set_watching(Witness::Window, true);
        line.flush();
        assert_eq!(drain(&mut from), ["Watching(false)", "Watching(true)"]);
    }
}
