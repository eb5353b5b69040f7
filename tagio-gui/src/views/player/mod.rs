//! The window that plays a recording: the picture, and a bar below it.

mod keys;
pub mod words;

use std::time::Duration;

use eframe::egui::{
    CentralPanel, Frame, Label, Margin, Rect, Role, Slider, Stroke, Ui, UiBuilder, WidgetInfo, pos2,
};
use tagio_wire::Size;

use super::{
    parts::{Action, ActionKind, colored, split_row_ui, weak},
    session::{PictureSource, PictureTexture, ScaleMode, place},
};
use crate::theme::{self, CONTROL_HEIGHT, TextKind, space};

/// The speeds that can be chosen.
pub const SPEEDS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// What the window shows.
#[derive(Clone, Copy)]
pub struct PlayerView<'a> {
    /// The pixels.
    pub picture: &'a dyn PictureSource,
    /// Of the picture.
    pub size: Size,
    /// Where the recording is.
    pub position: Duration,
    /// How long it is.
    pub duration: Duration,
    /// Whether it moves.
    pub is_playing: bool,
    /// Seconds of the recording in one second.
    pub speed: f64,
    /// A sentence, when something is wrong.
    pub problem: Option<&'a str>,
}

/// What the window remembers.
#[derive(Default)]
pub struct PlayerState {
    texture: PictureTexture,
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlayerCommand {
    /// Play if it is paused, pause if it plays.
    TogglePlaying,
    /// Go there.
    Seek(Duration),
    /// Play that fast.
    SetSpeed(f64),
}

/// Height of the bar without the line of a problem.
const BAR_HEIGHT: f32 = SEEK_HEIGHT + CONTROL_HEIGHT + 2.0 * space::S + space::XS;
const SEEK_HEIGHT: f32 = 22.0;
const PROBLEM_HEIGHT: f32 = 26.0;
/// The button must not jump when its word changes.
const PLAY_WIDTH: f32 = 84.0;

/// Draws the window.
pub fn player_ui(
    ui: &mut Ui,
    view: &PlayerView<'_>,
    state: &mut PlayerState,
    commands: &mut Vec<PlayerCommand>,
) {
    keys::handle(ui, view, commands);
    let frame = Frame::new().fill(theme::palette(ui).letterbox);
    CentralPanel::default().frame(frame).show(ui, |ui| {
        let area = ui.max_rect();
        let problem_height = if view.problem.is_some() { PROBLEM_HEIGHT } else { 0.0 };
        let edge = (area.bottom() - BAR_HEIGHT - problem_height).max(area.top());
        picture_ui(ui, Rect::from_min_max(area.min, pos2(area.right(), edge)), view, state);
        bar_ui(ui, Rect::from_min_max(pos2(area.left(), edge), area.max), view, commands);
    });
}

fn picture_ui(ui: &Ui, area: Rect, view: &PlayerView<'_>, state: &mut PlayerState) {
    let placement = place(area, ui.ctx().pixels_per_point(), view.size, ScaleMode::Fit, None);
    state.texture.update(ui.ctx(), view.picture);
    state.texture.paint(ui, &placement);
}

fn bar_ui(ui: &mut Ui, area: Rect, view: &PlayerView<'_>, commands: &mut Vec<PlayerCommand>) {
    let palette = theme::palette(ui);
    ui.painter().rect_filled(area, 0.0, palette.surface);
    ui.painter().hline(area.x_range(), area.top(), Stroke::new(1.0, palette.line));
    ui.scope_builder(UiBuilder::new().max_rect(area), |ui| {
        let margin = Margin::symmetric(space::M as i8, space::S as i8);
        Frame::new().inner_margin(margin).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            if let Some(problem) = view.problem {
                ui.add(Label::new(colored(TextKind::Small, problem, palette.warn.text)).truncate());
            }
            seek_ui(ui, view, commands);
            let mut speed = None;
            split_row_ui(
                ui,
                CONTROL_HEIGHT,
                |ui| play_ui(ui, view, commands),
                |ui| speed = speeds_ui(ui, view.speed),
            );
            commands.extend(speed.map(PlayerCommand::SetSpeed));
        });
    });
}

fn play_ui(ui: &mut Ui, view: &PlayerView<'_>, commands: &mut Vec<PlayerCommand>) {
    let word = if view.is_playing { words::PAUSE } else { words::PLAY };
    if ui.add(Action::new(ActionKind::Primary, word).min_width(PLAY_WIDTH)).clicked() {
        commands.push(PlayerCommand::TogglePlaying);
    }
    ui.add_space(space::S);
    ui.add(Label::new(weak(ui, words::position(view.position, view.duration))).truncate());
}

/// The buttons from the right, and the speed that was clicked.
fn speeds_ui(ui: &mut Ui, chosen: f64) -> Option<f64> {
    ui.spacing_mut().item_spacing.x = space::XS;
    let mut clicked = None;
    for speed in SPEEDS.into_iter().rev() {
        let word = words::speed(speed);
        let action = Action::new(ActionKind::Bare, &word).chosen((speed - chosen).abs() < 0.01);
        if ui.add(action).on_hover_text(words::SPEED).clicked() {
            clicked = Some(speed);
        }
    }
    clicked
}

fn seek_ui(ui: &mut Ui, view: &PlayerView<'_>, commands: &mut Vec<PlayerCommand>) {
    let mut seconds = view.position.as_secs_f64();
    ui.spacing_mut().slider_width = ui.available_width();
    ui.spacing_mut().interact_size.y = SEEK_HEIGHT;
    let range = 0.0..=view.duration.as_secs_f64();
    let seek = ui.add(Slider::new(&mut seconds, range).show_value(false));
    seek.widget_info(|| WidgetInfo::labeled(Role::Slider, true, words::POSITION));
    if seek.changed() {
        commands.push(PlayerCommand::Seek(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
    }
}
