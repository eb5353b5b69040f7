//! The settings screen. Nothing changes before "Save"; what cannot be saved says why.

mod form;
mod looks;
mod password;
mod picture;
mod ports;
mod relay;

use eframe::egui::{Frame, Margin, Panel, Ui};
use zeroize::Zeroizing;

pub use form::SettingsForm;
pub use password::PasswordForm;

use super::{
    parts::{
        Action, ActionKind, TextField, card_ui, colored, notice_ui, page_ui, split_row_ui, strong, weak,
    },
    words,
};
use crate::{
    config::Settings,
    theme::{self, CONTROL_HEIGHT, TextKind, icons::Icon, space},
};

const PAGE_WIDTH: f32 = 620.0;

/// What the screen remembers.
#[derive(Debug)]
pub struct SettingsState {
    saved: Settings,
    form: SettingsForm,
    password: PasswordForm,
    is_auth_shown: bool,
    /// "Saved" is shown until the next change.
    is_just_saved: bool,
    /// A sentence, when saving failed.
    problem: Option<String>,
}

/// What the user wants.
#[derive(Debug)]
pub enum SettingsCommand {
    /// Write these.
    Save(Settings),
    /// Turn this into what may be stored, and write that.
    SetPassword(Zeroizing<String>),
    /// No unattended access any more.
    RemovePassword,
    /// Back to the main screen.
    Close,
}

impl SettingsState {
    /// Shows these settings.
    pub fn new(saved: Settings) -> Self {
        Self {
            form: SettingsForm::new(&saved),
            saved,
            password: PasswordForm::default(),
            is_auth_shown: false,
            is_just_saved: false,
            problem: None,
        }
    }

    /// These are on disk now. What was typed elsewhere on the screen stays.
    pub fn saved(&mut self, saved: Settings) {
        self.saved = saved;
        self.is_just_saved = true;
        self.problem = None;
        self.password = PasswordForm::default();
    }

    /// It could not be written.
    pub fn failed(&mut self, problem: String) {
        self.problem = Some(problem);
        self.password.is_busy = false;
    }
}

/// Draws the screen.
pub fn settings_ui(ui: &mut Ui, state: &mut SettingsState, commands: &mut Vec<SettingsCommand>) {
    save_bar_ui(ui, state, commands);
    page_ui(ui, PAGE_WIDTH, |ui| {
        ui.horizontal(|ui| {
            if ui.add(Action::icon_only(Icon::Back, words::BACK)).clicked() {
                commands.push(SettingsCommand::Close);
            }
            ui.label(strong(ui, TextKind::Large, words::SETTINGS));
        });
        ui.spacing_mut().item_spacing.y = space::M;
        if let Some(problem) = &state.problem {
            notice_ui(ui, &theme::palette(ui).danger, "", problem);
        }
        card_ui(ui, |ui| general_ui(ui, &mut state.form));
        let is_set = state.saved.password.is_some();
        card_ui(ui, |ui| password::password_ui(ui, &mut state.password, is_set, commands));
        card_ui(ui, |ui| ports::ports_ui(ui, &mut state.form));
        card_ui(ui, |ui| picture::picture_ui(ui, &mut state.form));
        card_ui(ui, |ui| relay::relay_ui(ui, &mut state.form, &mut state.is_auth_shown));
        card_ui(ui, |ui| looks::looks_ui(ui, &mut state.form));
    });
}

fn save_bar_ui(ui: &mut Ui, state: &mut SettingsState, commands: &mut Vec<SettingsCommand>) {
    let palette = theme::palette(ui);
    let is_changed = state.form != SettingsForm::new(&state.saved);
    if is_changed {
        state.is_just_saved = false;
    }
    let frame = Frame::new().fill(palette.surface).inner_margin(Margin::symmetric(space::L as i8, 10));
    Panel::bottom("save").frame(frame).resizable(false).show(ui, |ui| {
        let left = |ui: &mut Ui| {
            if is_changed {
                ui.label(weak(ui, words::UNSAVED));
            } else if state.is_just_saved {
                ui.label(colored(TextKind::Small, words::SAVED, palette.good.text));
            }
        };
        split_row_ui(ui, CONTROL_HEIGHT, left, |ui| {
            let settings = state.form.settings(&state.saved);
            let can_save = is_changed && settings.is_some();
            let save = Action::new(ActionKind::Primary, words::SAVE);
            if ui.add_enabled(can_save, save).clicked()
                && let Some(settings) = settings
            {
                commands.push(SettingsCommand::Save(settings));
            }
            let cancel = Action::new(ActionKind::Quiet, words::CANCEL);
            if ui.add_enabled(is_changed, cancel).clicked() {
                state.form = SettingsForm::new(&state.saved);
            }
        });
    });
}

fn general_ui(ui: &mut Ui, form: &mut SettingsForm) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::GENERAL));
    let problem = form.name_problem();
    TextField::new(words::NAME, &mut form.name).show(ui, problem);
    ui.checkbox(&mut form.ask, words::ASK_FIRST);
    if !form.ask {
        notice_ui(ui, &theme::palette(ui).warn, "", words::ASK_FIRST_OFF);
        ui.checkbox(&mut form.control, words::CONTROL_DEFAULT);
    }
}

const REVEAL_WIDTH: f32 = 72.0;

/// A button that shows or hides secrets.
fn reveal_ui(ui: &mut Ui, is_shown: &mut bool) {
    let label = if *is_shown { words::HIDE } else { words::SHOW };
    if ui.add(Action::new(ActionKind::Quiet, label).min_width(REVEAL_WIDTH)).clicked() {
        *is_shown = !*is_shown;
    }
}
