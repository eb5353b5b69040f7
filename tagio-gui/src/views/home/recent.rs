//! Computers that were connected to before.

use eframe::egui::{Label, Ui};

use super::{ConnectRequest, HomeCommand, HomeView};
use crate::{
    config::{KnownHost, Target},
    theme::{TextKind, icons::Icon},
    views::{
        parts::{Action, ActionKind, card_ui, split_row_ui, strong, two_lines_ui, weak},
        words,
    },
};

/// Rows that are shown; older ones are still known.
const ROWS_MAX: usize = 12;

const ROW_HEIGHT: f32 = 46.0;

pub(super) fn recent_ui(ui: &mut Ui, view: &HomeView<'_>, commands: &mut Vec<HomeCommand>) {
    card_ui(ui, |ui| {
        ui.label(strong(ui, TextKind::Title, words::RECENT));
        if view.recent.is_empty() {
            ui.add(Label::new(weak(ui, words::NO_RECENT)).wrap());
        }
        for (target, host) in view.recent.iter().take(ROWS_MAX) {
            ui.push_id(target, |ui| row_ui(ui, target, host, view.now_unix_s, commands));
        }
    });
}

fn row_ui(ui: &mut Ui, target: &Target, host: &KnownHost, now_unix_s: u64, commands: &mut Vec<HomeCommand>) {
    let left = |ui: &mut Ui| {
        let when = words::ago(host.last_unix_s, now_unix_s);
        let facts = weak(ui, format!("{}  ·  {when}", target.spaced()));
        two_lines_ui(ui, ROW_HEIGHT, strong(ui, TextKind::Body, &host.name), facts);
    };
    split_row_ui(ui, ROW_HEIGHT, left, |ui| {
        if ui.add(Action::icon_only(Icon::Close, words::FORGET)).clicked() {
            commands.push(HomeCommand::Forget(target.clone()));
        }
        if ui.add(Action::new(ActionKind::Quiet, words::CONNECT)).clicked() {
            let request = ConnectRequest { target: target.clone(), view_only: false };
            commands.push(HomeCommand::Connect(request));
        }
    });
}
