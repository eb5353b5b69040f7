//! A viewer's window, which is a process of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use eframe::egui::{self, Event, RawInput, ViewportCommand, vec2};
use tagio_wire::Size;
use tokio::sync::{mpsc, watch};

use super::{
    Wake,
    clipboard::Clipboard,
    input_capture::{CaptureArea, Shortcut, ctrl_alt_del, shortcut},
    input_line::{InputLine, Witness},
};
use crate::{
    config::ThemeChoice,
    engine::status::{ViewerCommand, ViewerPhase, ViewerStatus},
    theme,
    views::session::{
        PicturePainter, PictureSource, ScaleMode, SessionCommand, SessionLayout, SessionState, SessionView,
        session_ui,
    },
};

/// Between two frames while seconds are counted.
const TICK: Duration = Duration::from_secs(1);

/// Until the engine has room again.
const FLUSH_AGAIN: Duration = Duration::from_millis(2);

/// Of the monitor, that a window for a large screen takes.
const MONITOR_SHARE: f32 = 0.9;

/// The session that this window shows.
pub struct ViewerHandle {
    /// Snapshots.
    pub status: watch::Receiver<ViewerStatus>,
    /// Wishes, in order.
    pub commands: mpsc::Sender<ViewerCommand>,
    /// The pixels.
    pub picture: Arc<dyn PictureSource>,
    /// The engine calls it after each new snapshot, picture or cursor.
    pub wake: Wake,
}

/// Chooses who paints the picture of a window that is being made.
pub(crate) type ChoosePainter = Box<dyn FnOnce(&eframe::CreationContext<'_>, InputLine) -> PicturePainter>;

/// Everything that a viewer's window needs.
pub struct SessionParts {
    /// The session.
    pub viewer: ViewerHandle,
    /// Whom it is with, until the host has told its name.
    pub title: String,
    /// The picture 1:1 from the top left corner of the screen, nothing over it unless a key asks for it.
    pub full_screen: bool,
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Of toolbar and cards; never of the picture.
    pub scale_percent: u16,
    /// Chooses who paints, once the window exists. Pointer events on the picture go to the line.
    pub painter: ChoosePainter,
}

/// A viewer's window.
pub struct SessionApp {
    viewer: ViewerHandle,
    title: String,
    is_bare: bool,
    clipboard: Clipboard,
    state: SessionState,
    layout: SessionLayout,
    input: InputLine,
    /// Keyboard events that egui must not see, and pointer events that it may.
    events: Vec<Event>,
    /// The window has taken the size of this screen.
    sized_for: Option<Size>,
}

impl SessionApp {
    /// A window as `parts` say.
    pub fn new(creation: &eframe::CreationContext<'_>, parts: SessionParts) -> Self {
        let ctx = &creation.egui_ctx;
        theme::apply(ctx, parts.theme);
        ctx.set_zoom_factor(f32::from(parts.scale_percent) / 100.0);
        parts.viewer.wake.connect(ctx);
        let mode = if parts.full_screen { ScaleMode::Original } else { ScaleMode::Fit };
        let input = InputLine::new(parts.viewer.commands.clone(), parts.viewer.wake.clone());
        Self {
            clipboard: Clipboard::new(ctx),
            state: SessionState::new((parts.painter)(creation, input.clone()), mode),
            input,
            viewer: parts.viewer,
            title: parts.title,
            is_bare: parts.full_screen,
            layout: SessionLayout { keys_are_local: true, ..SessionLayout::default() },
            events: Vec::new(),
            sized_for: None,
        }
    }

    fn send_input(&mut self) {
        let events = std::mem::take(&mut self.events);
        let area = self.layout.picture.as_ref().map(|picture| CaptureArea {
            picture,
            covered: &self.layout.covered,
            alt_types_text: cfg!(target_os = "macos"),
        });
        self.input.window_events(&events, area.as_ref(), self.layout.keys_are_local);
    }

    fn on_command(&mut self, ctx: &egui::Context, command: SessionCommand) {
        match command {
            SessionCommand::Viewer(command) => self.input.push(command),
            SessionCommand::Secret(secret) => self.input.push(ViewerCommand::Secret(secret)),
            SessionCommand::CtrlAltDel => {
                ctrl_alt_del().into_iter().for_each(|key| self.input.push(key));
            }
            SessionCommand::Copy(text) => ctx.copy_text(text),
            SessionCommand::ToggleFullScreen => self.toggle_full_screen(ctx),
            SessionCommand::Close => ctx.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    fn toggle_full_screen(&mut self, ctx: &egui::Context) {
        let is_full = ctx.input(|input| input.viewport().fullscreen.unwrap_or(false));
        if is_full {
            self.is_bare = false;
        }
        ctx.send_viewport_cmd(ViewportCommand::Fullscreen(!is_full));
    }

    /// The first picture gives the window its size: the screen's own if there is room.
    fn take_size(&mut self, ctx: &egui::Context, status: &ViewerStatus) {
        let is_first = self.sized_for.is_none() && status.screen.area() > 0;
        if !is_first || !matches!(status.phase, ViewerPhase::Live) {
            return;
        }
        if ctx.cumulative_frame_nr() == 0 {
            // What it knows of the monitor is from before the zoom.
            return ctx.request_repaint();
        }
        self.sized_for = Some(status.screen);
        let Some(monitor) = ctx.input(|input| input.viewport().monitor_size) else { return };
        if self.is_bare {
            // Where no window manager makes a window full-screen, it makes itself so.
            ctx.send_viewport_cmd(ViewportCommand::OuterPosition(egui::Pos2::ZERO));
            ctx.send_viewport_cmd(ViewportCommand::InnerSize(monitor));
            return;
        }
        let screen = vec2(status.screen.width as f32, status.screen.height as f32) / ctx.pixels_per_point();
        let room = monitor * MONITOR_SHARE;
        let shrink = (room.x / screen.x).min(room.y / screen.y).min(1.0);
        let size = screen * shrink;
        ctx.send_viewport_cmd(ViewportCommand::InnerSize(size));
        // Grown where it stood, it would reach beyond the monitor.
        let corner = ((monitor - size) / 2.0).max(egui::Vec2::ZERO).to_pos2();
        ctx.send_viewport_cmd(ViewportCommand::OuterPosition(corner));
    }

    fn take_title(&mut self, ctx: &egui::Context, status: &ViewerStatus) {
        if !status.host_name.is_empty() && status.host_name != self.title {
            self.title.clone_from(&status.host_name);
            ctx.send_viewport_cmd(ViewportCommand::Title(format!("{} – TagIO", self.title)));
        }
    }
}

impl eframe::App for SessionApp {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        let (minimized, occluded) =
            ctx.input(|input| (input.viewport().minimized, input.viewport().occluded));
        self.input.set_watching(Witness::Window, !(minimized.unwrap_or(false) || occluded.unwrap_or(false)));
        self.input.flush();
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        let status = self.viewer.status.borrow().clone();
        self.take_title(&ctx, &status);
        self.take_size(&ctx, &status);
        let picture = Arc::clone(&self.viewer.picture);
        let view =
            SessionView { status: &status, picture: &*picture, now: Instant::now(), is_bare: self.is_bare };
        let mut commands = Vec::new();
        self.layout = session_ui(ui, &view, &mut self.state, &mut commands);
        self.send_input();
        commands.into_iter().for_each(|command| self.on_command(&ctx, command));
        if self.input.flush() {
            ctx.request_repaint_after(FLUSH_AGAIN);
        }
        if matches!(status.phase, ViewerPhase::Reconnecting { .. }) {
            ctx.request_repaint_after(TICK);
        }
        self.clipboard.after_frame(&ctx);
    }

    /// Clearing to it costs less than painting it, which without a GPU is most of a frame.
    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::Palette::of(visuals.dark_mode).letterbox.to_normalized_gamma_f32()
    }

    fn raw_input_hook(&mut self, ctx: &egui::Context, raw_input: &mut RawInput) {
        for event in &raw_input.events {
            match shortcut(event) {
                Some(Shortcut::FullScreen) => self.toggle_full_screen(ctx),
                Some(Shortcut::Toolbar) => self.state.toolbar.toggle_keys(),
                Some(Shortcut::Figures) => self.state.toolbar.toggle_figures(),
                None => {}
            }
        }
        if self.layout.keys_are_local {
            let is_hosts = |event: &&Event| !is_typing(event) && !matches!(event, Event::ModifiersChanged(_));
            self.events.extend(raw_input.events.iter().filter(is_hosts).cloned());
            self.clipboard.before_frame(&mut raw_input.events);
        } else {
            self.events.extend(raw_input.events.iter().cloned());
            raw_input.events.retain(|event| !is_typing(event));
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.input.push(ViewerCommand::Leave);
        self.input.flush();
    }
}

fn is_typing(event: &Event) -> bool {
    matches!(
        event,
        Event::Key { .. } | Event::Text(_) | Event::Ime(_) | Event::Copy | Event::Cut | Event::Paste(_)
    )
}
