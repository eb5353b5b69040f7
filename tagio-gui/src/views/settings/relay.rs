//! The relay, and how to get there.

use eframe::egui::{Align, Layout, Ui};

use super::{REVEAL_WIDTH, SettingsForm, reveal_ui};
use crate::{
    config::{DEFAULT_RELAY, ReachChoice},
    theme::{TextKind, space},
    views::{
        parts::{TextField, segments_ui, strong, weak},
        words,
    },
};

/// How the relay may be reached, in the order of the page.
const REACHES: [(ReachChoice, &str); 4] = [
    (ReachChoice::Automatic, words::REACH_AUTOMATIC),
    (ReachChoice::Tls, words::REACH_TLS),
    (ReachChoice::WebSocket, words::REACH_WEBSOCKET),
    (ReachChoice::Http, words::REACH_HTTP),
];

pub(super) fn relay_ui(ui: &mut Ui, form: &mut SettingsForm, are_secrets_shown: &mut bool) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::RELAY));
    ui.label(weak(ui, words::RELAY_WHAT));
    let problem = form.relay_problem();
    TextField::new(words::RELAY_ADDRESS, &mut form.relay).show(ui, problem.as_deref());
    if form.relay != DEFAULT_RELAY && ui.link(words::USE_DEFAULT).clicked() {
        form.relay = DEFAULT_RELAY.to_owned();
    }
    secret_ui(ui, words::RELAY_AUTH, &mut form.relay_auth, are_secrets_shown);
    ui.label(weak(ui, words::REACH));
    segments_ui(ui, &mut form.reach, &REACHES);
    let problem = form.proxy_problem();
    TextField::new(words::PROXY, &mut form.proxy).hint(words::PROXY_HINT).show(ui, problem);
    if !form.proxy.trim().is_empty() {
        TextField::new(words::PROXY_USER, &mut form.proxy_user).show(ui, None);
        secret_ui(ui, words::PROXY_PASSWORD, &mut form.proxy_password, are_secrets_shown);
    }
    ui.checkbox(&mut form.lan, words::LAN);
}

/// A field of dots with a button that shows what they stand for.
fn secret_ui(ui: &mut Ui, caption: &str, text: &mut String, is_shown: &mut bool) {
    ui.horizontal(|ui| {
        let width = ui.available_width() - REVEAL_WIDTH - space::S;
        TextField::new(caption, text).secret(!*is_shown).width(width).show(ui, None);
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| reveal_ui(ui, is_shown));
    });
}
