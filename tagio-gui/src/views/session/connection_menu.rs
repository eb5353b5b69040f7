//! How the two computers are connected, why so, and what could be done about it.

use eframe::egui::{Label, Response, Ui};

use super::toolbar::menu_ui;
use crate::{
    engine::status::{Carrier, Outcome, PathKind, PathReport, Tried, ViewerStatus},
    theme::{TextKind, space},
    views::{
        parts::{split_row_ui, strong, text, weak},
        words,
    },
};

const WIDTH: f32 = 360.0;
const ROW_HEIGHT: f32 = 19.0;
/// Addresses told at most: the others are guesses that nobody would recognise.
const TOLD_MAX: usize = 8;

/// Shows the menu of `button` while it is open.
pub(super) fn connection_menu_ui(button: &Response, status: &ViewerStatus) {
    let Some(path) = status.path else { return };
    menu_ui(button, WIDTH, |ui| {
        ui.label(strong(ui, TextKind::Body, words::connected(path)));
        if path == PathKind::Relay {
            let (why, what) = words::relayed(status.search.why_relayed());
            ui.add(Label::new(text(TextKind::Small, why)).wrap());
            ui.add(Label::new(weak(ui, what)).wrap());
        }
        ui.separator();
        carrier_ui(ui, status.search.carrier);
        row_ui(ui, words::OWN_NETWORK, words::mapping(status.search.own));
        row_ui(ui, words::PEER_NETWORK, status.search.peer.map_or(words::NO_FIGURE, words::mapping));
        tried_ui(ui, &status.search);
    });
}

/// By what the relay is reached.
fn carrier_ui(ui: &mut Ui, carrier: Option<Carrier>) {
    let Some(carrier) = carrier else { return };
    row_ui(ui, words::TO_THE_RELAY, &carrier.to_string());
    if let Some(why) = words::stands_in(carrier) {
        ui.add(Label::new(weak(ui, why)).wrap());
    }
}

/// What answered first, then what was silent.
fn tried_ui(ui: &mut Ui, search: &PathReport) {
    if search.tried.is_empty() {
        return;
    }
    ui.add_space(space::XS);
    ui.label(weak(ui, words::tried(search.rounds, search.guessed)));
    // A loopback address tells something only where it works.
    let tells = |tried: &Tried| tried.outcome == Outcome::Open || !tried.addr.ip().is_loopback();
    let mut tried: Vec<Tried> = search.tried.iter().copied().filter(tells).collect();
    tried.sort_by_key(|tried| std::cmp::Reverse(tried.outcome));
    for tried in tried.iter().take(TOLD_MAX) {
        row_ui(ui, &tried.addr.to_string(), words::outcome(tried.outcome));
    }
    let more = tried.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        ui.label(weak(ui, words::more_addresses(more)));
    }
}

fn row_ui(ui: &mut Ui, name: &str, value: &str) {
    let name = |ui: &mut Ui| drop(ui.label(weak(ui, name)));
    split_row_ui(ui, ROW_HEIGHT, name, |ui| drop(ui.label(text(TextKind::Small, value))));
}
