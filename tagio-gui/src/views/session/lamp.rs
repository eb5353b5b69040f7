//! The lamp that says whether the picture is exact.

use eframe::egui::{Response, Ui};
use tagio_wire::session::Quality;

use crate::{
    engine::status::ViewerStatus,
    theme::{self, TextKind},
    views::{
        parts::{colored, lamp_ui},
        words,
    },
};

/// Green and "exact", or which share is; amber while video plays. Grey where the user gave exactness up.
pub(super) fn exact_lamp_ui(ui: &mut Ui, status: &ViewerStatus) -> Response {
    let palette = theme::palette(ui);
    let figures = &status.figures;
    let is_reduced = matches!(status.wish.quality, Quality::Saver { grey, half } if grey || half);
    let (color, what) = if is_reduced {
        (palette.text_weak, words::REDUCED_WHAT)
    } else if figures.has_video {
        (palette.warn.text, words::VIDEO_PLAYS)
    } else if figures.exact_share >= 1.0 {
        (palette.good.text, words::EXACT_WHAT)
    } else {
        (palette.text_weak, words::NOT_YET_EXACT)
    };
    let words = if is_reduced { words::REDUCED.to_owned() } else { words::exact_share(figures.exact_share) };
    let lamp = lamp_ui(ui, color);
    let label = ui.label(colored(TextKind::Small, words, color));
    lamp.union(label).on_hover_text(what)
}
