//! The page of reverse tunnels: what of this computer others may visit, how that goes, and who came.

mod card;
mod form;

use std::{collections::BTreeSet, time::Instant};

use eframe::egui::{Label, Ui};

use super::{
    parts::{Action, ActionKind, card_ui, notice_ui, page_ui, split_row_ui, strong, weak},
    words,
};
use crate::{
    engine::status::{TunnelCommand, TunnelId, Tunnels},
    theme::{self, CONTROL_HEIGHT, TextKind, icons::Icon, space},
};
pub use form::TunnelForm;

const PAGE_WIDTH: f32 = 720.0;

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub struct TunnelsView<'a> {
    /// All of them.
    pub tunnels: &'a Tunnels,
    /// For "Copied".
    pub now: Instant,
}

/// What the page remembers.
#[derive(Debug, Default)]
pub struct TunnelsState {
    form: Option<TunnelForm>,
    /// Those of which all requests are shown.
    unfolded: BTreeSet<TunnelId>,
    copied: Option<(TunnelId, Instant)>,
}

/// What the user wants.
#[derive(Debug)]
pub enum TunnelsCommand {
    /// Of the engine.
    Tunnel(TunnelCommand),
    /// Puts text on the clipboard.
    Copy(String),
    /// Back to the main screen.
    Close,
}

/// Draws the page.
pub fn tunnels_ui(
    ui: &mut Ui,
    view: &TunnelsView<'_>,
    state: &mut TunnelsState,
    commands: &mut Vec<TunnelsCommand>,
) {
    page_ui(ui, PAGE_WIDTH, |ui| {
        header_ui(ui, state, commands);
        ui.add(Label::new(weak(ui, words::TUNNELS_WHAT)).wrap());
        ui.add_space(space::XS);
        ui.spacing_mut().item_spacing.y = space::M;
        if let Some(problem) = &view.tunnels.problem {
            notice_ui(ui, &theme::palette(ui).danger, "", problem);
        }
        if state.form.as_ref().is_some_and(|form| form.changes.is_none()) {
            form::form_ui(ui, &mut state.form, commands);
        }
        for tunnel in &view.tunnels.list {
            if state.form.as_ref().is_some_and(|form| form.changes == Some(tunnel.id)) {
                form::form_ui(ui, &mut state.form, commands);
            } else {
                ui.push_id(tunnel.id, |ui| card::card_ui(ui, tunnel, view.now, state, commands));
            }
        }
        if view.tunnels.list.is_empty() && state.form.is_none() {
            card_ui(ui, |ui| ui.add(Label::new(weak(ui, words::NO_TUNNELS)).wrap()));
        }
    });
}

fn header_ui(ui: &mut Ui, state: &mut TunnelsState, commands: &mut Vec<TunnelsCommand>) {
    let left = |ui: &mut Ui| {
        if ui.add(Action::icon_only(Icon::Back, words::BACK)).clicked() {
            commands.push(TunnelsCommand::Close);
        }
        ui.label(strong(ui, TextKind::Large, words::TUNNELS));
    };
    let mut is_wanted = false;
    split_row_ui(ui, CONTROL_HEIGHT, left, |ui| {
        if state.form.is_none() {
            is_wanted =
                ui.add(Action::new(ActionKind::Primary, words::ADD_TUNNEL).icon(Icon::Plus)).clicked();
        }
    });
    if is_wanted {
        state.form = Some(TunnelForm::default());
    }
}
