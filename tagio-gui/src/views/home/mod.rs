//! The main screen: this computer's ID, the box to connect, and who is connected now.

mod connect;
mod recent;
mod this_computer;
mod viewers;

use std::time::Instant;

use eframe::egui::{Ui, vec2};
use tagio_wire::PeerId;

use super::{
    parts::{Action, ActionKind, notice_ui, page_ui, split_row_ui, text},
    words,
};
use crate::{
    config::{KnownHost, Target},
    engine::status::{HostCommand, HostStatus},
    theme::{self, CONTROL_HEIGHT, TextKind, icons::Icon, space},
};

/// Below this width the cards stand below each other.
const TWO_COLUMNS_MIN: f32 = 720.0;

/// What the screen shows.
#[derive(Clone, Copy, Debug)]
pub struct HomeView<'a> {
    /// The host.
    pub status: &'a HostStatus,
    /// Hosts for the list, newest first.
    pub recent: &'a [(Target, KnownHost)],
    /// A sentence about something that the window itself could not do.
    pub problem: Option<&'a str>,
    /// For countdowns.
    pub now: Instant,
    /// For "3 days ago".
    pub now_unix_s: u64,
}

/// What the screen remembers.
#[derive(Debug, Default)]
pub struct HomeState {
    connect: connect::ConnectState,
    copied: Option<(Copied, Instant)>,
}

/// What was copied last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    Id(PeerId),
    Code,
}

/// What the user wants.
#[derive(Debug)]
pub enum HomeCommand {
    /// Of the engine.
    Host(HostCommand),
    /// Opens a session.
    Connect(ConnectRequest),
    /// Takes a host from the list.
    Forget(Target),
    /// Puts text on the clipboard.
    Copy(String),
    /// Shows the settings.
    OpenSettings,
    /// Shows the reverse tunnels.
    OpenTunnels,
}

/// A session that the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// With whom.
    pub target: Target,
    /// To look only.
    pub view_only: bool,
}

/// Draws the screen.
pub fn home_ui(ui: &mut Ui, view: &HomeView<'_>, state: &mut HomeState, commands: &mut Vec<HomeCommand>) {
    page_ui(ui, f32::INFINITY, |ui| {
        header_ui(ui, commands);
        ui.add_space(space::S);
        if let Some(problem) = view.problem {
            notice_ui(ui, &theme::palette(ui).danger, "", problem);
        }
        if let Some(problem) = &view.status.screen_problem {
            notice_ui(ui, &theme::palette(ui).warn, words::SCREEN_PROBLEM, problem);
        }
        if !view.status.viewers.is_empty() {
            viewers::viewers_ui(ui, view, commands);
        }
        ui.spacing_mut().item_spacing = vec2(space::M, space::M);
        if ui.available_width() >= TWO_COLUMNS_MIN {
            ui.columns_const(|[left, right]| {
                this_computer::this_computer_ui(left, view, state, commands);
                connect::connect_ui(right, &mut state.connect, commands);
                recent::recent_ui(right, view, commands);
            });
        } else {
            this_computer::this_computer_ui(ui, view, state, commands);
            connect::connect_ui(ui, &mut state.connect, commands);
            recent::recent_ui(ui, view, commands);
        }
    });
}

fn header_ui(ui: &mut Ui, commands: &mut Vec<HomeCommand>) {
    let title = |ui: &mut Ui| {
        ui.label(text(TextKind::Large, words::APP).color(theme::palette(ui).text));
    };
    split_row_ui(ui, CONTROL_HEIGHT, title, |ui| {
        if ui.add(Action::icon_only(Icon::Gear, words::SETTINGS)).clicked() {
            commands.push(HomeCommand::OpenSettings);
        }
        if ui.add(Action::new(ActionKind::Bare, words::TUNNELS).icon(Icon::Tunnel)).clicked() {
            commands.push(HomeCommand::OpenTunnels);
        }
    });
}
