//! The box that connects to another computer.

use eframe::egui::{Key, Ui};

use super::{ConnectRequest, HomeCommand};
use crate::{
    config::Target,
    theme::{TextKind, space},
    views::{
        parts::{Action, ActionKind, TextField, card_ui, strong, weak},
        words,
    },
};

/// What the box remembers.
#[derive(Debug, Default)]
pub(super) struct ConnectState {
    text: String,
    view_only: bool,
    /// Problems are told only after the first try: nobody likes to be corrected while typing.
    is_tried: bool,
}

pub(super) fn connect_ui(ui: &mut Ui, state: &mut ConnectState, commands: &mut Vec<HomeCommand>) {
    card_ui(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        ui.label(strong(ui, TextKind::Title, words::CONNECT_TO));
        ui.add_space(space::XS);
        let target: Result<Target, _> = state.text.parse();
        let problem = target.as_ref().err().filter(|_| state.is_tried).map(ToString::to_string);
        let mut is_wanted = false;
        ui.horizontal_top(|ui| {
            let field_width = ui.available_width() - BUTTON_WIDTH - space::S;
            let field = TextField::new("", &mut state.text).hint(words::CONNECT_HINT).width(field_width);
            let response = field.show(ui, problem.as_deref());
            is_wanted = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if response.changed() && state.text.is_empty() {
                state.is_tried = false;
            }
            let button = Action::new(ActionKind::Primary, words::CONNECT).min_width(BUTTON_WIDTH);
            is_wanted |= ui.add(button).clicked();
        });
        if problem.is_none() {
            ui.label(weak(ui, words::CONNECT_HELP));
        }
        ui.checkbox(&mut state.view_only, words::LOOK_ONLY);
        if is_wanted {
            match state.text.parse() {
                Ok(target) => {
                    *state = ConnectState { view_only: state.view_only, ..Default::default() };
                    let request = ConnectRequest { target, view_only: state.view_only };
                    commands.push(HomeCommand::Connect(request));
                }
                Err(_) => state.is_tried = true,
            }
            ui.ctx().request_repaint();
        }
    });
}

const BUTTON_WIDTH: f32 = 104.0;
