//! Colours and size of the window.

use eframe::egui::{Slider, Ui};

use super::SettingsForm;
use crate::{
    config::{SCALE_PERCENT, ThemeChoice},
    theme::{TextKind, space},
    views::{
        parts::{Action, ActionKind, strong, weak},
        words,
    },
};

const SCALE_STEP: f64 = 25.0;
const SLIDER_WIDTH: f32 = 240.0;

pub(super) fn looks_ui(ui: &mut Ui, form: &mut SettingsForm) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::LOOKS));
    ui.label(weak(ui, words::THEME));
    ui.horizontal_wrapped(|ui| {
        let choices = [
            (ThemeChoice::System, words::THEME_SYSTEM),
            (ThemeChoice::Light, words::THEME_LIGHT),
            (ThemeChoice::Dark, words::THEME_DARK),
        ];
        for (choice, label) in choices {
            let button = Action::new(ActionKind::Quiet, label).chosen(form.theme == choice);
            if ui.add(button).clicked() {
                form.theme = choice;
            }
        }
    });
    ui.label(weak(ui, words::SCALE));
    ui.spacing_mut().slider_width = SLIDER_WIDTH.min(ui.available_width() / 2.0);
    let slider = Slider::new(&mut form.scale_percent, SCALE_PERCENT).step_by(SCALE_STEP).suffix(" %");
    ui.name_inputs(words::SCALE, |ui| ui.add(slider));
}
