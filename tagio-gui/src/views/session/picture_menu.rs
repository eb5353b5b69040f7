//! The menu of what the picture may cost. Every choice is in force at once.

use eframe::egui::{Label, Response, Ui};
use tagio_wire::session::{Quality, VideoWish, ViewWish};

use super::toolbar::menu_ui;
use crate::{
    theme::space,
    views::{
        parts::{choice_ui, segments_ui, weak},
        words,
    },
};

const WIDTH: f32 = 340.0;

/// Under the ring of the choice that they belong to.
const DETAIL_INDENT: f32 = 30.0;

/// Shows the menu of `button` while it is open, and returns the wish when it has changed.
pub(super) fn picture_menu_ui(button: &Response, wish: ViewWish) -> Option<ViewWish> {
    let mut chosen = wish;
    menu_ui(button, WIDTH, |ui| {
        ui.label(weak(ui, words::QUALITY));
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            quality_ui(ui, &mut chosen.quality);
        });
        ui.separator();
        ui.label(weak(ui, words::FPS_MAX));
        segments_ui(ui, &mut chosen.fps_max, &words::FPS_CHOICES);
        ui.add_space(space::XS);
        ui.label(weak(ui, words::VIDEO));
        let codecs = [(VideoWish::H264, words::VIDEO_H264), (VideoWish::Jpeg, words::VIDEO_JPEG)];
        segments_ui(ui, &mut chosen.video, &codecs);
        ui.add(Label::new(weak(ui, words::VIDEO_WHAT)).wrap());
    });
    (chosen != wish).then_some(chosen)
}

fn quality_ui(ui: &mut Ui, quality: &mut Quality) {
    let plain =
        [(Quality::Auto, words::AUTO), (Quality::Sharp, words::SHARP), (Quality::Smooth, words::SMOOTH)];
    for (choice, (title, what)) in plain {
        if choice_ui(ui, *quality == choice, title, what).clicked() {
            *quality = choice;
        }
    }
    let is_saver = matches!(quality, Quality::Saver { .. });
    let (title, what) = words::SAVER;
    if choice_ui(ui, is_saver, title, what).clicked() && !is_saver {
        *quality = Quality::Saver { grey: false, half: false };
    }
    if let Quality::Saver { grey, half } = quality {
        for (is_on, label) in [(grey, words::GREY), (half, words::HALF)] {
            ui.horizontal(|ui| {
                ui.add_space(DETAIL_INDENT);
                ui.checkbox(is_on, label);
            });
        }
    }
}
