//! How the picture fares: where the latency comes from, how much comes, and how exact it is.

use std::time::Duration;

use eframe::egui::{
    Align, Align2, Area, Color32, CornerRadius, Frame, Id, Layout, Margin, Order, Rect, Response, RichText,
    Sense, Stroke, Ui, vec2,
};

use super::lamp::exact_lamp_ui;
use crate::{
    engine::status::{Figures, Spread, ViewerStatus},
    theme::{self, TextKind, icons::Icon, radius, space},
    views::{
        parts::{Action, split_row_ui, strong, text, weak},
        words,
    },
};

const WIDTH: f32 = 268.0;
const ROW_HEIGHT: f32 = 19.0;
const COLUMN_WIDTH: f32 = 62.0;
const BAR_HEIGHT: f32 = 10.0;
const SWATCH_SIDE: f32 = 9.0;
const CLOSE_SIDE: f32 = 26.0;

/// From the window's right edge, and below the toolbar.
const OFFSET: eframe::egui::Vec2 = vec2(12.0, 62.0);

/// Draws the panel; returns whether it was closed. It can be dragged out of the way.
pub(super) fn figures_ui(ui: &Ui, status: &ViewerStatus) -> bool {
    let palette = theme::palette(ui);
    let room = ui.max_rect().with_min_y(ui.max_rect().top() + OFFSET.y);
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::same(14));
    Area::new(Id::unique("figures"))
        .order(Order::Foreground)
        .pivot(Align2::RIGHT_TOP)
        .default_pos(room.right_top() - vec2(OFFSET.x, 0.0))
        .constrain_to(room)
        .movable(true)
        .show(ui.ctx(), |ui| {
            let contents = |ui: &mut Ui| {
                ui.set_width(WIDTH);
                ui.spacing_mut().item_spacing.y = space::XS;
                let is_closed = title_ui(ui);
                latency_ui(ui, &status.figures);
                ui.separator();
                facts_ui(ui, status);
                is_closed
            };
            frame.show(ui, contents).inner
        })
        .inner
}

fn title_ui(ui: &mut Ui) -> bool {
    let mut is_closed = false;
    let title = |ui: &mut Ui| drop(ui.label(strong(ui, TextKind::Body, words::LATENCY)));
    split_row_ui(ui, CLOSE_SIDE, title, |ui| {
        let close = Action::icon_only(Icon::Close, words::FIGURES_CLOSE).height(CLOSE_SIDE);
        is_closed = ui.add(close).clicked();
    });
    is_closed
}

fn latency_ui(ui: &mut Ui, figures: &Figures) {
    let colors = theme::palette(ui).series;
    let stages = [
        (words::CAPTURE, figures.capture),
        (words::ENCODE, figures.encode),
        (words::NETWORK, figures.network),
        (words::DECODE, figures.decode),
        (words::DISPLAY, figures.display),
    ];
    bar_ui(ui, &stages.map(|(_, spread)| spread.p50), &colors);
    let head = |ui: &mut Ui| drop(ui.label(weak(ui, "")));
    split_row_ui(ui, ROW_HEIGHT, head, |ui| {
        column_ui(ui, weak(ui, words::P95)).on_hover_text(words::P95_WHAT);
        column_ui(ui, weak(ui, words::P50)).on_hover_text(words::P50_WHAT);
    });
    for ((label, spread), color) in stages.into_iter().zip(colors) {
        let name = |ui: &mut Ui| {
            swatch_ui(ui, color);
            ui.label(weak(ui, label));
        };
        spread_row_ui(ui, spread, name);
    }
    let sum = |of: fn(&Spread) -> Duration| stages.iter().map(|(_, spread)| of(spread)).sum();
    let sum = Spread { p50: sum(|spread| spread.p50), p95: sum(|spread| spread.p95) };
    spread_row_ui(ui, sum, |ui| drop(ui.label(text(TextKind::Small, words::SUM))));
}

fn spread_row_ui(ui: &mut Ui, spread: Spread, name: impl FnOnce(&mut Ui)) {
    split_row_ui(ui, ROW_HEIGHT, name, |ui| {
        column_ui(ui, weak(ui, words::duration(spread.p95)));
        column_ui(ui, text(TextKind::Small, words::duration(spread.p50)));
    });
}

/// A figure at the right edge of its column, so that it does not dance.
fn column_ui(ui: &mut Ui, figure: RichText) -> Response {
    let right = Layout::right_to_left(Align::Center);
    ui.allocate_ui_with_layout(vec2(COLUMN_WIDTH, ROW_HEIGHT), right, |ui| {
        ui.set_min_width(COLUMN_WIDTH);
        ui.label(figure)
    })
    .inner
}

fn swatch_ui(ui: &mut Ui, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(SWATCH_SIDE, ROW_HEIGHT), Sense::hover());
    let square = Rect::from_center_size(rect.center(), vec2(SWATCH_SIDE, SWATCH_SIDE));
    ui.painter().rect_filled(square, CornerRadius::same(2), color);
}

/// The medians behind each other, the whole as wide as the panel.
fn bar_ui(ui: &mut Ui, parts: &[Duration], colors: &[Color32]) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), BAR_HEIGHT), Sense::hover());
    let corner = CornerRadius::same(3);
    ui.painter().rect_filled(rect, corner, theme::palette(ui).raised);
    let whole = parts.iter().sum::<Duration>().as_secs_f32();
    let mut left = rect.left();
    for (part, color) in parts.iter().zip(colors) {
        let width = rect.width() * part.as_secs_f32() / whole.max(f32::MIN_POSITIVE);
        let piece = Rect::from_min_size(eframe::egui::pos2(left, rect.top()), vec2(width, BAR_HEIGHT));
        ui.painter().with_clip_rect(piece).rect_filled(rect, corner, *color);
        left += width;
    }
}

fn facts_ui(ui: &mut Ui, status: &ViewerStatus) {
    let figures = &status.figures;
    fact_ui(ui, words::FPS, &format!("{} / s", figures.fps));
    fact_ui(ui, words::RATE, &words::rate(figures.megabits_per_second));
    let path = status.path.map(words::path);
    let rtt = status.rtt.map(words::duration);
    let connection: Vec<_> = path.into_iter().chain(rtt.as_deref()).collect();
    fact_ui(ui, words::PATH, &connection.join("  ·  "));
    let label = |ui: &mut Ui| drop(ui.label(weak(ui, words::EXACTNESS)));
    split_row_ui(ui, ROW_HEIGHT, label, |ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        exact_lamp_ui(ui, status);
    });
}

fn fact_ui(ui: &mut Ui, name: &str, figure: &str) {
    let label = |ui: &mut Ui| drop(ui.label(weak(ui, name)));
    split_row_ui(ui, ROW_HEIGHT, label, |ui| drop(ui.label(text(TextKind::Small, figure))));
}
