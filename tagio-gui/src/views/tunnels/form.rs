//! Setting a tunnel up, or anew.

use eframe::egui::{Align, Layout, Ui};
use tagio_wire::tunnel::HOST_NAME_BYTES_MAX;
use zeroize::Zeroize as _;

use super::TunnelsCommand;
use crate::{
    config::{HostPort, RelayAddress, SavedTunnel, TUNNEL_NAME_BYTES_MAX, Token},
    engine::status::{TunnelCommand, TunnelId, TunnelStatus},
    theme::{TextKind, space},
    views::{
        parts::{self, Action, ActionKind, TextField, strong},
        words,
    },
};

const REVEAL_WIDTH: f32 = 72.0;
/// Above it fields stand side by side.
const TWO_COLUMNS_MIN: f32 = 480.0;

/// What is typed, valid or not.
#[derive(Debug, Default)]
pub struct TunnelForm {
    /// The tunnel that is set up anew; `None` for one more.
    pub(super) changes: Option<TunnelId>,
    name: String,
    service: String,
    server: String,
    token: Token,
    hostname: String,
    starts_itself: bool,
    is_token_shown: bool,
    /// Problems are told only after the first try.
    is_tried: bool,
}

impl Drop for TunnelForm {
    fn drop(&mut self) {
        self.token.0.zeroize();
    }
}

impl TunnelForm {
    /// As it is set up now.
    pub(super) fn of(tunnel: &TunnelStatus) -> Self {
        let saved = &tunnel.saved;
        let service = HostPort { host: saved.local_host.clone(), port: saved.local_port };
        Self {
            changes: Some(tunnel.id),
            name: saved.name.clone(),
            service: service.to_string(),
            server: saved.server.clone(),
            token: saved.token.clone(),
            hostname: saved.hostname.clone(),
            starts_itself: saved.starts_itself,
            is_token_shown: false,
            is_tried: false,
        }
    }

    fn name_problem(&self) -> Option<&'static str> {
        let len = self.name.trim().len();
        (len == 0 || len > TUNNEL_NAME_BYTES_MAX).then_some(words::TUNNEL_NAME_SHAPE)
    }

    /// A port alone is one of this computer.
    fn service(&self) -> Option<HostPort> {
        let text = self.service.trim();
        match text.parse::<u16>() {
            Ok(0) => None,
            Ok(port) => Some(HostPort { host: "127.0.0.1".to_owned(), port }),
            Err(_) => text.parse().ok(),
        }
    }

    fn server_problem(&self) -> Option<String> {
        self.server.parse::<RelayAddress>().err().map(|_| words::RELAY_SHAPE.to_owned())
    }

    fn hostname_problem(&self) -> Option<&'static str> {
        let name = self.hostname.trim();
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        (!is_plain || name.len() > HOST_NAME_BYTES_MAX).then_some(words::TUNNEL_HOSTNAME_SHAPE)
    }

    /// The tunnel that the fields describe, if all of them make sense.
    fn tunnel(&self) -> Option<SavedTunnel> {
        let HostPort { host, port } = self.service()?;
        if self.name_problem().is_some() || self.hostname_problem().is_some() {
            return None;
        }
        Some(SavedTunnel {
            name: self.name.trim().to_owned(),
            local_host: host,
            local_port: port,
            server: self.server.parse::<RelayAddress>().ok()?.to_string(),
            token: Token(self.token.0.trim().to_owned()),
            hostname: self.hostname.trim().to_owned(),
            starts_itself: self.starts_itself,
        })
    }
}

pub(super) fn form_ui(ui: &mut Ui, state: &mut Option<TunnelForm>, commands: &mut Vec<TunnelsCommand>) {
    let Some(form) = state else { return };
    let mut is_over = false;
    parts::card_ui(ui, |ui| {
        let title = if form.changes.is_some() { words::CHANGE_TUNNEL } else { words::ADD_TUNNEL };
        ui.label(strong(ui, TextKind::Title, title));
        fields_ui(ui, form);
        ui.checkbox(&mut form.starts_itself, words::STARTS_ITSELF);
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            let label = if form.changes.is_some() { words::SAVE } else { words::KEEP_AND_START };
            if ui.add(Action::new(ActionKind::Primary, label)).clicked() {
                form.is_tried = true;
                if let Some(tunnel) = form.tunnel() {
                    let command = match form.changes {
                        Some(id) => TunnelCommand::Change(id, tunnel),
                        None => TunnelCommand::Add(tunnel),
                    };
                    commands.push(TunnelsCommand::Tunnel(command));
                    is_over = true;
                }
            }
            is_over |= ui.add(Action::new(ActionKind::Quiet, words::CANCEL)).clicked();
        });
    });
    if is_over {
        *state = None;
    }
}

fn fields_ui(ui: &mut Ui, form: &mut TunnelForm) {
    let is_told = form.is_tried;
    let name = form.name_problem().filter(|_| is_told);
    let service = form.service().is_none().then_some(words::PORT_SHAPE).filter(|_| is_told);
    let server = form.server_problem().filter(|_| is_told);
    let hostname = form.hostname_problem().filter(|_| is_told);
    let columns = ui.available_width() >= TWO_COLUMNS_MIN;
    let width = if columns { (ui.available_width() - space::M) / 2.0 } else { ui.available_width() };
    row_ui(ui, columns, |ui| {
        TextField::new(words::TUNNEL_NAME, &mut form.name)
            .hint(words::TUNNEL_NAME_HINT)
            .width(width)
            .show(ui, name);
        TextField::new(words::SERVICE_HERE, &mut form.service)
            .hint(words::SERVICE_HERE_HINT)
            .width(width)
            .show(ui, service);
    });
    row_ui(ui, columns, |ui| {
        TextField::new(words::TUNNEL_RELAY, &mut form.server)
            .hint(words::TUNNEL_RELAY_HINT)
            .width(width)
            .show(ui, server.as_deref());
        TextField::new(words::TUNNEL_HOSTNAME, &mut form.hostname)
            .hint(words::TUNNEL_HOSTNAME_HINT)
            .width(width)
            .show(ui, hostname);
    });
    ui.horizontal(|ui| {
        let width = ui.available_width() - REVEAL_WIDTH - space::S;
        let field = TextField::new(words::TUNNEL_TOKEN, &mut form.token.0);
        field.secret(!form.is_token_shown).width(width).show(ui, None);
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
            let label = if form.is_token_shown { words::HIDE } else { words::SHOW };
            if ui.add(Action::new(ActionKind::Quiet, label).min_width(REVEAL_WIDTH)).clicked() {
                form.is_token_shown = !form.is_token_shown;
            }
        });
    });
}

/// Side by side where there is room, else below each other.
fn row_ui(ui: &mut Ui, is_wide: bool, add: impl FnOnce(&mut Ui)) {
    if is_wide {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::M;
            add(ui);
        });
    } else {
        add(ui);
    }
}
