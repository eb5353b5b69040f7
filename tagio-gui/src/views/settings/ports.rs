//! Which ports of this computer others may use.

use eframe::egui::{Label, Ui};

use super::SettingsForm;
use crate::{
    config::PortChoice,
    theme::{TextKind, space},
    views::{
        parts::{choice_ui, strong, weak},
        words,
    },
};

pub(super) fn ports_ui(ui: &mut Ui, form: &mut SettingsForm) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::PORTS));
    ui.add(Label::new(weak(ui, words::PORTS_WHAT)).wrap());
    let choices = [
        (PortChoice::Ask, words::PORTS_ASK),
        (PortChoice::Own, words::PORTS_OWN),
        (PortChoice::Off, words::PORTS_OFF),
    ];
    for (choice, (title, what)) in choices {
        if choice_ui(ui, form.ports == choice, title, what).clicked() {
            form.ports = choice;
        }
    }
}
