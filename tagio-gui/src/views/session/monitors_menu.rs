//! The menu of the other computer's monitors: a drawing of how they stand, and their names.

use eframe::egui::{
    Align2, FontSelection, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, epaint::CornerRadius, pos2,
    vec2,
};
use tagio_wire::session::{Monitor, ViewArea};

use super::toolbar::menu_ui;
use crate::{
    theme::{self, TextKind, space},
    views::{parts::choice_ui, words},
};

const WIDTH: f32 = 300.0;
const DRAWING_HEIGHT_MAX: f32 = 120.0;

/// Between two monitors that touch.
const GAP: f32 = 1.5;
const CORNER: CornerRadius = CornerRadius::same(4);

/// The bar that marks the primary one, as its task bar would.
const TASK_BAR_HEIGHT: f32 = 4.0;

/// Shows the menu of `button` while it is open, and returns what was chosen.
pub(super) fn monitors_menu_ui(button: &Response, monitors: &[Monitor], shown: ViewArea) -> Option<ViewArea> {
    let shown = known(shown, monitors.len());
    let mut chosen = None;
    menu_ui(button, WIDTH, |ui| {
        chosen = drawing_ui(ui, monitors, shown);
        ui.spacing_mut().item_spacing.y = space::XS;
        let all = choice_ui(ui, shown == ViewArea::All, words::ALL_MONITORS, words::ALL_MONITORS_WHAT);
        if all.clicked() {
            chosen = Some(ViewArea::All);
        }
        for (monitor, at) in monitors.iter().zip(0..) {
            let title = words::monitor(usize::from(at) + 1, &monitor.name);
            let facts = words::monitor_facts(monitor);
            if choice_ui(ui, shown == ViewArea::Monitor(at), &title, &facts).clicked() {
                chosen = Some(ViewArea::Monitor(at));
            }
        }
    });
    chosen.filter(|chosen| *chosen != shown)
}

/// As the host understands it: a monitor that is gone means all.
fn known(area: ViewArea, monitors: usize) -> ViewArea {
    match area {
        ViewArea::Monitor(at) if usize::from(at) < monitors => area,
        ViewArea::Monitor(_) | ViewArea::All => ViewArea::All,
    }
}

/// The monitors to scale. For the mouse only: the list below says the same.
fn drawing_ui(ui: &mut Ui, monitors: &[Monitor], shown: ViewArea) -> Option<ViewArea> {
    let whole = Rect::from_points(&monitors.iter().flat_map(corners).collect::<Vec<_>>());
    let room = vec2(ui.available_width(), DRAWING_HEIGHT_MAX);
    let scale = (room.x / whole.width().max(1.0)).min(room.y / whole.height().max(1.0));
    let size = vec2(room.x, whole.height() * scale);
    let (area, _) = ui.allocate_exact_size(size, Sense::hover());
    let origin = area.min + vec2((room.x - whole.width() * scale) / 2.0, 0.0);
    let mut chosen = None;
    for (monitor, at) in monitors.iter().zip(0..) {
        let [min, max] = corners(monitor).map(|corner| origin + (corner - whole.min) * scale);
        let rect = Rect::from_min_max(min, max).shrink(GAP);
        let response = ui.interact(rect, ui.scope_id().with(("monitor", at)), Sense::CLICK);
        let is_shown = shown == ViewArea::All || shown == ViewArea::Monitor(at);
        draw(ui, rect, usize::from(at) + 1, monitor, is_shown, response.hovered());
        if response.on_hover_text(&monitor.name).clicked() {
            chosen = Some(ViewArea::Monitor(at));
        }
    }
    chosen
}

fn corners(monitor: &Monitor) -> [eframe::egui::Pos2; 2] {
    let rect = monitor.rect;
    [pos2(rect.x as f32, rect.y as f32), pos2(rect.right() as f32, rect.bottom() as f32)]
}

fn draw(ui: &Ui, rect: Rect, number: usize, monitor: &Monitor, is_shown: bool, is_hovered: bool) {
    let palette = theme::palette(ui);
    let (fill, line, ink) = match (is_shown, is_hovered) {
        (true, _) => (palette.accent.soft, palette.accent.text, palette.accent.text),
        (false, true) => (palette.raised_hover, palette.text_weak, palette.text),
        (false, false) => (palette.raised, palette.line, palette.text_weak),
    };
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    painter.rect(rect, CORNER, fill, Stroke::new(1.5, line), StrokeKind::Inside);
    if monitor.is_primary {
        let bar = Rect::from_min_max(pos2(rect.left(), rect.bottom() - TASK_BAR_HEIGHT), rect.max);
        painter.rect_filled(bar.shrink2(Vec2::new(rect.width() / 4.0, 0.0)), CORNER, line);
    }
    let font = FontSelection::from(TextKind::Title.style()).resolve(ui.style());
    painter.text(rect.center(), Align2::CENTER_CENTER, number, font, ink);
}
