//! A viewer's window: the remote picture, a toolbar that gets out of the way, and a sentence for every wait.

mod cards;
mod connection_menu;
mod covers;
mod cursor;
mod figures;
mod lamp;
mod monitors_menu;
mod overlay;
mod picture;
mod picture_menu;
mod picture_window;
mod placement;
mod ports_menu;
mod recording;
mod toolbar;

use std::time::Instant;

use eframe::egui::{CentralPanel, Frame, Popup, Pos2, Rect, Ui};
use tagio_wire::session::Permission;
use zeroize::Zeroizing;

pub use cards::SecretForm;
pub use picture::{CursorLook, CursorState, PicturePainter, PictureSource, PictureTexture};
pub use picture_window::{Cover, PicturePointer, PictureView, PictureWindow};
pub use placement::{Placement, ScaleMode, place};
pub use toolbar::ToolbarState;

use crate::engine::status::{ViewerCommand, ViewerPhase, ViewerStatus};

/// What the window shows.
#[derive(Clone, Copy)]
pub struct SessionView<'a> {
    /// The session.
    pub status: &'a ViewerStatus,
    /// The pixels.
    pub picture: &'a dyn PictureSource,
    /// For seconds that count.
    pub now: Instant,
    /// Nothing may lie over the picture unless a key asks for it.
    pub is_bare: bool,
}

/// What the window remembers.
pub struct SessionState {
    /// Who paints the picture.
    pub painter: PicturePainter,
    /// How large the picture is.
    pub mode: ScaleMode,
    /// The toolbar.
    pub toolbar: ToolbarState,
    /// The picture is in a window of its own.
    has_window: bool,
    texture: PictureTexture,
    cursor: cursor::CursorCache,
    secret: SecretForm,
    ports: ports_menu::PortsForm,
}

impl SessionState {
    /// A window whose picture is painted by `painter`.
    pub fn new(painter: PicturePainter, mode: ScaleMode) -> Self {
        Self {
            has_window: matches!(painter, PicturePainter::Window(_)),
            painter,
            mode,
            toolbar: ToolbarState::default(),
            texture: PictureTexture::default(),
            cursor: cursor::CursorCache::default(),
            secret: SecretForm::default(),
            ports: ports_menu::PortsForm::default(),
        }
    }
}

/// What the user wants of the window or the session.
#[derive(Debug)]
pub enum SessionCommand {
    /// Of the engine.
    Viewer(ViewerCommand),
    /// Control, Alt and Delete, pressed and released.
    CtrlAltDel,
    /// Puts text on the clipboard.
    Copy(String),
    /// In or out of full screen.
    ToggleFullScreen,
    /// The secret that was typed.
    Secret(Zeroizing<String>),
    /// Leave and close the window.
    Close,
}

/// What the frame looked like, for whoever translates input.
#[derive(Clone, Debug, Default)]
pub struct SessionLayout {
    /// Where the picture is, while it is live.
    pub picture: Option<Placement>,
    /// Where pointer events are the window's own.
    pub covered: Vec<Rect>,
    /// Keys are the window's own.
    pub keys_are_local: bool,
}

/// Draws the window on its background, which is the letterbox.
pub fn session_ui(
    ui: &mut Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) -> SessionLayout {
    CentralPanel::default().frame(Frame::new()).show(ui, |ui| contents_ui(ui, view, state, commands)).inner
}

fn contents_ui(
    ui: &mut Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) -> SessionLayout {
    let area = ui.max_rect();
    match &view.status.phase {
        ViewerPhase::Live => live_ui(ui, view, state, commands),
        ViewerPhase::Reconnecting { since } => {
            state.painter.show(None);
            let placement = placement(ui, view, state);
            texture_ui(ui, view, state, &placement);
            overlay::veil_ui(ui, area);
            overlay::reconnecting_ui(ui, *since, view.now, commands);
            SessionLayout { keys_are_local: true, ..SessionLayout::default() }
        }
        phase => {
            state.painter.show(None);
            state.toolbar = ToolbarState::default();
            match phase {
                ViewerPhase::NeedsSecret { problem } => {
                    cards::secret_ui(ui, &mut state.secret, problem.as_deref(), commands);
                }
                ViewerPhase::Ended(ending) => cards::ended_ui(ui, ending, view.status, commands),
                ViewerPhase::Asking => overlay::asking_ui(ui, view.status, commands),
                ViewerPhase::Connecting(step) => overlay::connecting_ui(ui, *step, commands),
                ViewerPhase::Live | ViewerPhase::Reconnecting { .. } => {}
            }
            if !matches!(phase, ViewerPhase::NeedsSecret { .. }) {
                state.secret = SecretForm::default();
            }
            SessionLayout { keys_are_local: true, ..SessionLayout::default() }
        }
    }
}

fn live_ui(
    ui: &mut Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    commands: &mut Vec<SessionCommand>,
) -> SessionLayout {
    let placement = placement(ui, view, state);
    let is_drawn_here = !state.has_window;
    if is_drawn_here {
        texture_ui(ui, view, state, &placement);
    }
    let bars = toolbar::toolbar_ui(ui, view, state, commands);
    if state.toolbar.has_figures && figures::figures_ui(ui, view.status) {
        state.toolbar.toggle_figures();
    }
    let covered = [bars.as_slice(), &covers::floating(ui.ctx())].concat();
    let pointer = ui.ctx().pointer_latest_pos();
    let is_on = |pos: Pos2| placement.rect.contains(pos) && !covered.iter().any(|rect| rect.contains(pos));
    cursor::show_remote_cursor(ui, view, state, &placement, pointer.is_some_and(is_on));
    let has_control = view.status.permission == Permission::Control;
    let picture_view = PictureView {
        covered: covers::covers(ui, &bars),
        pointer_is_windows: state.toolbar.has_keys() || Popup::is_any_open(ui.ctx()),
        has_control,
        draws_pointer: !view.is_bare,
        ..placement.view(ui.max_rect(), ui.ctx().pixels_per_point(), state.mode)
    };
    state.has_window = state.painter.show(Some(picture_view));
    if is_drawn_here == state.has_window {
        // Whoever drew it until now does not any more.
        ui.ctx().request_repaint();
    }
    SessionLayout {
        picture: has_control.then_some(placement),
        covered,
        keys_are_local: state.toolbar.has_keys() || Popup::is_any_open(ui.ctx()),
    }
}

fn placement(ui: &Ui, view: &SessionView<'_>, state: &mut SessionState) -> Placement {
    let pixels_per_point = ui.ctx().pixels_per_point();
    let windows = ui.ctx().pointer_latest_pos();
    let pointer = match state.painter.pointer() {
        // egui may still believe that it is where it saw it last.
        Some(PicturePointer { at, is_on_it }) if is_on_it || windows.is_none() => {
            Some(Pos2::new(at.x as f32, at.y as f32) / pixels_per_point)
        }
        Some(_) | None => windows,
    };
    place(ui.max_rect(), pixels_per_point, view.status.screen, state.mode, pointer)
}

fn texture_ui(ui: &Ui, view: &SessionView<'_>, state: &mut SessionState, placement: &Placement) {
    state.texture.update(ui.ctx(), view.picture);
    state.texture.paint(ui, placement);
}
