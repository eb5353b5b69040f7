//! What a new session asks of the picture.

use eframe::egui::{Label, Ui};

use super::SettingsForm;
use crate::{
    config::{QualityChoice, VideoChoice},
    theme::{TextKind, space},
    views::{
        parts::{choice_ui, segments_ui, strong, weak},
        words,
    },
};

pub(super) fn picture_ui(ui: &mut Ui, form: &mut SettingsForm) {
    ui.spacing_mut().item_spacing.y = space::S;
    ui.label(strong(ui, TextKind::Title, words::PICTURE));
    ui.add(Label::new(weak(ui, words::PICTURE_DEFAULTS)).wrap());
    let qualities = [
        (QualityChoice::Auto, words::AUTO),
        (QualityChoice::Sharp, words::SHARP),
        (QualityChoice::Smooth, words::SMOOTH),
        (QualityChoice::Saver, words::SAVER),
    ];
    for (choice, (title, what)) in qualities {
        if choice_ui(ui, form.quality == choice, title, what).clicked() {
            form.quality = choice;
        }
    }
    ui.label(weak(ui, words::FPS_MAX));
    segments_ui(ui, &mut form.fps_max, &words::FPS_CHOICES);
    ui.label(weak(ui, words::VIDEO));
    let codecs = [(VideoChoice::H264, words::VIDEO_H264), (VideoChoice::Jpeg, words::VIDEO_JPEG)];
    segments_ui(ui, &mut form.video, &codecs);
    ui.add(Label::new(weak(ui, words::VIDEO_WHAT)).wrap());
}
