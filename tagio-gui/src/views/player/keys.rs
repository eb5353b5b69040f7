//! The player's keys, which work wherever the focus is.

use std::time::Duration;

use eframe::egui::{Key, Modifiers, Ui};

use super::{PlayerCommand, PlayerView};

/// How far an arrow key goes.
const STEP: Duration = Duration::from_secs(5);

pub(super) fn handle(ui: &Ui, view: &PlayerView<'_>, commands: &mut Vec<PlayerCommand>) {
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    if pressed(Key::Space) {
        commands.push(PlayerCommand::TogglePlaying);
    }
    let places = [
        (Key::ArrowLeft, view.position.saturating_sub(STEP)),
        (Key::ArrowRight, view.position.saturating_add(STEP).min(view.duration)),
        (Key::Home, Duration::ZERO),
        (Key::End, view.duration),
    ];
    for (key, place) in places {
        if pressed(key) {
            commands.push(PlayerCommand::Seek(place));
        }
    }
}
