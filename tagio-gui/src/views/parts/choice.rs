//! One of several: rows with an explanation, and short words side by side.

use eframe::egui::{
    CornerRadius, Painter, Pos2, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::{
    action::{Action, ActionKind},
    text::{strong, weak},
};
use crate::theme::{self, Palette, TextKind, radius, space};

const RING_RADIUS: f32 = 7.0;
const DOT_RADIUS: f32 = 3.5;
const PADDING: eframe::egui::Vec2 = vec2(8.0, 5.0);
const LINE_GAP: f32 = 1.0;
const SEGMENT_HEIGHT: f32 = 30.0;

/// A row as wide as there is room: a ring that is filled when it is chosen, a title, and what it means.
pub(in crate::views) fn choice_ui(ui: &mut Ui, is_chosen: bool, title: &str, what: &str) -> Response {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let indent = 2.0 * RING_RADIUS + space::S;
    let room = width - 2.0 * PADDING.x - indent;
    let lay = |text: eframe::egui::RichText| {
        let text = eframe::egui::WidgetText::from(text);
        text.into_galley(ui, Some(eframe::egui::TextWrapMode::Wrap), room, TextKind::Body.style())
    };
    let (title_lines, what_lines) = (lay(strong(ui, TextKind::Body, title)), lay(weak(ui, what)));
    let gap = if what.is_empty() { 0.0 } else { LINE_GAP + what_lines.size().y };
    let size = vec2(width, title_lines.size().y + gap + 2.0 * PADDING.y);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), is_chosen, title));
    if ui.is_rect_visible(rect) {
        face(ui.painter(), palette, rect, &response);
        let at = rect.min + PADDING;
        let ring_at = pos2(at.x + RING_RADIUS, at.y + title_lines.size().y / 2.0);
        ring(ui.painter(), palette, ring_at, is_chosen);
        let text_at = at + vec2(indent, 0.0);
        let what_at = text_at + vec2(0.0, title_lines.size().y + LINE_GAP);
        ui.painter().galley(text_at, title_lines, palette.text);
        ui.painter().galley(what_at, what_lines, palette.text_weak);
    }
    response
}

fn face(painter: &Painter, palette: &Palette, rect: Rect, response: &Response) {
    let corner = CornerRadius::same(radius::CONTROL);
    if response.hovered() || response.has_focus() {
        painter.rect_filled(rect, corner, palette.raised);
    }
    if response.has_focus() {
        painter.rect_stroke(rect, corner, Stroke::new(2.0, palette.text), StrokeKind::Inside);
    }
}

fn ring(painter: &Painter, palette: &Palette, at: Pos2, is_chosen: bool) {
    let color = if is_chosen { palette.accent.text } else { palette.text_weak };
    painter.circle_stroke(at, RING_RADIUS, Stroke::new(1.5, color));
    if is_chosen {
        painter.circle_filled(at, DOT_RADIUS, color);
    }
}

/// Short words side by side, one of them in force.
pub(in crate::views) fn segments_ui<T: Copy + PartialEq>(ui: &mut Ui, chosen: &mut T, choices: &[(T, &str)]) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        for (choice, label) in choices {
            let segment = Action::new(ActionKind::Quiet, label)
                .padding(SEGMENT_PADDING)
                .height(SEGMENT_HEIGHT)
                .chosen(*chosen == *choice);
            if ui.add(segment).clicked() {
                *chosen = *choice;
            }
        }
    });
}

const SEGMENT_PADDING: f32 = 11.0;
