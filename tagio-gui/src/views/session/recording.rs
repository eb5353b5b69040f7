//! The button that records, and the note on what became of the file.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use eframe::egui::{Align2, Area, Frame, Id, Label, Margin, Order, Stroke, Ui, vec2};

use super::{SessionCommand, SessionView};
use crate::{
    engine::status::{Recording, ViewerCommand},
    theme::{self, TextKind, Tone, icons::Icon, radius, space},
    views::{
        parts::{Action, ActionKind, colored, weak},
        words,
    },
};

const NOTE_WIDTH: f32 = 420.0;

/// Below the toolbar.
const NOTE_TOP: f32 = 62.0;

/// How long the note on a finished recording stays by itself.
const NOTE_STAYS_FOR: Duration = Duration::from_secs(20);

/// What the window remembers of recordings.
#[derive(Debug, Default)]
pub(super) struct RecordingState {
    /// The one that runs, as far as the last frame knew.
    running: Option<PathBuf>,
    /// A file that is finished, and since when.
    finished: Option<(PathBuf, Instant)>,
    /// A failed one whose note was read.
    dismissed: Option<Instant>,
}

/// The button, with the time while it records.
pub(super) fn record_item_ui(
    ui: &mut Ui,
    view: &SessionView<'_>,
    height: f32,
    commands: &mut Vec<SessionCommand>,
) {
    let color = theme::palette(ui).danger.text;
    let running = view.status.recording.as_ref().filter(|recording| recording.problem.is_none());
    let (response, is_wanted) = match running {
        Some(recording) => {
            let time = view.now.saturating_duration_since(recording.since);
            // The next second has to be shown too.
            ui.ctx().request_repaint_after(Duration::from_secs(time.as_secs() + 1).saturating_sub(time));
            let label = words::elapsed(time);
            let button =
                Action::new(ActionKind::Quiet, &label).icon(Icon::RecordingNow).ink(color).padding(space::S);
            let response = ui.add(button.height(height).spoken(words::RECORD_STOP));
            (response.on_hover_text(format!("{}\n{}", words::RECORD_STOP, recording.file.display())), false)
        }
        None => {
            let button = Action::icon_only(Icon::Record, words::RECORD).ink(color);
            (ui.add(button.height(height)), true)
        }
    };
    if response.clicked() {
        commands.push(SessionCommand::Viewer(ViewerCommand::Record(is_wanted)));
    }
}

/// Says where the file is when a recording has ended, and why when it has failed.
pub(super) fn record_note_ui(ui: &Ui, view: &SessionView<'_>, state: &mut RecordingState) {
    state.follow(view.status.recording.as_ref(), view.now);
    let palette = theme::palette(ui);
    match &view.status.recording {
        Some(Recording { file, since, problem: Some(problem) }) if state.dismissed != Some(*since) => {
            let sentence = words::record_problem(problem, file);
            if note_ui(ui, &palette.danger, words::RECORD_FAILED, &sentence) {
                state.dismissed = Some(*since);
            }
        }
        Some(_) => {}
        None => {
            let Some((file, at)) = &state.finished else { return };
            let left = (*at + NOTE_STAYS_FOR).checked_duration_since(view.now);
            let is_dismissed = note_ui(ui, &palette.good, words::RECORDED, &file.display().to_string());
            match left {
                Some(left) if !is_dismissed => ui.ctx().request_repaint_after(left),
                _ => state.finished = None,
            }
        }
    }
}

impl RecordingState {
    /// Learns of a recording's end.
    fn follow(&mut self, recording: Option<&Recording>, now: Instant) {
        let running = recording.filter(|recording| recording.problem.is_none());
        let before = self.running.take();
        self.running = running.map(|recording| recording.file.clone());
        if recording.is_some() {
            self.finished = None;
        } else if let Some(file) = before {
            self.finished = Some((file, now));
        }
    }
}

/// A note under the toolbar; returns whether it was dismissed.
fn note_ui(ui: &Ui, tone: &Tone, title: &str, sentence: &str) -> bool {
    let palette = theme::palette(ui);
    let width = NOTE_WIDTH.min(ui.max_rect().width() - 4.0 * space::L);
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::symmetric(14, 10));
    let contents = |ui: &mut Ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.horizontal_top(|ui| {
            let dismiss = Action::icon_only(Icon::Close, words::DISMISS).height(DISMISS_SIDE);
            ui.vertical(|ui| {
                ui.set_width(width - DISMISS_SIDE - space::S);
                ui.label(colored(TextKind::Body, title, tone.text));
                ui.add(Label::new(weak(ui, sentence)).wrap());
            });
            ui.add(dismiss).clicked()
        })
        .inner
    };
    Area::new(Id::unique("recording note"))
        .order(Order::Foreground)
        .anchor(Align2::CENTER_TOP, vec2(0.0, NOTE_TOP))
        .show(ui.ctx(), |ui| frame.show(ui, contents).inner)
        .inner
}

const DISMISS_SIDE: f32 = 28.0;
