//! The toolbar at the top centre. It slides away to a small handle; Ctrl+Alt+Home brings it with the keyboard.

use std::time::{Duration, Instant};

use eframe::egui::{
    Align, Area, Frame, Id, Key, Label, Layout, Margin, Modifiers, Order, Popup, PopupCloseBehavior, Rect,
    Response, ScrollArea, Sense, Stroke, Ui, pos2, vec2,
};
use tagio_wire::session::{Permission, ViewWish};

use super::{
    ScaleMode, SessionCommand, SessionState, SessionView,
    connection_menu::connection_menu_ui,
    lamp::exact_lamp_ui,
    monitors_menu::monitors_menu_ui,
    picture_menu::picture_menu_ui,
    ports_menu::ports_menu_ui,
    recording::{RecordingState, record_item_ui, record_note_ui},
};
use crate::{
    engine::status::{ViewerCommand, ViewerStatus},
    theme::{self, TextKind, icons::Icon, radius, space},
    views::{
        parts::{Action, ActionKind, chip_ui, strong, weak},
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

/// In a window that is narrower than this, buttons have no words and the connection is not told.
const ROOMY_FROM: f32 = 840.0;

/// What the toolbar remembers.
#[derive(Debug, Default)]
pub struct ToolbarState {
    /// It stays at least until then.
    until: Option<Instant>,
    /// The keyboard is in it.
    has_keys: bool,
    /// The panel with the figures is open.
    pub(super) has_figures: bool,
    recording: RecordingState,
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

    /// Opens or closes the panel with the figures.
    pub fn toggle_figures(&mut self) {
        self.has_figures = !self.has_figures;
    }
}

/// Draws it and returns where it is.
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
    let had_menu = Popup::is_any_open(&ctx);
    record_note_ui(ui, view, &mut state.toolbar.recording);
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
    // What closes a menu does only that.
    if !had_menu {
        keys_ui(ui, &mut state.toolbar, is_on_it);
    }
    covered
}

/// Esc and a click on the picture give the keyboard back to the host.
fn keys_ui(ui: &Ui, toolbar: &mut ToolbarState, is_pointer_on_it: bool) {
    let is_given_back = ui.ctx().input_mut(|input| {
        let is_clicked_away = input.pointer.any_pressed() && !is_pointer_on_it;
        is_clicked_away || (toolbar.has_keys && input.consume_key(Modifiers::NONE, Key::Escape))
    });
    if is_given_back {
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
    let is_roomy = ui.max_rect().width() >= ROOMY_FROM;
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
                    status_ui(ui, view.status, is_roomy);
                    ui.separator();
                    items_ui(ui, view, state, is_roomy, commands);
                });
            });
        })
        .response
        .rect
}

fn status_ui(ui: &mut Ui, status: &ViewerStatus, is_roomy: bool) {
    let palette = theme::palette(ui);
    ui.label(strong(ui, TextKind::Body, short(&status.host_name)));
    if is_roomy {
        let path = status.path.map(|path| words::path(path).to_owned());
        let facts: Vec<_> = path.into_iter().chain(status.rtt.map(words::latency)).collect();
        let facts = facts.join("  ·  ");
        let button = Action::new(ActionKind::Bare, &facts).padding(FACTS_PADDING).height(ITEM_HEIGHT);
        connection_menu_ui(&ui.add(button).on_hover_text(words::CONNECTION), status);
    }
    ui.add_space(space::XS);
    lamp_column_ui(ui, status);
    if status.permission == Permission::View {
        chip_ui(ui, &palette.warn, words::VIEW_ONLY);
    }
}

/// As wide as its widest words, so that the buttons beside it stand still.
fn lamp_column_ui(ui: &mut Ui, status: &ViewerStatus) {
    let left = Layout::left_to_right(Align::Center);
    ui.allocate_ui_with_layout(vec2(LAMP_WIDTH, ITEM_HEIGHT), left, |ui| {
        ui.set_min_width(LAMP_WIDTH);
        exact_lamp_ui(ui, status);
    });
}

const LAMP_WIDTH: f32 = 48.0;

const FACTS_PADDING: f32 = 6.0;

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
    is_roomy: bool,
    commands: &mut Vec<SessionCommand>,
) {
    let first = menus_ui(ui, view.status, is_roomy, commands);
    if state.toolbar.has_keys && ui.ctx().memory(|memory| memory.focused().is_none()) {
        first.request_focus();
    }
    let ports = Action::icon_only(Icon::Ports, words::SESSION_PORTS).chosen(!view.status.ports.is_empty());
    let ports = ui.add(ports.height(ITEM_HEIGHT));
    ports_menu_ui(&ports, view, &mut state.ports, commands);
    record_item_ui(ui, view, ITEM_HEIGHT, commands);
    let figures = Action::icon_only(Icon::Figures, words::FIGURES).chosen(state.toolbar.has_figures);
    if ui.add(figures.height(ITEM_HEIGHT)).clicked() {
        state.toolbar.toggle_figures();
    }
    ui.separator();
    window_items_ui(ui, &mut state.mode, commands);
    if view.status.permission == Permission::Control
        && item_ui(ui, Icon::Keyboard, words::CTRL_ALT_DEL).clicked()
    {
        commands.push(SessionCommand::CtrlAltDel);
    }
    let safety = item_ui(ui, Icon::Shield, words::SAFETY);
    menu_ui(&safety, PHRASE_WIDTH, |ui| phrase_ui(ui, view.status));
    let leave = Action::new(ActionKind::Bare, words::DISCONNECT).icon(Icon::Leave).height(ITEM_HEIGHT);
    if ui.add(leave.hide_text(!is_roomy)).clicked() {
        commands.push(SessionCommand::Viewer(ViewerCommand::Leave));
        commands.push(SessionCommand::Close);
    }
}

/// What is asked of the picture; returns the first button.
fn menus_ui(
    ui: &mut Ui,
    status: &ViewerStatus,
    is_roomy: bool,
    commands: &mut Vec<SessionCommand>,
) -> Response {
    let picture = Action::new(ActionKind::Bare, words::PICTURE).icon(Icon::Sliders).padding(MENU_PADDING);
    let picture = ui.add(picture.hide_text(!is_roomy).height(ITEM_HEIGHT));
    let mut wish = picture_menu_ui(&picture, status.wish);
    if status.monitors.len() > 1 {
        let monitors = item_ui(ui, Icon::Screen, words::MONITORS);
        let area = monitors_menu_ui(&monitors, &status.monitors, status.wish.area);
        wish = wish.or_else(|| area.map(|area| ViewWish { area, ..status.wish }));
    }
    commands.extend(wish.map(|wish| SessionCommand::Viewer(ViewerCommand::View(wish))));
    picture
}

const MENU_PADDING: f32 = 10.0;

fn window_items_ui(ui: &mut Ui, mode: &mut ScaleMode, commands: &mut Vec<SessionCommand>) {
    if item_ui(ui, Icon::FullScreen, words::FULL_SCREEN).clicked() {
        commands.push(SessionCommand::ToggleFullScreen);
    }
    let (icon, label, other) = match *mode {
        ScaleMode::Fit => (Icon::Original, words::ORIGINAL, ScaleMode::Original),
        ScaleMode::Original => (Icon::Fit, words::FIT, ScaleMode::Fit),
    };
    if item_ui(ui, icon, label).clicked() {
        *mode = other;
    }
}

/// What belongs to `button`, below it while it is open; it stays so while something in it is chosen.
pub(super) fn menu_ui(button: &Response, width: f32, add: impl FnOnce(&mut Ui)) {
    let menu = Popup::menu(button).width(width).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    menu.gap(MENU_GAP).show(|ui| {
        ui.set_width(width);
        // A menu would stretch words and buttons to its full width.
        let ragged = Layout::top_down(Align::Min);
        let room = ui.ctx().content_rect().bottom() - button.rect.bottom() - MENU_GAP - 2.0 * space::M;
        // A choice may bring others with it: else the menu keeps the height that it opened with.
        ui.set_max_height(room);
        ScrollArea::vertical().max_height(room).show(ui, |ui| {
            ui.reset_style();
            Frame::new().inner_margin(Margin::same(10)).show(ui, |ui| {
                ui.with_layout(ragged, |ui| {
                    ui.spacing_mut().item_spacing.y = space::S;
                    ui.spacing_mut().interact_size.y = ITEM_HEIGHT;
                    add(ui);
                })
            });
        });
    });
}

/// From the toolbar's buttons to below its edge.
const MENU_GAP: f32 = 14.0;

fn item_ui(ui: &mut Ui, icon: Icon, label: &str) -> Response {
    ui.add(Action::icon_only(icon, label).height(ITEM_HEIGHT))
}

fn phrase_ui(ui: &mut Ui, status: &ViewerStatus) {
    let phrase = status.phrase.as_deref().unwrap_or_default();
    ui.add(Label::new(strong(ui, TextKind::Title, phrase)).wrap().sense(Sense::hover()));
    ui.add(Label::new(weak(ui, words::PHRASE_HOW_VIEWER)).wrap());
    if let Some(fingerprint) = status.fingerprint {
        ui.label(weak(ui, format!("{}  {fingerprint}", words::FINGERPRINT)));
    }
}
