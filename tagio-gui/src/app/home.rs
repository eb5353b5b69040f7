//! The main window: this computer as a host, and the box that opens sessions.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use eframe::egui::{self, RawInput, UserAttentionType, ViewportCommand};
use tagio_process::spawn_named;
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::{Wake, clipboard::Clipboard};
use crate::{
    config::{KnownHost, KnownPeers, Settings, Target},
    engine::status::{HostCommand, HostStatus, RelayState, TunnelCommand, Tunnels, ViewerId},
    theme,
    views::{
        accept::{AcceptState, accept_ui},
        banner::show_banner,
        home::{ConnectRequest, HomeCommand, HomeState, HomeView, home_ui},
        settings::{SettingsCommand, SettingsState, settings_ui},
        tunnels::{TunnelsCommand, TunnelsState, TunnelsView, tunnels_ui},
    },
};

const NO_ENGINE: &str = "The engine does not answer. Close TagIO and start it again.";

/// Between two frames while a countdown is on the screen.
const TICK: Duration = Duration::from_secs(1);

/// The host that this window shows.
pub struct HostHandle {
    /// Snapshots.
    pub status: watch::Receiver<HostStatus>,
    /// Wishes.
    pub commands: mpsc::Sender<HostCommand>,
    /// The engine calls it after each new snapshot.
    pub wake: Wake,
}

/// The reverse tunnels of this window.
pub struct TunnelsHandle {
    /// Snapshots.
    pub status: watch::Receiver<Tunnels>,
    /// Wishes.
    pub commands: mpsc::Sender<TunnelCommand>,
}

/// Turns an unattended password into what may be stored. Slow; runs on a thread of its own.
pub type SealPassword = Arc<dyn Fn(&str) -> Result<Vec<u8>> + Send + Sync>;

type Sealed = Result<Vec<u8>>;

/// Everything that the main window needs.
pub struct HomeParts {
    /// This computer as a host.
    pub host: HostHandle,
    /// What this computer shows to others.
    pub tunnels: TunnelsHandle,
    /// Opens a session, which is a process of its own. Must not block.
    pub connect: Box<dyn FnMut(ConnectRequest) -> Result<()>>,
    /// For the settings screen.
    pub seal_password: SealPassword,
    /// Where settings and known peers are.
    pub data_dir: PathBuf,
}

/// The main window.
pub struct HomeApp {
    parts: HomeParts,
    clipboard: Clipboard,
    settings: Settings,
    recent: Vec<(Target, KnownHost)>,
    home: HomeState,
    accept: AcceptState,
    /// The settings screen, while it is open.
    settings_screen: Option<SettingsState>,
    /// The page of tunnels, while it is open.
    tunnels_page: Option<TunnelsState>,
    /// The viewer for which the window came to the front last.
    asked_for: Option<ViewerId>,
    /// Somebody was connected when it was looked last.
    was_watched: bool,
    problem: Option<String>,
    /// Passwords that were turned into what may be stored.
    sealed: std_mpsc::Receiver<Sealed>,
    /// For the threads that do it.
    seal_to: std_mpsc::Sender<Sealed>,
}

impl HomeApp {
    /// Reads the settings and dresses the window in them.
    pub fn new(ctx: &egui::Context, parts: HomeParts) -> Self {
        let (settings, warnings) = Settings::load(&parts.data_dir);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        theme::apply(ctx, settings.theme);
        ctx.set_zoom_factor(settings.zoom());
        parts.host.wake.connect(ctx);
        let (seal_to, sealed) = std_mpsc::channel();
        let mut app = Self {
            clipboard: Clipboard::new(ctx),
            settings,
            recent: Vec::new(),
            home: HomeState::default(),
            accept: AcceptState::default(),
            settings_screen: None,
            tunnels_page: None,
            asked_for: None,
            was_watched: false,
            problem: None,
            sealed,
            seal_to,
            parts,
        };
        app.load_recent();
        app
    }

    fn load_recent(&mut self) {
        let (peers, warnings) = KnownPeers::load(&self.parts.data_dir);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        self.recent = peers.recent_hosts();
    }

    /// Somebody asks: the window comes to the front, once for each. Somebody is in: it comes to the front as
    /// well, because a hidden window draws no banner.
    fn come_to_front(&mut self, ctx: &egui::Context) {
        let (asking, is_watched) = {
            let status = self.parts.host.status.borrow();
            (status.asking.first().map(|asking| asking.viewer), !status.viewers.is_empty())
        };
        let is_hidden = ctx.input(|input| {
            let window = input.viewport();
            window.minimized.unwrap_or(false) || window.occluded.unwrap_or(false)
        });
        let is_asked = asking.is_some() && asking != self.asked_for;
        if is_asked || (is_watched && !self.was_watched && is_hidden) {
            for command in [
                ViewportCommand::Minimized(false),
                ViewportCommand::Visible(true),
                ViewportCommand::Focus,
                ViewportCommand::RequestUserAttention(UserAttentionType::Critical),
            ] {
                ctx.send_viewport_cmd_to(egui::ViewportId::ROOT, command);
            }
        }
        self.asked_for = asking;
        self.was_watched = is_watched;
    }

    fn screens_ui(&mut self, ui: &mut egui::Ui) {
        let status = self.parts.host.status.borrow().clone();
        let now = Instant::now();
        if let Some(screen) = &mut self.settings_screen {
            let mut commands = Vec::new();
            settings_ui(ui, screen, &mut commands);
            commands.into_iter().for_each(|command| self.on_settings(ui.ctx(), command));
        } else if let Some(page) = &mut self.tunnels_page {
            let tunnels = self.parts.tunnels.status.borrow().clone();
            let mut commands = Vec::new();
            tunnels_ui(ui, &TunnelsView { tunnels: &tunnels, now }, page, &mut commands);
            commands.into_iter().for_each(|command| self.on_tunnels(ui.ctx(), command));
        } else {
            let problem = self.problem.as_deref();
            let view =
                HomeView { status: &status, recent: &self.recent, problem, now, now_unix_s: now_unix_s() };
            let mut commands = Vec::new();
            home_ui(ui, &view, &mut self.home, &mut commands);
            commands.into_iter().for_each(|command| self.on_home(ui.ctx(), command));
        }
        let mut commands = Vec::new();
        accept_ui(ui.ctx(), &status.asking, &mut self.accept, now, &mut commands);
        show_banner(ui.ctx(), &status.viewers, &mut commands);
        commands.into_iter().for_each(|command| self.tell_host(command));
        if has_countdown(&status) {
            ui.ctx().request_repaint_after(TICK);
        }
    }

    fn on_home(&mut self, ctx: &egui::Context, command: HomeCommand) {
        match command {
            HomeCommand::Host(command) => self.tell_host(command),
            HomeCommand::Connect(request) => self.problem = sentence((self.parts.connect)(request)),
            HomeCommand::Copy(text) => ctx.copy_text(text),
            HomeCommand::OpenSettings => {
                self.settings_screen = Some(SettingsState::new(self.settings.clone()));
            }
            HomeCommand::OpenTunnels => self.tunnels_page = Some(TunnelsState::default()),
            HomeCommand::Forget(target) => {
                match KnownPeers::update(&self.parts.data_dir, |peers| peers.unlist_host(&target)) {
                    Ok(peers) => self.recent = peers.recent_hosts(),
                    Err(error) => self.problem = sentence(Err(error)),
                }
            }
        }
    }

    fn on_settings(&mut self, ctx: &egui::Context, command: SettingsCommand) {
        match command {
            SettingsCommand::Save(settings) => self.save(ctx, settings),
            SettingsCommand::SetPassword(password) => self.seal(ctx, password),
            SettingsCommand::RemovePassword => {
                self.save(ctx, Settings { password: None, ..self.settings.clone() });
            }
            SettingsCommand::Close => self.settings_screen = None,
        }
    }

    fn on_tunnels(&mut self, ctx: &egui::Context, command: TunnelsCommand) {
        match command {
            TunnelsCommand::Tunnel(command) => {
                if self.parts.tunnels.commands.try_send(command).is_err() {
                    self.problem = Some(NO_ENGINE.to_owned());
                    self.tunnels_page = None;
                }
            }
            TunnelsCommand::Copy(text) => ctx.copy_text(text),
            TunnelsCommand::Close => self.tunnels_page = None,
        }
    }

    fn save(&mut self, ctx: &egui::Context, settings: Settings) {
        let saved = settings.save(&self.parts.data_dir);
        let Some(screen) = &mut self.settings_screen else { return };
        match saved {
            Ok(()) => {
                theme::set_choice(ctx, settings.theme);
                ctx.set_zoom_factor(settings.zoom());
                screen.saved(settings.clone());
                self.settings = settings;
                self.tell_host(HostCommand::ReloadSettings);
            }
            Err(error) => screen.failed(format!("{error:#}")),
        }
    }

    /// Stores a password as soon as it is turned into what may be stored.
    fn seal(&self, ctx: &egui::Context, password: Zeroizing<String>) {
        let (seal, done, ctx) = (Arc::clone(&self.parts.seal_password), self.seal_to.clone(), ctx.clone());
        let work = move || {
            // Nobody waits any more when the window is gone.
            let _ = done.send(seal(&password));
            ctx.request_repaint();
        };
        if let Err(error) = spawn_named("seal password", work) {
            let _ = self.seal_to.send(Err(error.into()));
        }
    }

    fn take_sealed(&mut self, ctx: &egui::Context) {
        while let Ok(sealed) = self.sealed.try_recv() {
            match sealed {
                Ok(blob) => self.save(ctx, Settings { password: Some(blob), ..self.settings.clone() }),
                Err(error) => {
                    if let Some(screen) = &mut self.settings_screen {
                        screen.failed(format!("{error:#}"));
                    }
                }
            }
        }
    }

    fn tell_host(&mut self, command: HostCommand) {
        if self.parts.host.commands.try_send(command).is_err() {
            self.problem = Some(NO_ENGINE.to_owned());
        }
    }
}

impl eframe::App for HomeApp {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.come_to_front(ctx);
        self.take_sealed(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        // A session is a process of its own: what it has learnt shows when the user comes back here.
        if ctx.input(|input| input.events.contains(&egui::Event::WindowFocused(true))) {
            self.load_recent();
        }
        self.screens_ui(ui);
        self.clipboard.after_frame(&ctx);
    }

    fn raw_input_hook(&mut self, _ctx: &egui::Context, raw_input: &mut RawInput) {
        self.clipboard.before_frame(&mut raw_input.events);
    }
}

fn has_countdown(status: &HostStatus) -> bool {
    let is_retrying = matches!(status.relay, RelayState::Offline { retry_at: Some(_), .. });
    is_retrying || !status.asking.is_empty() || !status.viewers.is_empty()
}

fn sentence(result: Result<()>) -> Option<String> {
    result.err().map(|error| format!("{error:#}"))
}

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
