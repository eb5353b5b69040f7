//! The unattended password: set, change, remove. It is never shown again.

use eframe::egui::{Label, Ui};
use zeroize::{Zeroize as _, Zeroizing};

use super::{REVEAL_WIDTH, SettingsCommand, reveal_ui};
use crate::{
    theme::{self, TextKind, space},
    views::{
        parts::{Action, ActionKind, TextField, lamp_ui, strong, weak},
        words,
    },
};

/// Shorter ones are too easy to guess for a door that is always there.
const CHARS_MIN: usize = 8;

/// What is typed.
#[derive(Debug, Default)]
pub struct PasswordForm {
    new: String,
    again: String,
    is_shown: bool,
    is_tried: bool,
    /// It is being turned into what may be stored; that takes a moment.
    pub(super) is_busy: bool,
}

impl Drop for PasswordForm {
    fn drop(&mut self) {
        self.new.zeroize();
        self.again.zeroize();
    }
}

impl PasswordForm {
    /// What is wrong with the first field, and with the second.
    fn problems(&self) -> (Option<&'static str>, Option<&'static str>) {
        let short = self.new.chars().count() < CHARS_MIN;
        let differs = !self.is_shown && self.new != self.again;
        (short.then_some(words::PASSWORD_SHORT), (!short && differs).then_some(words::PASSWORD_DIFFERS))
    }
}

pub(super) fn password_ui(
    ui: &mut Ui,
    form: &mut PasswordForm,
    is_set: bool,
    commands: &mut Vec<SettingsCommand>,
) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::PASSWORD));
    ui.add(Label::new(weak(ui, words::PASSWORD_WHAT)).wrap());
    ui.horizontal(|ui| {
        let palette = theme::palette(ui);
        lamp_ui(ui, if is_set { palette.good.text } else { palette.text_weak });
        ui.label(if is_set { words::PASSWORD_SET } else { words::PASSWORD_NONE });
    });
    fields_ui(ui, form);
    ui.horizontal(|ui| {
        let label = match (form.is_busy, is_set) {
            (true, _) => words::PASSWORD_SEALING,
            (false, true) => words::PASSWORD_CHANGE,
            (false, false) => words::PASSWORD_STORE,
        };
        let is_ready = !form.is_busy && !form.new.is_empty();
        if ui.add_enabled(is_ready, Action::new(ActionKind::Quiet, label)).clicked() {
            form.is_tried = true;
            if form.problems() == (None, None) {
                form.is_busy = true;
                commands.push(SettingsCommand::SetPassword(Zeroizing::new(form.new.clone())));
            }
        }
        if is_set && ui.add(Action::new(ActionKind::Bare, words::PASSWORD_REMOVE)).clicked() {
            commands.push(SettingsCommand::RemovePassword);
        }
    });
}

fn fields_ui(ui: &mut Ui, form: &mut PasswordForm) {
    let (first, second) = if form.is_tried { form.problems() } else { (None, None) };
    let is_secret = !form.is_shown;
    ui.horizontal(|ui| {
        let width = ui.available_width() - REVEAL_WIDTH - space::S;
        let field = TextField::new("", &mut form.new).hint(words::PASSWORD_NEW);
        field.secret(is_secret).width(width).show(ui, first);
        reveal_ui(ui, &mut form.is_shown);
    });
    if is_secret && !form.new.is_empty() {
        let field = TextField::new("", &mut form.again).hint(words::PASSWORD_AGAIN);
        field.secret(true).width(ui.available_width() - REVEAL_WIDTH - space::S).show(ui, second);
    }
}
