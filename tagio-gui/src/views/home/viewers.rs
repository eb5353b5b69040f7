//! Who is connected to this computer now, and the buttons that end it.

use std::time::Instant;

use eframe::egui::Ui;
use tagio_wire::session::Permission;

use super::{HomeCommand, HomeView};
use crate::{
    engine::status::{ConnectedViewer, HostCommand},
    theme::{self, CONTROL_HEIGHT, TextKind},
    views::{
        parts::{Action, ActionKind, card_ui, chip_ui, split_row_ui, strong, two_lines_ui, weak},
        words,
    },
};

const ROW_HEIGHT: f32 = 48.0;

/// With less than this left, the name needs it more than the chip does; the button beside says the same.
const CHIP_ROOM_MIN: f32 = 260.0;

pub(super) fn viewers_ui(ui: &mut Ui, view: &HomeView<'_>, commands: &mut Vec<HomeCommand>) {
    let viewers = &view.status.viewers;
    card_ui(ui, |ui| {
        let title = |ui: &mut Ui| drop(ui.label(strong(ui, TextKind::Title, words::CONNECTED_NOW)));
        split_row_ui(ui, CONTROL_HEIGHT, title, |ui| {
            if viewers.len() > 1 && ui.add(Action::new(ActionKind::Danger, words::END_ALL)).clicked() {
                commands.push(HomeCommand::Host(HostCommand::EndAll));
            }
        });
        for viewer in viewers {
            ui.push_id(viewer.viewer, |ui| row_ui(ui, viewer, view.now, commands));
        }
    });
}

fn row_ui(ui: &mut Ui, viewer: &ConnectedViewer, now: Instant, commands: &mut Vec<HomeCommand>) {
    let left = |ui: &mut Ui| {
        let since = words::since(viewer.since, now);
        let ports = words::ports_in_use([viewer]);
        let facts = [&viewer.phrase, words::path(viewer.path), &since].into_iter().chain(ports.as_deref());
        let facts = facts.collect::<Vec<_>>().join("  ·  ");
        let facts = weak(ui, facts);
        two_lines_ui(ui, ROW_HEIGHT, strong(ui, TextKind::Body, &viewer.name), facts)
            .on_hover_text(viewer.fingerprint.to_string());
    };
    split_row_ui(ui, ROW_HEIGHT, left, |ui| {
        if ui.add(Action::new(ActionKind::Danger, words::END)).clicked() {
            commands.push(HomeCommand::Host(HostCommand::End(viewer.viewer)));
        }
        let other = match viewer.permission {
            Permission::Ports => None,
            Permission::View => Some((words::ALLOW_CONTROL, Permission::Control)),
            Permission::Control => Some((words::STOP_CONTROL, Permission::View)),
        };
        if let Some((label, permission)) = other
            && ui.add(Action::new(ActionKind::Quiet, label)).clicked()
        {
            let command = HostCommand::Permit { viewer: viewer.viewer, permission };
            commands.push(HomeCommand::Host(command));
        }
        let palette = theme::palette(ui);
        let (tone, word) = match viewer.permission {
            Permission::Ports => (&palette.warn, words::MAY_USE_PORTS),
            Permission::View => (&palette.good, words::MAY_LOOK),
            Permission::Control => (&palette.warn, words::MAY_CONTROL),
        };
        if ui.available_width() >= CHIP_ROOM_MIN {
            chip_ui(ui, tone, word);
        }
    });
}
