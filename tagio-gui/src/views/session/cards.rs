//! The cards that want an answer: the secret, and what to do after an ending.

use eframe::egui::{Id, Key, Label, Ui};
use zeroize::{Zeroize as _, Zeroizing};

use super::{SessionCommand, overlay::middle_card_ui};
use crate::{
    engine::status::{Ending, ViewerCommand, ViewerStatus},
    theme::{self, TextKind, space},
    views::{
        parts::{Action, ActionKind, TextField, notice_ui, strong, weak},
        words,
    },
};

/// What is typed as code or password.
#[derive(Debug, Default)]
pub struct SecretForm {
    text: String,
    is_shown: bool,
    had_focus: bool,
}

impl Drop for SecretForm {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

pub(super) fn secret_ui(
    ui: &Ui,
    form: &mut SecretForm,
    problem: Option<&str>,
    commands: &mut Vec<SessionCommand>,
) {
    middle_card_ui(ui, |ui| {
        ui.label(strong(ui, TextKind::Title, words::SECRET_TITLE));
        ui.add(Label::new(weak(ui, words::SECRET_WHAT)).wrap());
        ui.add_space(space::XS);
        let id = Id::unique("secret");
        let field = TextField::new("", &mut form.text).hint(words::SECRET_HINT).secret(!form.is_shown).id(id);
        let response = field.show(ui, problem);
        if !form.had_focus {
            form.had_focus = true;
            response.request_focus();
        }
        let is_entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        ui.checkbox(&mut form.is_shown, words::SHOW);
        ui.horizontal(|ui| {
            let can_send = !form.text.trim().is_empty();
            let connect = Action::new(ActionKind::Primary, words::CONNECT);
            let is_clicked = ui.add_enabled(can_send, connect).clicked();
            if can_send && (is_clicked || is_entered) {
                commands.push(SessionCommand::Secret(Zeroizing::new(form.text.trim().to_owned())));
                *form = SecretForm::default();
            }
            if ui.add(Action::new(ActionKind::Quiet, words::CANCEL)).clicked() {
                commands.push(SessionCommand::Viewer(ViewerCommand::Leave));
                commands.push(SessionCommand::Close);
            }
        });
    });
}

pub(super) fn ended_ui(ui: &Ui, ending: &Ending, status: &ViewerStatus, commands: &mut Vec<SessionCommand>) {
    middle_card_ui(ui, |ui| {
        let palette = theme::palette(ui);
        ui.add(Label::new(strong(ui, TextKind::Title, &ending.reason)).wrap());
        if !ending.advice.is_empty() {
            ui.add(Label::new(weak(ui, &ending.advice)).wrap());
        }
        if ending.key_changed {
            notice_ui(ui, &palette.danger, words::KEY_CHANGED, words::KEY_CHANGED_WHAT);
            if let Some(fingerprint) = status.fingerprint {
                ui.label(weak(ui, format!("{}  {fingerprint}", words::FINGERPRINT)));
            }
        }
        ui.add_space(space::XS);
        ui.horizontal_wrapped(|ui| {
            if ending.may_retry && ui.add(Action::new(ActionKind::Primary, words::TRY_AGAIN)).clicked() {
                commands.push(SessionCommand::Viewer(ViewerCommand::Retry));
            }
            if ui.add(Action::new(ActionKind::Quiet, words::CLOSE)).clicked() {
                commands.push(SessionCommand::Close);
            }
            let trust = Action::new(ActionKind::Danger, words::TRUST_NEW_KEY);
            if ending.key_changed && ui.add(trust).clicked() {
                commands.push(SessionCommand::Viewer(ViewerCommand::ForgetPin));
            }
        });
    });
}
