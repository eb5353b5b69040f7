//! The window that plays a recording: wiring between the playback and its view.

use std::{
    fs::File,
    io::BufReader,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use eframe::egui;
use tagio_media::{Framebuffer, Region};

use super::Wake;
use crate::{
    config::ThemeChoice,
    recording::{mp4::Reader, playback::Playback},
    theme,
    views::{
        player::{PlayerCommand, PlayerState, PlayerView, player_ui, words},
        session::{CursorState, PictureSource},
    },
};

/// Between two frames while the seek bar moves: nobody sees it move more often.
const TICK: Duration = Duration::from_millis(100);

/// Everything that a player's window needs.
pub struct PlayerParts {
    /// What is played.
    pub reader: Reader<BufReader<File>>,
    /// The file's name.
    pub title: String,
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Of the bar; never of the picture.
    pub scale_percent: u16,
}

/// A player's window.
pub struct PlayerApp {
    playback: Playback,
    picture: Shown,
    size: tagio_wire::Size,
    is_cut: bool,
    state: PlayerState,
}

impl PlayerApp {
    /// A window as `parts` say, that plays at once.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(ctx: &egui::Context, parts: PlayerParts) -> std::io::Result<Self> {
        theme::apply(ctx, parts.theme);
        ctx.set_zoom_factor(f32::from(parts.scale_percent) / 100.0);
        let (size, is_cut) = (parts.reader.index().size, parts.reader.index().is_cut);
        let wake = Wake::default();
        wake.connect(ctx);
        let mut playback = Playback::start(parts.reader, move || wake.wake())?;
        playback.set_playing(true, Instant::now());
        let (picture, state) = (Shown::default(), PlayerState::default());
        Ok(Self { playback, picture, size, is_cut, state })
    }

    fn on_command(&mut self, command: PlayerCommand, now: Instant) {
        match command {
            PlayerCommand::TogglePlaying => {
                let is_playing = self.playback.clock().is_playing(now);
                self.playback.set_playing(!is_playing, now);
            }
            PlayerCommand::Seek(to) => self.playback.seek(to, now),
            PlayerCommand::SetSpeed(speed) => self.playback.set_speed(speed, now),
        }
    }
}

impl eframe::App for PlayerApp {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let now = Instant::now();
        if let Some(picture) = self.playback.due(now) {
            self.picture.take(picture);
        }
        let clock = self.playback.clock();
        let view = PlayerView {
            picture: &self.picture,
            size: self.size,
            position: clock.position(now),
            duration: clock.duration(),
            is_playing: clock.is_playing(now),
            speed: clock.speed(),
            problem: self.playback.problem().or_else(|| self.is_cut.then_some(words::IS_CUT)),
        };
        let mut commands = Vec::new();
        player_ui(ui, &view, &mut self.state, &mut commands);
        let has_commands = !commands.is_empty();
        commands.into_iter().for_each(|command| self.on_command(command, now));
        if has_commands {
            ui.ctx().request_repaint();
        }
        if self.playback.clock().is_playing(now) {
            let next = self.playback.next_due(now).map_or(TICK, |next| next.min(TICK));
            ui.ctx().request_repaint_after(next);
        }
    }
}

/// The picture that is shown, and whether the window has it already.
#[derive(Default)]
struct Shown(Mutex<(Framebuffer, bool)>);

impl Shown {
    fn take(&self, picture: Framebuffer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (picture, true);
    }
}

impl PictureSource for Shown {
    fn with_picture(&self, read: &mut dyn FnMut(&Framebuffer, &Region)) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (picture, is_new) = &mut *shown;
        if std::mem::take(is_new) {
            read(picture, &Region::whole(picture.size()));
        }
    }

    fn cursor(&self) -> CursorState {
        CursorState::default()
    }
}
