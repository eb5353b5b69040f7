//! The toolbar at the top centre. It slides away to a small handle; Ctrl+Alt+Home brings it with the keyboard.

use std::time::{Duration, Instant};

use eframe::egui::{
    Align, Area, Frame, Id, Key, Label, Layout, Margin, Modifiers, Order, Popup, Rect, Response, Sense,
    Stroke, Ui, pos2, vec2,
};
use tagio_wire::session::Permission;

use super::{ScaleMode, SessionCommand, SessionState, SessionView};
use crate::{
    engine::status::{ViewerCommand, ViewerStatus},
    theme::{self, TextKind, icons::Icon, radius, space},
    views::{
        parts::{Action, ActionKind, chip_ui, lamp_ui, strong, weak},
        words,
    },
};

/// How long it stays when a session begins, so that it is known to exist.
const FIRST_SHOWN_FOR: Duration = Duration::from_secs(4);

/// How long it stays after the pointer has left it.
const STAYS_FOR: Duration = Duration::from_millis(700);

const SLIDE_S: f32 = 0.16;
const HANDLE: eframe::egui::Vec2 = vec2(72.0, 7.0);
const ITEM_HEIGHT: f32 = 32.0;
const PHRASE_WIDTH: f32 = 300.0;

/// What the toolbar remembers.
#[derive(Debug, Default)]
pub struct ToolbarState {
    /// It stays at least until then.
    until: Option<Instant>,
    /// The keyboard is in it.
    has_keys: bool,
}

impl ToolbarState {
    /// Whether keys are for the toolbar and not for the host.
    pub fn has_keys(&self) -> bool {
        self.has_keys
    }

    /// Brings it and gives it the keyboard, or sends it away.
    pub fn toggle_keys(&mut self) {
        self.has_keys = !self.has_keys;
    }
}

/// Draws it and returns what it covers.
pub(super) fn toolbar_ui(
    ui: &Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) -> Vec<Rect> {
    let ctx = ui.ctx().clone();
    if view.is_bare && !state.toolbar.has_keys {
        return Vec::new();
    }
    let first = view.now + FIRST_SHOWN_FOR;
    let until = *state.toolbar.until.get_or_insert(first);
    let is_shown = state.toolbar.has_keys || view.now < until;
    if let Some(left) = until.checked_duration_since(view.now) {
        ctx.request_repaint_after(left);
    }
    let slide = ctx.animate_bool_with_time(Id::unique("toolbar slide"), is_shown, SLIDE_S);
    let mut covered = Vec::new();
    if slide > 0.0 {
        covered.push(bar_ui(ui, slide, view, state, commands));
    }
    if slide < 1.0 {
        covered.push(handle_ui(ui, 1.0 - slide));
    }
    let is_on_it = ctx.pointer_latest_pos().is_some_and(|pos| covered.iter().any(|rect| rect.contains(pos)));
    if is_on_it || Popup::is_any_open(&ctx) {
        state.toolbar.until = Some(until.max(view.now + STAYS_FOR));
    }
    keys_ui(ui, &mut state.toolbar, is_on_it);
    covered
}

/// Esc and a click on the picture give the keyboard back to the host.
fn keys_ui(ui: &Ui, toolbar: &mut ToolbarState, is_pointer_on_it: bool) {
    let is_given_back = ui.ctx().input_mut(|input| {
        let is_clicked_away = input.pointer.any_pressed() && !is_pointer_on_it;
        is_clicked_away || (toolbar.has_keys && input.consume_key(Modifiers::NONE, Key::Escape))
    });
    if is_given_back && !Popup::is_any_open(ui.ctx()) {
        toolbar.has_keys = false;
    }
}

/// The handle that stays; the pointer on it brings the toolbar.
fn handle_ui(ui: &Ui, opacity: f32) -> Rect {
    let area = ui.max_rect();
    let rect = Rect::from_center_size(pos2(area.center().x, area.top() + HANDLE.y / 2.0), HANDLE);
    let palette = theme::palette(ui);
    let painter = ui.ctx().layer_painter(eframe::egui::LayerId::new(Order::Foreground, Id::unique("handle")));
    let fill = palette.surface.gamma_multiply(0.85 * opacity);
    let line = Stroke::new(1.0, palette.text_weak.gamma_multiply(opacity));
    painter.rect(rect, radius::CONTROL, fill, line, eframe::egui::StrokeKind::Inside);
    rect
}

fn bar_ui(
    ui: &Ui,
    slide: f32,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) -> Rect {
    let palette = theme::palette(ui);
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::symmetric(10, 6));
    let hidden_by = (1.0 - slide) * -(ITEM_HEIGHT + 2.0 * space::M);
    Area::new(Id::unique("toolbar"))
        .order(Order::Foreground)
        .anchor(eframe::egui::Align2::CENTER_TOP, vec2(0.0, space::S + hidden_by))
        .constrain(false)
        .show(ui.ctx(), |ui| {
            frame.show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = space::XS;
                    ui.spacing_mut().interact_size.y = ITEM_HEIGHT;
                    status_ui(ui, view.status);
                    ui.separator();
                    items_ui(ui, view, state, commands);
                });
            });
        })
        .response
        .rect
}

fn status_ui(ui: &mut Ui, status: &ViewerStatus) {
    let palette = theme::palette(ui);
    lamp_ui(ui, palette.good.text);
    ui.label(strong(ui, TextKind::Body, short(&status.host_name)));
    let mut facts = Vec::new();
    facts.extend(status.path.map(|path| words::path(path).to_owned()));
    facts.extend(status.rtt.map(words::latency));
    facts.push(format!("{} fps", status.figures.fps));
    ui.label(weak(ui, facts.join("  ·  ")));
    if status.permission == Permission::View {
        chip_ui(ui, &palette.warn, words::VIEW_ONLY);
    }
}

/// The toolbar stays narrow however long a name is.
fn short(name: &str) -> String {
    const CHARS_MAX: usize = 24;
    match name.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn items_ui(
    ui: &mut Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) {
    let full_screen = item_ui(ui, Icon::FullScreen, words::FULL_SCREEN);
    if state.toolbar.has_keys && ui.ctx().memory(|memory| memory.focused().is_none()) {
        full_screen.request_focus();
    }
    if full_screen.clicked() {
        commands.push(SessionCommand::ToggleFullScreen);
    }
    let (icon, label, other) = match state.mode {
        ScaleMode::Fit => (Icon::Original, words::ORIGINAL, ScaleMode::Original),
        ScaleMode::Original => (Icon::Fit, words::FIT, ScaleMode::Fit),
    };
    if item_ui(ui, icon, label).clicked() {
        state.mode = other;
    }
    if view.status.permission == Permission::Control
        && item_ui(ui, Icon::Keyboard, words::CTRL_ALT_DEL).clicked()
    {
        commands.push(SessionCommand::CtrlAltDel);
    }
    let safety = item_ui(ui, Icon::Shield, words::SAFETY);
    Popup::menu(&safety).width(PHRASE_WIDTH).show(|ui| phrase_ui(ui, view.status));
    let leave = Action::new(ActionKind::Bare, words::DISCONNECT).icon(Icon::Leave).height(ITEM_HEIGHT);
    if ui.add(leave).clicked() {
        commands.push(SessionCommand::Viewer(ViewerCommand::Leave));
        commands.push(SessionCommand::Close);
    }
}

fn item_ui(ui: &mut Ui, icon: Icon, label: &str) -> Response {
    ui.add(Action::icon_only(icon, label).height(ITEM_HEIGHT))
}

fn phrase_ui(ui: &mut Ui, status: &ViewerStatus) {
    ui.set_width(PHRASE_WIDTH);
    // A menu would stretch the words to its full width.
    let ragged = Layout::top_down(Align::Min);
    Frame::new().inner_margin(Margin::same(10)).show(ui, |ui| {
        ui.with_layout(ragged, |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            let phrase = status.phrase.as_deref().unwrap_or_default();
            ui.add(Label::new(strong(ui, TextKind::Title, phrase)).wrap().sense(Sense::hover()));
            ui.add(Label::new(weak(ui, words::PHRASE_HOW_VIEWER)).wrap());
            if let Some(fingerprint) = status.fingerprint {
                ui.label(weak(ui, format!("{}  {fingerprint}", words::FINGERPRINT)));
            }
        })
    });
}
