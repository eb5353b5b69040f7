//! The palette and the sizes as an egui style.

use eframe::egui::{
    self, Color32, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle, Theme,
    ThemePreference, Visuals, style::WidgetVisuals, vec2,
};

use super::{CONTROL_HEIGHT, Palette, radius, space};
use crate::config::ThemeChoice;

/// Sizes of text, by what the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The own ID, to be read across a room.
    Huge,
    /// The one-time code.
    Large,
    /// A screen's or card's title.
    Title,
    /// Everything else.
    Body,
    /// Explanations.
    Small,
}

impl TextKind {
    /// The egui style of it.
    pub fn style(self) -> TextStyle {
        match self {
            Self::Huge => TextStyle::Name("huge".into()),
            Self::Large => TextStyle::Name("large".into()),
            Self::Title => TextStyle::Heading,
            Self::Body => TextStyle::Body,
            Self::Small => TextStyle::Small,
        }
    }

    fn size(self) -> f32 {
        match self {
            Self::Huge => 42.0,
            Self::Large => 24.0,
            Self::Title => 18.0,
            Self::Body => 14.5,
            Self::Small => 12.5,
        }
    }
}

/// Gives a window TagIO's looks.
pub fn apply(ctx: &egui::Context, choice: ThemeChoice) {
    for theme in [Theme::Light, Theme::Dark] {
        ctx.set_style_of(theme, style(theme == Theme::Dark));
    }
    set_choice(ctx, choice);
    // Its shortcuts are ordinary ones on the remote computer; the scale is a setting.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
}

/// Light, dark, or as the desktop is.
pub fn set_choice(ctx: &egui::Context, choice: ThemeChoice) {
    ctx.set_theme(match choice {
        ThemeChoice::System => ThemePreference::System,
        ThemeChoice::Light => ThemePreference::Light,
        ThemeChoice::Dark => ThemePreference::Dark,
    });
}

fn style(dark: bool) -> Style {
    let mut style = Style { visuals: visuals(dark), ..Style::default() };
    for kind in [TextKind::Huge, TextKind::Large, TextKind::Title, TextKind::Body, TextKind::Small] {
        style.text_styles.insert(kind.style(), FontId::new(kind.size(), FontFamily::Proportional));
    }
    let body = TextKind::Body.size();
    style.text_styles.insert(TextStyle::Button, FontId::new(body, FontFamily::Proportional));
    style.text_styles.insert(TextStyle::Monospace, FontId::new(body - 1.0, FontFamily::Monospace));
    style.spacing.item_spacing = vec2(space::S, space::S);
    style.spacing.button_padding = vec2(14.0, 9.0);
    style.spacing.interact_size = vec2(CONTROL_HEIGHT, CONTROL_HEIGHT);
    style.spacing.window_margin = Margin::same(space::L as i8);
    style.spacing.icon_width = 20.0;
    style.spacing.icon_width_inner = 11.0;
    style.spacing.icon_spacing = space::S;
    style.spacing.scroll = egui::style::ScrollStyle::thin();
    style.interaction.selectable_labels = false;
    style
}

fn visuals(dark: bool) -> Visuals {
    let palette = Palette::of(dark);
    let mut visuals = if dark { Visuals::dark() } else { Visuals::light() };
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(palette.text_weak);
    visuals.panel_fill = palette.page;
    visuals.window_fill = palette.surface;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.window_corner_radius = CornerRadius::same(radius::CARD);
    visuals.menu_corner_radius = CornerRadius::same(radius::CONTROL);
    let shadow = Shadow { offset: [0, 8], blur: 32, spread: 0, color: palette.shadow };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;
    visuals.extreme_bg_color = palette.raised;
    visuals.text_edit_bg_color = Some(palette.raised);
    visuals.faint_bg_color = palette.raised;
    visuals.hyperlink_color = palette.accent.text;
    visuals.selection.bg_fill = palette.accent.soft;
    visuals.selection.stroke = Stroke::new(2.0, palette.accent.text);
    visuals.error_fg_color = palette.danger.text;
    visuals.warn_fg_color = palette.warn.text;
    visuals.slider_trailing_fill = true;
    let widgets = &mut visuals.widgets;
    widgets.noninteractive = widget(palette.surface, palette.line, palette.text);
    widgets.inactive = widget(palette.raised, palette.line, palette.text);
    widgets.hovered = widget(palette.raised_hover, palette.line, palette.text);
    // Also the keyboard's focus: the ring must be seen.
    widgets.active = widget(palette.raised_hover, palette.accent.text, palette.text);
    widgets.active.bg_stroke.width = 2.0;
    widgets.open = widgets.hovered;
    visuals
}

fn widget(fill: Color32, line: Color32, text: Color32) -> WidgetVisuals {
    WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, line),
        corner_radius: CornerRadius::same(radius::CONTROL),
        fg_stroke: Stroke::new(1.5, text),
        expansion: 0.0,
    }
}
