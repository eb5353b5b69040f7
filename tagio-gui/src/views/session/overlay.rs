//! Sentences over the picture, or instead of it, while something has to be waited for.

use std::time::Instant;

use eframe::egui::{Area, Frame, Id, Label, Margin, Order, Rect, Spinner, Stroke, Ui, vec2};

use super::SessionCommand;
use crate::{
    engine::status::{ConnectStep, ViewerCommand, ViewerStatus},
    theme::{self, TextKind, radius, space},
    views::{
        parts::{Action, ActionKind, notice_ui, strong, weak},
        words,
    },
};

const CARD_WIDTH: f32 = 400.0;
const SPINNER_SIDE: f32 = 28.0;

/// Dims what is beneath.
pub(super) fn veil_ui(ui: &Ui, area: Rect) {
    ui.painter().rect_filled(area, 0.0, theme::palette(ui).veil);
}

/// A card in the middle of the window.
pub(super) fn middle_card_ui<R>(ui: &Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = theme::palette(ui);
    let room = ui.max_rect();
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::same(space::L as i8));
    Area::new(Id::unique("middle card"))
        .order(Order::Foreground)
        .anchor(eframe::egui::Align2::CENTER_CENTER, vec2(0.0, 0.0))
        .show(ui.ctx(), |ui| {
            frame
                .show(ui, |ui| {
                    ui.set_width(CARD_WIDTH.min(room.width() - 4.0 * space::L));
                    ui.spacing_mut().item_spacing.y = space::S;
                    add(ui)
                })
                .inner
        })
        .inner
}

pub(super) fn connecting_ui(ui: &Ui, step: ConnectStep, commands: &mut Vec<SessionCommand>) {
    middle_card_ui(ui, |ui| {
        wait_ui(ui, words::step(step), None);
        leave_ui(ui, words::CANCEL, commands);
    });
}

pub(super) fn asking_ui(ui: &Ui, status: &ViewerStatus, commands: &mut Vec<SessionCommand>) {
    middle_card_ui(ui, |ui| {
        wait_ui(ui, words::ASKING, Some(words::ASKING_HOW));
        if let Some(phrase) = &status.phrase {
            notice_ui(ui, &theme::palette(ui).accent, phrase, words::PHRASE);
        }
        leave_ui(ui, words::CANCEL, commands);
    });
}

pub(super) fn reconnecting_ui(ui: &Ui, since: Instant, now: Instant, commands: &mut Vec<SessionCommand>) {
    middle_card_ui(ui, |ui| {
        let what = format!("{} {}", words::RECONNECTING_WHAT, words::lost_for(since, now));
        wait_ui(ui, words::RECONNECTING, Some(&what));
        leave_ui(ui, words::DISCONNECT, commands);
    });
}

fn wait_ui(ui: &mut Ui, sentence: &str, more: Option<&str>) {
    ui.horizontal_top(|ui| {
        ui.add(Spinner::new().size(SPINNER_SIDE).color(theme::palette(ui).accent.text));
        ui.add_space(space::S);
        ui.vertical(|ui| {
            ui.add(Label::new(strong(ui, TextKind::Title, sentence)).wrap());
            if let Some(more) = more {
                ui.add(Label::new(weak(ui, more)).wrap());
            }
        });
    });
    ui.add_space(space::S);
}

fn leave_ui(ui: &mut Ui, label: &str, commands: &mut Vec<SessionCommand>) {
    if ui.add(Action::new(ActionKind::Quiet, label)).clicked() {
        commands.push(SessionCommand::Viewer(ViewerCommand::Leave));
        commands.push(SessionCommand::Close);
    }
}
