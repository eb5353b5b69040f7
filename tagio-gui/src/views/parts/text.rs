//! Text, lamps and chips.

use eframe::egui::{Color32, CornerRadius, Response, RichText, Role, Sense, Ui, Vec2, WidgetInfo, vec2};

use crate::theme::{self, TextKind, Tone, radius};

const LAMP_RADIUS: f32 = 4.5;

/// Text of a kind in the ordinary colour.
pub(in crate::views) fn text(kind: TextKind, text: impl Into<String>) -> RichText {
    RichText::new(text).text_style(kind.style())
}

/// A title, or a name.
pub(in crate::views) fn strong(ui: &Ui, kind: TextKind, words: impl Into<String>) -> RichText {
    text(kind, words).color(theme::palette(ui).text)
}

/// Text that explains other text.
pub(in crate::views) fn weak(ui: &Ui, words: impl Into<String>) -> RichText {
    text(TextKind::Small, words).color(theme::palette(ui).text_weak)
}

/// Text in the colour of a meaning.
pub(in crate::views) fn colored(kind: TextKind, words: impl Into<String>, color: Color32) -> RichText {
    text(kind, words).color(color)
}

/// A round lamp as high as a line of text.
pub(in crate::views) fn lamp_ui(ui: &mut Ui, color: Color32) -> Response {
    let height = ui.text_style_height(&TextKind::Body.style());
    let (rect, response) = ui.allocate_exact_size(vec2(LAMP_RADIUS * 2.0, height), Sense::hover());
    ui.painter().circle_filled(rect.center(), LAMP_RADIUS, color);
    response
}

/// A word on a soft pill.
pub(in crate::views) fn chip_ui(ui: &mut Ui, tone: &Tone, words: &str) -> Response {
    let font = TextKind::Small.style().resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(words.to_owned(), font, tone.text);
    let (rect, response) = ui.allocate_exact_size(galley.size() + 2.0 * CHIP_PADDING, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::PILL), tone.soft);
    ui.painter().galley(rect.min + CHIP_PADDING, galley, tone.text);
    response
}

const CHIP_PADDING: Vec2 = vec2(10.0, 4.0);
