//! Pages, cards, notices and rows.

use eframe::egui::{
    Align, CentralPanel, CornerRadius, Frame, InnerResponse, Label, Layout, Margin, Response, RichText,
    ScrollArea, Stroke, Ui, vec2,
};

use super::text::colored;
use crate::theme::{self, TextKind, Tone, radius, space};

/// Wider than this, lines get hard to read.
const PAGE_WIDTH_MAX: f32 = 1000.0;

/// A whole window's page that scrolls when it is too long.
pub(in crate::views) fn page_ui(ui: &mut Ui, width_max: f32, add: impl FnOnce(&mut Ui)) {
    let page = Frame::new().fill(theme::palette(ui).page);
    CentralPanel::default().frame(page).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 2.0 * space::L).min(width_max.min(PAGE_WIDTH_MAX));
            let side = (ui.available_width() - width) / 2.0;
            ui.add_space(space::M);
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.add_space(side);
                ui.vertical(|ui| {
                    ui.reset_style();
                    ui.set_width(width);
                    add(ui);
                    ui.add_space(space::L);
                });
            });
        });
    });
}

/// A card as wide as there is room.
pub(in crate::views) fn card_ui<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    let palette = theme::palette(ui);
    Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::same(space::L as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.spacing_mut().item_spacing = vec2(space::S, space::S);
                add(ui)
            })
            .inner
        })
}

/// Sentences on a soft background.
pub(in crate::views) fn notice_ui(ui: &mut Ui, tone: &Tone, title: &str, sentences: &str) {
    Frame::new()
        .fill(tone.soft)
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(14, 11))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = space::XS;
            if !title.is_empty() {
                ui.add(Label::new(colored(TextKind::Body, title, tone.text)).wrap());
            }
            let ink = theme::palette(ui).text;
            ui.add(Label::new(colored(TextKind::Small, sentences, ink)).wrap());
        });
}

/// A row whose right end is laid out first, so that the left end knows how much room is left and can cut
/// its text.
pub(in crate::views) fn split_row_ui(
    ui: &mut Ui,
    height: f32,
    left: impl FnOnce(&mut Ui),
    right: impl FnOnce(&mut Ui),
) {
    let size = vec2(ui.available_width(), height);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        ui.set_min_height(height);
        right(ui);
        let rest = ui.available_size();
        ui.allocate_ui_with_layout(rest, Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_size(rest);
            left(ui);
        });
    });
}

/// Two lines of text in the middle of a row of `height`; what does not fit is cut.
pub(in crate::views) fn two_lines_ui(
    ui: &mut Ui,
    height: f32,
    first: RichText,
    second: RichText,
) -> Response {
    let lines =
        ui.text_style_height(&TextKind::Body.style()) + ui.text_style_height(&TextKind::Small.style());
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = LINE_GAP;
        ui.add_space((height - lines - LINE_GAP) / 2.0);
        ui.add(Label::new(first).truncate());
        ui.add(Label::new(second).truncate())
    })
    .inner
}

const LINE_GAP: f32 = 2.0;
