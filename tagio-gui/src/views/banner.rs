//! A small window that stays on top while anybody is connected: it says who, and ends it.

use eframe::egui::{
    CentralPanel, Context, Frame, Id, Label, Margin, Sense, Stroke, Ui, Vec2, ViewportBuilder,
    ViewportCommand, ViewportId, WindowLevel, X11WindowType, pos2, vec2,
};

use super::{
    parts::{Action, ActionKind, lamp_ui, split_row_ui, strong, two_lines_ui, weak},
    words,
};
use crate::{
    engine::status::{ConnectedViewer, HostCommand},
    theme::{self, TextKind, space},
};

const SIZE: Vec2 = vec2(360.0, 52.0);
const SIZE_WITH_PORTS: Vec2 = vec2(360.0, 66.0);

/// From the screen's edges.
const GAP: f32 = 16.0;

const BUTTON_HEIGHT: f32 = 32.0;

/// Shows the small window while `viewers` is not empty.
pub fn show_banner(ctx: &Context, viewers: &[ConnectedViewer], commands: &mut Vec<HostCommand>) {
    if viewers.is_empty() {
        return;
    }
    let ports = words::ports_in_use(viewers);
    let size = if ports.is_some() { SIZE_WITH_PORTS } else { SIZE };
    ctx.show_viewport_immediate(ViewportId::from_hash_of("banner"), viewport(ctx, size), |ui, _| {
        banner_ui(ui, viewers, ports.as_deref(), commands);
    });
}

fn viewport(ctx: &Context, size: Vec2) -> ViewportBuilder {
    let builder = ViewportBuilder::default()
        .with_title(words::APP)
        .with_app_id("tagio")
        .with_inner_size(size)
        .with_resizable(false)
        .with_decorations(false)
        .with_taskbar(false)
        .with_active(false)
        .with_window_type(X11WindowType::Utility)
        .with_window_level(WindowLevel::AlwaysOnTop);
    match ctx.input(|input| input.viewport().monitor_size) {
        Some(monitor) => builder.with_position(pos2((monitor.x - size.x - GAP).max(0.0), GAP)),
        None => builder,
    }
}

fn banner_ui(ui: &mut Ui, viewers: &[ConnectedViewer], ports: Option<&str>, commands: &mut Vec<HostCommand>) {
    let palette = theme::palette(ui);
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(2.0, palette.danger.fill))
        .inner_margin(Margin::symmetric(14, 8));
    CentralPanel::default().frame(frame).show(ui, |ui| {
        let handle = ui.interact(ui.max_rect(), Id::unique("drag the banner"), Sense::drag());
        if handle.drag_started() {
            ui.ctx().send_viewport_cmd(ViewportCommand::StartDrag);
        }
        let row_height = ui.available_height();
        let left = |ui: &mut Ui| {
            lamp_ui(ui, palette.danger.text);
            ui.add_space(space::XS);
            let label = strong(ui, TextKind::Body, words::banner(viewers));
            match ports {
                Some(ports) => {
                    drop(two_lines_ui(ui, row_height, label, weak(ui, ports)).on_hover_text(ports));
                }
                None => drop(ui.add(Label::new(label).truncate())),
            }
        };
        split_row_ui(ui, row_height, left, |ui| {
            let label = if viewers.len() > 1 { words::END_ALL } else { words::END };
            if ui.add(Action::new(ActionKind::Danger, label).height(BUTTON_HEIGHT)).clicked() {
                commands.push(HostCommand::EndAll);
            }
        });
    });
}
