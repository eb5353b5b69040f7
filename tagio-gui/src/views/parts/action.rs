//! Buttons.

use eframe::egui::{
    Color32, Response, Role, Sense, Stroke, StrokeKind, TextStyle, Ui, Widget, WidgetInfo, WidgetText,
    epaint::CornerRadius, pos2, vec2,
};

use crate::theme::{self, CONTROL_HEIGHT, TextKind, icons, radius, space};

/// How loudly a button speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::views) enum ActionKind {
    /// What most people want here; at most one on a screen.
    Primary,
    /// Anything else.
    Quiet,
    /// Ends something.
    Danger,
    /// No face until the pointer is on it.
    Bare,
}

/// A button with a text, an icon, or both.
pub(in crate::views) struct Action<'a> {
    kind: ActionKind,
    text: &'a str,
    spoken: Option<&'a str>,
    ink: Option<Color32>,
    icon: Option<icons::Icon>,
    is_text_hidden: bool,
    is_chosen: bool,
    min_width: f32,
    padding: f32,
    height: f32,
}

const ICON_SIDE: f32 = 16.0;
const PADDING: f32 = 14.0;

impl<'a> Action<'a> {
    pub(in crate::views) fn new(kind: ActionKind, text: &'a str) -> Self {
        Self {
            kind,
            text,
            spoken: None,
            ink: None,
            icon: None,
            is_text_hidden: false,
            is_chosen: false,
            min_width: 0.0,
            padding: PADDING,
            height: CONTROL_HEIGHT,
        }
    }

    /// Only an icon; the text is its tooltip and what a screen reader says.
    pub(in crate::views) fn icon_only(icon: icons::Icon, text: &'a str) -> Self {
        Self { icon: Some(icon), is_text_hidden: true, ..Self::new(ActionKind::Bare, text) }
    }

    pub(in crate::views) fn icon(mut self, icon: icons::Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// What a screen reader says instead of the text.
    pub(in crate::views) fn spoken(mut self, spoken: &'a str) -> Self {
        self.spoken = Some(spoken);
        self
    }

    /// The icon in the colour of a meaning.
    pub(in crate::views) fn ink(mut self, ink: Color32) -> Self {
        self.ink = Some(ink);
        self
    }

    /// Only the icon, where there is no room.
    pub(in crate::views) fn hide_text(mut self, is_hidden: bool) -> Self {
        self.is_text_hidden = is_hidden;
        self
    }

    /// Shows that it is the one in force among several.
    pub(in crate::views) fn chosen(mut self, is_chosen: bool) -> Self {
        self.is_chosen = is_chosen;
        self
    }

    pub(in crate::views) fn min_width(mut self, width: f32) -> Self {
        self.min_width = width;
        self
    }

    /// Left and right of the contents.
    pub(in crate::views) fn padding(mut self, padding: f32) -> Self {
        self.padding = padding;
        self
    }

    pub(in crate::views) fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Colours of face and text.
    fn colors(&self, ui: &Ui, is_lit: bool) -> (Color32, Color32) {
        let palette = theme::palette(ui);
        if self.is_chosen {
            return (palette.accent.soft, palette.accent.text);
        }
        match (self.kind, is_lit) {
            (ActionKind::Primary, false) => (palette.accent.fill, palette.accent.on_fill),
            (ActionKind::Primary, true) => (palette.accent.fill_hover, palette.accent.on_fill),
            (ActionKind::Quiet, false) => (palette.raised, palette.text),
            (ActionKind::Danger, false) => (palette.danger.fill, palette.danger.on_fill),
            (ActionKind::Danger, true) => (palette.danger.fill_hover, palette.danger.on_fill),
            (ActionKind::Bare, false) => (Color32::TRANSPARENT, palette.text_weak),
            (ActionKind::Quiet | ActionKind::Bare, true) => (palette.raised_hover, palette.text),
        }
    }
}

impl Widget for Action<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let text = if self.is_text_hidden { "" } else { self.text };
        let font = TextKind::Body.style();
        let galley = WidgetText::from(text).into_galley(ui, None, f32::INFINITY, TextStyle::clone(&font));
        let icon_width = if self.icon.is_some() { ICON_SIDE } else { 0.0 };
        let gap = if self.icon.is_some() && !text.is_empty() { space::S } else { 0.0 };
        let content = icon_width + gap + galley.size().x;
        let padding = if self.is_text_hidden { (self.height - content) / 2.0 } else { self.padding };
        let size = vec2((content + 2.0 * padding).max(self.min_width), self.height);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        response.widget_info(|| {
            WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.spoken.unwrap_or(self.text))
        });
        if ui.is_rect_visible(rect) {
            let is_lit = response.hovered() || response.is_pointer_button_down_on();
            let (face, ink) = self.colors(ui, is_lit);
            let corner = CornerRadius::same(radius::CONTROL);
            ui.painter().rect_filled(rect, corner, face);
            if self.kind == ActionKind::Quiet {
                let line = Stroke::new(1.0, theme::palette(ui).line);
                ui.painter().rect_stroke(rect, corner, line, StrokeKind::Inside);
            }
            if response.has_focus() {
                let ring = Stroke::new(2.0, theme::palette(ui).text);
                ui.painter().rect_stroke(rect.expand(2.0), corner, ring, StrokeKind::Inside);
            }
            let left = rect.center().x - content / 2.0;
            if let Some(icon) = self.icon {
                let at = pos2(left + ICON_SIDE / 2.0, rect.center().y);
                icons::paint(
                    ui.painter(),
                    eframe::egui::Rect::from_center_size(at, vec2(ICON_SIDE, ICON_SIDE)),
                    icon,
                    self.ink.unwrap_or(ink),
                );
            }
            let text_at = pos2(left + icon_width + gap, rect.center().y - galley.size().y / 2.0);
            ui.painter().galley_with_override_text_color(text_at, galley, ink);
        }
        if self.is_text_hidden { response.on_hover_text(self.text) } else { response }
    }
}
