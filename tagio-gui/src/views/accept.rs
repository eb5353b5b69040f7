//! The question whether to let somebody in.

use std::time::{Duration, Instant};

use eframe::egui::{Context, Frame, Id, Key, Label, Margin, Modal, Modifiers, Stroke, Ui};
use tagio_wire::session::Permission;

use super::{
    parts::{Action, ActionKind, chip_ui, notice_ui, strong, weak},
    words,
};
use crate::{
    engine::status::{AskingViewer, HostCommand, ViewerId},
    theme::{self, TextKind, radius, space},
};

/// Before this the buttons do nothing, so that somebody who is typing does not let a stranger in.
pub const INACTIVE_FOR: Duration = Duration::from_millis(700);

const WIDTH: f32 = 440.0;

/// What the question remembers.
#[derive(Debug, Default)]
pub struct AcceptState {
    shown: Option<(ViewerId, Instant)>,
}

impl AcceptState {
    /// Since when this viewer's question is on the screen; starts with the first call.
    fn shown_since(&mut self, viewer: ViewerId, now: Instant) -> Instant {
        match self.shown {
            Some((shown, since)) if shown == viewer => since,
            _ => {
                self.shown = Some((viewer, now));
                now
            }
        }
    }
}

/// Asks about the viewer that has waited longest. Esc is "no".
pub fn accept_ui(
    ctx: &Context,
    asking: &[AskingViewer],
    state: &mut AcceptState,
    now: Instant,
    commands: &mut Vec<HostCommand>,
) {
    let Some(viewer) = asking.first() else {
        state.shown = None;
        return;
    };
    let active_at = state.shown_since(viewer.viewer, now) + INACTIVE_FOR;
    if let Some(left) = active_at.checked_duration_since(now).filter(|left| !left.is_zero()) {
        ctx.request_repaint_after(left);
    }
    let palette = theme::Palette::of(ctx.theme() == eframe::egui::Theme::Dark);
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::same(space::L as i8));
    let modal = Modal::new(Id::unique("accept")).frame(frame).backdrop_color(palette.veil);
    let answer = modal
        .show(ctx, |ui| {
            ui.set_width(WIDTH.min(ctx.content_rect().width() - 4.0 * space::L));
            ui.spacing_mut().item_spacing.y = space::S;
            who_ui(ui, viewer);
            phrase_ui(ui, viewer);
            notice_ui(ui, &palette.warn, "", words::SCAM_WARNING);
            ui.add_space(space::XS);
            let answer = answers_ui(ui, viewer, now >= active_at);
            footer_ui(ui, viewer, asking.len() - 1, now);
            answer
        })
        .inner;
    let is_escaped = ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
    let answer = if is_escaped { Some(None) } else { answer };
    if let Some(permission) = answer {
        commands.push(HostCommand::Answer { viewer: viewer.viewer, permission });
        state.shown = None;
    }
}

fn who_ui(ui: &mut Ui, viewer: &AskingViewer) {
    let palette = theme::palette(ui);
    let (tone, word) =
        if viewer.known { (&palette.good, words::KNOWN) } else { (&palette.warn, words::FIRST_TIME) };
    chip_ui(ui, tone, word);
    ui.add(Label::new(strong(ui, TextKind::Large, &viewer.name)).wrap());
    let wish = words::wish(viewer.wants, viewer.port.as_ref());
    ui.add(Label::new(strong(ui, TextKind::Body, wish)).wrap());
    if viewer.wants == Permission::Ports {
        ui.add(Label::new(weak(ui, words::ports_meaning(viewer.port.as_ref()))).wrap());
    }
    ui.label(weak(ui, format!("{}  {}", words::FINGERPRINT, viewer.fingerprint)));
}

fn phrase_ui(ui: &mut Ui, viewer: &AskingViewer) {
    ui.add_space(space::XS);
    notice_ui(
        ui,
        &theme::palette(ui).accent,
        &format!("{}:  {}", words::PHRASE, viewer.phrase),
        words::PHRASE_HOW,
    );
}

/// The three answers; `Some(None)` is no.
fn answers_ui(ui: &mut Ui, viewer: &AskingViewer, is_active: bool) -> Option<Option<Permission>> {
    let mut answer = None;
    ui.add_enabled_ui(is_active, |ui| {
        ui.horizontal_wrapped(|ui| {
            for (kind, label, permission) in yes(viewer.wants) {
                if ui.add(Action::new(*kind, label)).clicked() {
                    answer = Some(Some(*permission));
                }
            }
            if ui.add(Action::new(ActionKind::Danger, words::DECLINE)).clicked() {
                answer = Some(None);
            }
        });
    });
    answer
}

/// The ways to say yes, the fullest first.
fn yes(wants: Permission) -> &'static [(ActionKind, &'static str, Permission)] {
    match wants {
        Permission::Ports => &[(ActionKind::Primary, words::ALLOW, Permission::Ports)],
        Permission::View => &[(ActionKind::Primary, words::VIEW_ONLY, Permission::View)],
        Permission::Control => &[
            (ActionKind::Primary, words::ALLOW_CONTROL, Permission::Control),
            (ActionKind::Quiet, words::VIEW_ONLY, Permission::View),
        ],
    }
}

fn footer_ui(ui: &mut Ui, viewer: &AskingViewer, more: usize, now: Instant) {
    let mut footer = words::declines_in(viewer.until, now);
    if more > 0 {
        footer = format!("{footer}  ·  {}", words::more_waiting(more));
    }
    ui.label(weak(ui, footer));
}
