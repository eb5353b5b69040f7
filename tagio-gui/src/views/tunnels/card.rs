//! One tunnel: its state, its address, its traffic and its last requests.

use std::time::{Duration, Instant};

use eframe::egui::{Label, Ui};

use super::{TunnelForm, TunnelsCommand, TunnelsState};
use crate::{
    engine::status::{ExchangeState, ExchangeSummary, TunnelCommand, TunnelState, TunnelStatus},
    theme::{self, CONTROL_HEIGHT, Palette, TextKind, icons::Icon, space},
    views::{
        parts::{self, Action, ActionKind, colored, lamp_ui, split_row_ui, strong, text, weak},
        words,
    },
};

/// Requests that are shown before somebody wants to see all.
const FEW_REQUESTS: usize = 5;
const REQUEST_HEIGHT: f32 = 22.0;
const METHOD_WIDTH: f32 = 56.0;
const COPIED_FOR: Duration = Duration::from_secs(2);

pub(super) fn card_ui(
    ui: &mut Ui,
    tunnel: &TunnelStatus,
    now: Instant,
    state: &mut TunnelsState,
    commands: &mut Vec<TunnelsCommand>,
) {
    parts::card_ui(ui, |ui| {
        title_ui(ui, tunnel, state, commands);
        state_ui(ui, tunnel, now, state, commands);
        ui.add(Label::new(weak(ui, facts(tunnel))).wrap());
        if !tunnel.requests.is_empty() {
            ui.separator();
            requests_ui(ui, tunnel, state, commands);
        }
    });
}

fn title_ui(
    ui: &mut Ui,
    tunnel: &TunnelStatus,
    state: &mut TunnelsState,
    commands: &mut Vec<TunnelsCommand>,
) {
    let palette = theme::palette(ui);
    let left = |ui: &mut Ui| {
        lamp_ui(ui, lamp(palette, &tunnel.state));
        ui.add(Label::new(strong(ui, TextKind::Title, &tunnel.saved.name)).truncate());
    };
    split_row_ui(ui, CONTROL_HEIGHT, left, |ui| {
        if ui.add(Action::icon_only(Icon::Close, words::REMOVE_TUNNEL)).clicked() {
            commands.push(TunnelsCommand::Tunnel(TunnelCommand::Remove(tunnel.id)));
        }
        if ui.add(Action::icon_only(Icon::Gear, words::CHANGE_TUNNEL)).clicked() {
            state.form = Some(TunnelForm::of(tunnel));
        }
        let (icon, label, command) = if tunnel.state.is_wanted() {
            (Icon::Stop, words::STOP_TUNNEL, TunnelCommand::Stop(tunnel.id))
        } else {
            (Icon::Play, words::START_TUNNEL, TunnelCommand::Start(tunnel.id))
        };
        if ui.add(Action::new(ActionKind::Quiet, label).icon(icon)).clicked() {
            commands.push(TunnelsCommand::Tunnel(command));
        }
    });
}

fn lamp(palette: &Palette, state: &TunnelState) -> eframe::egui::Color32 {
    match state {
        TunnelState::Stopped => palette.text_weak,
        TunnelState::Starting | TunnelState::Down(_) => palette.warn.text,
        TunnelState::Open(_) => palette.good.text,
        TunnelState::Failed(_) => palette.danger.text,
    }
}

fn state_ui(
    ui: &mut Ui,
    tunnel: &TunnelStatus,
    now: Instant,
    state: &mut TunnelsState,
    commands: &mut Vec<TunnelsCommand>,
) {
    let palette = theme::palette(ui);
    match &tunnel.state {
        TunnelState::Stopped => drop(ui.label(weak(ui, words::TUNNEL_STOPPED))),
        TunnelState::Starting => drop(ui.label(weak(ui, words::TUNNEL_STARTING))),
        TunnelState::Down(problem) => parts::notice_ui(ui, &palette.warn, words::TUNNEL_DOWN, problem),
        TunnelState::Failed(problem) => parts::notice_ui(ui, &palette.danger, words::TUNNEL_FAILED, problem),
        TunnelState::Open(address) => {
            ui.label(weak(ui, words::TUNNEL_OPEN));
            let shown = |ui: &mut Ui| {
                let address = text(TextKind::Title, address).monospace().color(palette.text);
                ui.add(Label::new(address).truncate());
            };
            split_row_ui(ui, CONTROL_HEIGHT, shown, |ui| {
                let copied = state.copied.filter(|(id, _)| *id == tunnel.id);
                let left =
                    copied.and_then(|(_, at)| COPIED_FOR.checked_sub(now.saturating_duration_since(at)));
                let icon = if left.is_some() { Icon::Check } else { Icon::Copy };
                if ui.add(Action::icon_only(icon, words::COPY_ADDRESS)).clicked() {
                    state.copied = Some((tunnel.id, now));
                    commands.push(TunnelsCommand::Copy(address.clone()));
                }
                if let Some(left) = left {
                    ui.label(colored(TextKind::Small, words::COPIED, palette.good.text));
                    ui.ctx().request_repaint_after(left);
                }
            });
        }
    }
}

/// What is shown, by whom, and what has passed.
fn facts(tunnel: &TunnelStatus) -> String {
    let saved = &tunnel.saved;
    let service = format!("{}:{}", saved.local_host, saved.local_port);
    let relay = saved.server.split('#').next().unwrap_or(&saved.server);
    words::tunnel_facts(&service, relay, &words::traffic(tunnel.outward, tunnel.inward))
}

fn requests_ui(
    ui: &mut Ui,
    tunnel: &TunnelStatus,
    state: &mut TunnelsState,
    commands: &mut Vec<TunnelsCommand>,
) {
    let is_unfolded = state.unfolded.contains(&tunnel.id);
    let title = |ui: &mut Ui| drop(ui.label(strong(ui, TextKind::Body, words::LAST_REQUESTS)));
    split_row_ui(ui, CONTROL_HEIGHT, title, |ui| {
        if ui.add(Action::new(ActionKind::Bare, words::FORGET_REQUESTS)).clicked() {
            commands.push(TunnelsCommand::Tunnel(TunnelCommand::ForgetRequests(tunnel.id)));
        }
        let label = if is_unfolded { words::SHOW_FEWER } else { words::SHOW_ALL };
        if tunnel.requests.len() > FEW_REQUESTS && ui.add(Action::new(ActionKind::Bare, label)).clicked() {
            if is_unfolded {
                state.unfolded.remove(&tunnel.id);
            } else {
                state.unfolded.insert(tunnel.id);
            }
        }
    });
    ui.spacing_mut().item_spacing.y = 0.0;
    let shown = if is_unfolded { tunnel.requests.len() } else { FEW_REQUESTS };
    for request in tunnel.requests.iter().take(shown) {
        request_ui(ui, request);
    }
}

fn request_ui(ui: &mut Ui, request: &ExchangeSummary) {
    let palette = theme::palette(ui);
    let left = |ui: &mut Ui| {
        let (rect, _) = ui.allocate_exact_size(
            eframe::egui::vec2(METHOD_WIDTH, REQUEST_HEIGHT),
            eframe::egui::Sense::hover(),
        );
        let method = weak(ui, &request.method);
        ui.place(rect, Label::new(method).truncate().halign(eframe::egui::Align::Min));
        let target = text(TextKind::Small, &request.target).color(palette.text);
        ui.add(Label::new(target).truncate()).on_hover_text(&request.target);
    };
    split_row_ui(ui, REQUEST_HEIGHT, left, |ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        ui.label(weak(ui, request.total.map_or_else(|| words::NO_FIGURE.to_owned(), words::duration)));
        ui.label(weak(ui, words::bytes(request.response_bytes)));
        let color = match (request.status, request.state) {
            (_, ExchangeState::Failed) | (500.., _) => palette.danger.text,
            (400..500, _) => palette.warn.text,
            (_, ExchangeState::Open | ExchangeState::Done) => palette.good.text,
        };
        ui.label(colored(TextKind::Small, words::request_status(request), color));
    });
}
