//! This computer's ID and one-time code, and whether it can be reached.

use std::time::{Duration, Instant};

use eframe::egui::{Label, Ui};

use super::{Copied, HomeCommand, HomeState, HomeView};
use crate::{
    engine::status::{HostCommand, RelayState},
    theme::{self, CONTROL_HEIGHT, TextKind, icons::Icon, space},
    views::{
        parts::{Action, card_ui, colored, lamp_ui, notice_ui, split_row_ui, strong, text, weak},
        words,
    },
};

/// How long "Copied" stays.
const COPIED_FOR: Duration = Duration::from_secs(2);

pub(super) fn this_computer_ui(
    ui: &mut Ui,
    view: &HomeView<'_>,
    state: &mut HomeState,
    commands: &mut Vec<HomeCommand>,
) {
    card_ui(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        ui.label(strong(ui, TextKind::Title, words::THIS_COMPUTER));
        relay_ui(ui, view);
        ui.add_space(space::S);
        id_ui(ui, view, state, commands);
        ui.add_space(space::XS);
        ui.separator();
        ui.add_space(space::XS);
        code_ui(ui, view, state, commands);
        ui.add_space(space::S);
        ui.add(Label::new(weak(ui, words::HOW_TO_SHARE)).wrap());
        if view.status.has_password {
            ui.add(Label::new(weak(ui, words::PASSWORD_IS_SET)).wrap());
        }
    });
}

fn relay_ui(ui: &mut Ui, view: &HomeView<'_>) {
    let palette = theme::palette(ui);
    let relay = &view.status.relay;
    if let RelayState::Offline { problem, retry_at } = relay {
        let sentences = words::relay_problem(problem, *retry_at, view.now);
        notice_ui(ui, &palette.warn, words::relay_state(relay), &sentences);
        return;
    }
    let lamp = if *relay == RelayState::Online { palette.good.text } else { palette.text_weak };
    ui.horizontal(|ui| {
        lamp_ui(ui, lamp);
        ui.label(weak(ui, words::relay_state(relay)));
    });
}

fn id_ui(ui: &mut Ui, view: &HomeView<'_>, state: &mut HomeState, commands: &mut Vec<HomeCommand>) {
    ui.label(weak(ui, words::YOUR_ID));
    let height = ui.text_style_height(&TextKind::Huge.style());
    let Some(id) = view.status.id else {
        let color = theme::palette(ui).text_weak;
        ui.label(colored(TextKind::Huge, words::NO_ID_YET, color));
        ui.add(Label::new(weak(ui, words::NO_ID_WHY)).wrap());
        return;
    };
    let number = |ui: &mut Ui| drop(ui.label(strong(ui, TextKind::Huge, id.spaced())));
    split_row_ui(ui, height, number, |ui| {
        if copy_ui(ui, words::COPY_ID, Copied::Id(id), state, view.now) {
            commands.push(HomeCommand::Copy(id.spaced()));
        }
    });
}

fn code_ui(ui: &mut Ui, view: &HomeView<'_>, state: &mut HomeState, commands: &mut Vec<HomeCommand>) {
    ui.label(weak(ui, words::ONE_TIME_CODE));
    let code = &view.status.code;
    let shown = |ui: &mut Ui| {
        let color = theme::palette(ui).text;
        ui.label(text(TextKind::Large, code).monospace().size(CODE_SIZE).color(color));
    };
    split_row_ui(ui, CONTROL_HEIGHT, shown, |ui| {
        if ui.add(Action::icon_only(Icon::Renew, words::RENEW_CODE)).clicked() {
            commands.push(HomeCommand::Host(HostCommand::RenewCode));
        }
        if copy_ui(ui, words::COPY_CODE, Copied::Code, state, view.now) {
            commands.push(HomeCommand::Copy(code.clone()));
        }
    });
}

/// Of the one-time code, whose letters must not be mixed up.
const CODE_SIZE: f32 = 24.0;

/// A copy button that says "Copied" for a while; true when it was clicked.
fn copy_ui(ui: &mut Ui, tooltip: &str, what: Copied, state: &mut HomeState, now: Instant) -> bool {
    let left = state
        .copied
        .filter(|(copied, _)| *copied == what)
        .and_then(|(_, at)| COPIED_FOR.checked_sub(now.saturating_duration_since(at)));
    let icon = if left.is_some() { Icon::Check } else { Icon::Copy };
    let is_clicked = ui.add(Action::icon_only(icon, tooltip)).clicked();
    if is_clicked {
        state.copied = Some((what, now));
    }
    if let Some(left) = left {
        ui.label(colored(TextKind::Small, words::COPIED, theme::palette(ui).good.text));
        ui.ctx().request_repaint_after(left);
    }
    is_clicked
}
