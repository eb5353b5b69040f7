//! The menu of ports: services of the other side that programs on this computer reach through the session.

use std::time::{Duration, Instant};

use eframe::egui::{Key, Label, Response, Ui};
use tagio_wire::{port::PortTarget, session::Permission};

use super::{SessionCommand, SessionView, toolbar::menu_ui};
use crate::{
    config::HostPort,
    engine::status::{Forward, ForwardId, ForwardState, ForwardStatus, ViewerCommand},
    theme::{self, TextKind, icons::Icon, space},
    views::{
        parts::{
            Action, ActionKind, TextField, colored, notice_ui, split_row_ui, strong, two_lines_ui, weak,
        },
        words,
    },
};

const WIDTH: f32 = 400.0;
const ROW_HEIGHT: f32 = 42.0;
const LOCAL_WIDTH: f32 = 92.0;
const BUTTON_WIDTH: f32 = 76.0;
const COPIED_FOR: Duration = Duration::from_secs(2);

/// What the menu remembers.
#[derive(Debug, Default)]
pub(super) struct PortsForm {
    remote: String,
    local: String,
    /// Problems are told only after the first try.
    is_tried: bool,
    copied: Option<(ForwardId, Instant)>,
}

/// Shows the menu of `button` while it is open.
pub(super) fn ports_menu_ui(
    button: &Response,
    view: &SessionView<'_>,
    form: &mut PortsForm,
    commands: &mut Vec<SessionCommand>,
) {
    menu_ui(button, WIDTH, |ui| {
        ui.label(strong(ui, TextKind::Title, words::SESSION_PORTS));
        ui.add(Label::new(weak(ui, words::SESSION_PORTS_WHAT)).wrap());
        for forward in &view.status.ports {
            ui.push_id(forward.id, |ui| forward_ui(ui, forward, view.now, form, commands));
        }
        ui.separator();
        if view.status.permission == Permission::View {
            return notice_ui(ui, &theme::palette(ui).warn, "", words::SESSION_PORTS_VIEW_ONLY);
        }
        form_ui(ui, form, commands);
    });
}

fn forward_ui(
    ui: &mut Ui,
    forward: &ForwardStatus,
    now: Instant,
    form: &mut PortsForm,
    commands: &mut Vec<SessionCommand>,
) {
    let local = forward.local.map(|local| local.to_string());
    let title = words::forward(local.as_deref(), &forward.target);
    let is_failed = matches!(forward.state, ForwardState::Failed(_));
    let left = |ui: &mut Ui| {
        let facts = if is_failed { words::PORT_CLOSED.to_owned() } else { words::forward_facts(forward) };
        two_lines_ui(ui, ROW_HEIGHT, strong(ui, TextKind::Body, &title), weak(ui, facts))
            .on_hover_text(&title);
    };
    split_row_ui(ui, ROW_HEIGHT, left, |ui| {
        let stop = if is_failed { words::DISMISS } else { words::STOP_PORT };
        if ui.add(Action::icon_only(Icon::Close, stop)).clicked() {
            commands.push(SessionCommand::Viewer(ViewerCommand::StopForward(forward.id)));
        }
        let copied = form.copied.filter(|(id, _)| *id == forward.id);
        let left = copied.and_then(|(_, at)| COPIED_FOR.checked_sub(now.saturating_duration_since(at)));
        left.into_iter().for_each(|left| ui.ctx().request_repaint_after(left));
        let icon = if left.is_some() { Icon::Check } else { Icon::Copy };
        if let Some(local) = local.filter(|_| !is_failed)
            && ui.add(Action::icon_only(icon, words::COPY_ADDRESS)).clicked()
        {
            form.copied = Some((forward.id, now));
            commands.push(SessionCommand::Copy(local));
        }
    });
    let problem = match &forward.state {
        ForwardState::Failed(problem) => Some(problem),
        ForwardState::Waiting | ForwardState::Asking | ForwardState::Open => forward.problem.as_ref(),
    };
    if let Some(problem) = problem {
        let color = theme::palette(ui).danger.text;
        ui.add(Label::new(colored(TextKind::Small, problem, color)).wrap());
    }
}

fn form_ui(ui: &mut Ui, form: &mut PortsForm, commands: &mut Vec<SessionCommand>) {
    let (remote, local) = (parse_remote(&form.remote), parse_local(&form.local));
    let is_told = form.is_tried;
    let mut is_wanted = false;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let room = ui.available_width() - LOCAL_WIDTH - BUTTON_WIDTH - 2.0 * space::S;
        let problem = remote.is_none().then_some(words::PORT_SHAPE).filter(|_| is_told);
        let field = TextField::new(words::THEIR_SERVICE, &mut form.remote).hint(words::THEIR_SERVICE_HINT);
        let remote = field.width(room).show(ui, problem);
        let problem = local.is_none().then_some(words::LOCAL_PORT_SHAPE).filter(|_| is_told);
        let field = TextField::new(words::LOCAL_PORT, &mut form.local).hint(words::LOCAL_PORT_HINT);
        let local = field.width(LOCAL_WIDTH).show(ui, problem);
        let is_left = remote.lost_focus() || local.lost_focus();
        is_wanted = is_left && ui.input(|input| input.key_pressed(Key::Enter));
        ui.vertical(|ui| {
            // As high as the captions beside it.
            ui.spacing_mut().item_spacing.y = space::XS;
            ui.label(weak(ui, ""));
            let button = Action::new(ActionKind::Primary, words::OPEN_PORT).min_width(BUTTON_WIDTH);
            is_wanted |= ui.add(button).clicked();
        });
    });
    if !is_wanted {
        return;
    }
    match (remote, local) {
        (Some(target), Some(local_port)) => {
            let forward = Forward { local_port, target };
            commands.push(SessionCommand::Viewer(ViewerCommand::Forward(forward)));
            *form = PortsForm { copied: form.copied, ..PortsForm::default() };
        }
        _ => form.is_tried = true,
    }
    ui.ctx().request_repaint();
}

/// A port alone is one of the other computer itself.
fn parse_remote(text: &str) -> Option<PortTarget> {
    let text = text.trim();
    let target = match text.parse() {
        Ok(port) => PortTarget { host: "localhost".to_owned(), port },
        Err(_) => {
            let HostPort { host, port } = text.parse().ok()?;
            PortTarget { host, port }
        }
    };
    target.is_sound().then_some(target)
}

/// Nothing is any that is free.
fn parse_local(text: &str) -> Option<u16> {
    let text = text.trim();
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}
