//! Text fields with a caption and, when something is wrong, a sentence under them.

use eframe::egui::{
    Id, Label, Response, Role, Stroke, StrokeKind, TextEdit, Ui, WidgetInfo, epaint::CornerRadius,
};

use super::text::{colored, weak};
use crate::theme::{self, CONTROL_HEIGHT, TextKind, radius, space};

/// One line that can be typed into.
pub(in crate::views) struct TextField<'a> {
    text: &'a mut String,
    caption: &'a str,
    hint: &'a str,
    is_secret: bool,
    width: f32,
    id: Option<Id>,
}

impl<'a> TextField<'a> {
    /// A field with this caption; an empty one leaves no room for it.
    pub(in crate::views) fn new(caption: &'a str, text: &'a mut String) -> Self {
        Self { text, caption, hint: "", is_secret: false, width: f32::INFINITY, id: None }
    }

    pub(in crate::views) fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// Shows dots instead of the text.
    pub(in crate::views) fn secret(mut self, is_secret: bool) -> Self {
        self.is_secret = is_secret;
        self
    }

    pub(in crate::views) fn width(mut self, width: f32) -> Self {
        self.width = width;
        self
    }

    pub(in crate::views) fn id(mut self, id: Id) -> Self {
        self.id = Some(id);
        self
    }

    /// Shows it, with `problem` under it.
    pub(in crate::views) fn show(self, ui: &mut Ui, problem: Option<&str>) -> Response {
        let palette = theme::palette(ui);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            if !self.caption.is_empty() {
                ui.label(weak(ui, self.caption));
            }
            let name = if self.caption.is_empty() { self.hint } else { self.caption }.to_owned();
            let hint = colored(TextKind::Body, self.hint, palette.text_weak);
            let width = self.width.min(ui.available_width());
            let mut edit = TextEdit::singleline(self.text)
                .hint_text(hint)
                .password(self.is_secret)
                .font(TextKind::Body.style())
                .desired_width(width)
                .align(eframe::egui::Align2::LEFT_CENTER)
                .min_size(eframe::egui::vec2(width, CONTROL_HEIGHT));
            if let Some(id) = self.id {
                edit = edit.id(id);
            }
            let response = ui.add(edit);
            let role = if self.is_secret { Role::PasswordInput } else { Role::TextInput };
            response.widget_info(|| WidgetInfo::labeled(role, true, &name));
            if let Some(problem) = problem {
                let ring = Stroke::new(1.5, palette.danger.text);
                let corner = CornerRadius::same(radius::CONTROL);
                ui.painter().rect_stroke(response.rect, corner, ring, StrokeKind::Inside);
                field_problem_ui(ui, problem);
            }
            response
        })
        .inner
    }
}

/// What is wrong with a field.
fn field_problem_ui(ui: &mut Ui, problem: &str) {
    let color = theme::palette(ui).danger.text;
    ui.add(Label::new(colored(TextKind::Small, problem, color)).wrap());
}
