//! Rows of events and the commands that they become.

use eframe::egui::{Key as E, MouseWheelSource, TouchPhase, pos2, vec2};
use tagio_wire::Size;

use super::*;
use crate::views::session::{ScaleMode, place};

const CTRL: Modifiers = Modifiers { ctrl: true, command: true, ..Modifiers::NONE };

/// A screen of 200×100 in a window of 100×50 points with two pixels each, the left 10 points covered.
fn run(capture: &mut InputCapture, events: &[Event]) -> Vec<String> {
    let window = Rect::from_min_size(Pos2::ZERO, vec2(100.0, 50.0));
    let picture = place(window, 2.0, Size::new(200, 100), ScaleMode::Fit, None);
    let covered = [Rect::from_min_size(Pos2::ZERO, vec2(10.0, 50.0))];
    let area = CaptureArea { picture: &picture, covered: &covered, alt_types_text: false };
    capture.translate(events, &area).iter().map(describe).collect()
}

fn check(events: &[Event], expected: &[&str]) {
    assert_eq!(run(&mut InputCapture::default(), events), expected);
}

fn describe(command: &ViewerCommand) -> String {
    let arrow = |down: &bool| if *down { "↓" } else { "↑" };
    match command {
        ViewerCommand::Move(to) => format!("move {} {}", to.x, to.y),
        ViewerCommand::Input(InputEvent::Button { button, down, at }) => {
            format!("{button:?}{} {} {}", arrow(down), at.to.x, at.to.y)
        }
        ViewerCommand::Input(InputEvent::Wheel { x, y }) => format!("wheel {x} {y}"),
        ViewerCommand::Input(InputEvent::Key { key: Key::Char(c), down }) => format!("{c}{}", arrow(down)),
        ViewerCommand::Input(InputEvent::Key { key, down }) => format!("{key:?}{}", arrow(down)),
        ViewerCommand::Input(InputEvent::Text(text)) => format!("“{text}”"),
        other => format!("{other:?}"),
    }
}

fn key(key: E, pressed: bool, modifiers: Modifiers) -> Event {
    Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }
}

fn button(x: f32, y: f32, button: PointerButton, pressed: bool) -> Event {
    Event::PointerButton { pos: pos2(x, y), button, pressed, modifiers: Modifiers::NONE }
}

fn wheel(unit: MouseWheelUnit, x: f32, y: f32) -> Event {
    let (phase, source) = (TouchPhase::Move, MouseWheelSource::Unknown);
    Event::MouseWheel { unit, delta: vec2(x, y), phase, source, modifiers: Modifiers::NONE }
}

#[test]
fn positions_are_the_hosts_pixels_and_only_the_newest_counts() {
    check(&[Event::PointerMoved(pos2(20.0, 5.0)), Event::PointerMoved(pos2(50.5, 25.0))], &["move 101 50"]);
}

#[test]
fn a_click_comes_after_the_move_to_it() {
    check(
        &[
            Event::PointerMoved(pos2(20.0, 5.0)),
            button(20.0, 5.0, PointerButton::Primary, true),
            button(20.0, 5.0, PointerButton::Primary, false),
            button(30.0, 5.0, PointerButton::Extra1, true),
            button(30.0, 5.0, PointerButton::Extra1, false),
        ],
        &["Left↓ 40 10", "Left↑ 40 10", "Back↓ 60 10", "Back↑ 60 10"],
    );
}

#[test]
fn the_toolbar_keeps_its_clicks_but_a_drag_may_end_on_it() {
    check(
        &[
            Event::PointerMoved(pos2(5.0, 5.0)),
            button(5.0, 5.0, PointerButton::Primary, true),
            button(5.0, 5.0, PointerButton::Primary, false),
        ],
        &[],
    );
    check(
        &[
            button(20.0, 5.0, PointerButton::Primary, true),
            Event::PointerMoved(pos2(-30.0, 5.0)),
            button(-30.0, 5.0, PointerButton::Primary, false),
        ],
        &["Left↓ 40 10", "Left↑ 0 10"],
    );
}

#[test]
fn the_wheel_counts_in_parts_of_a_notch_and_loses_none() {
    check(&[wheel(MouseWheelUnit::Line, 0.0, -1.0)], &["wheel 0 120"]);
    check(&[wheel(MouseWheelUnit::Point, 25.0, 0.0)], &["wheel -60 0"]);
    let tiny = wheel(MouseWheelUnit::Point, 0.0, -0.25);
    check(&[tiny.clone(), tiny], &["wheel 0 1"]);
}

#[test]
fn text_is_text_and_shift_stays_at_home() {
    check(
        &[
            Event::ModifiersChanged(Modifiers::SHIFT),
            key(E::A, true, Modifiers::SHIFT),
            Event::Text("A".to_owned()),
            key(E::A, false, Modifiers::SHIFT),
            Event::ModifiersChanged(Modifiers::NONE),
            Event::Text("ß€".to_owned()),
        ],
        &["“A”", "“ß€”"],
    );
}

#[test]
fn keys_that_type_nothing_are_keys() {
    check(
        &[key(E::Enter, true, Modifiers::NONE), key(E::Enter, false, Modifiers::NONE)],
        &["Enter↓", "Enter↑"],
    );
    check(
        &[
            key(E::ArrowLeft, true, Modifiers::SHIFT),
            key(E::ArrowLeft, false, Modifiers::SHIFT),
            Event::ModifiersChanged(Modifiers::NONE),
        ],
        &["Shift↓", "Left↓", "Left↑", "Shift↑"],
    );
}

#[test]
fn a_shortcut_is_keys_between_its_modifiers() {
    check(
        &[
            Event::ModifiersChanged(CTRL),
            key(E::S, true, CTRL),
            key(E::S, false, CTRL),
            Event::ModifiersChanged(Modifiers::NONE),
        ],
        &["Control↓", "s↓", "s↑", "Control↑"],
    );
}

#[test]
fn a_key_is_let_go_even_after_its_modifier() {
    check(
        &[key(E::S, true, CTRL), Event::ModifiersChanged(Modifiers::NONE), key(E::S, false, Modifiers::NONE)],
        &["Control↓", "s↓", "Control↑", "s↑"],
    );
}

#[test]
fn alt_and_a_letter_is_no_text() {
    check(
        &[key(E::F, true, Modifiers::ALT), Event::Text("f".to_owned()), key(E::F, false, Modifiers::ALT)],
        &["Alt↓", "f↓", "f↑"],
    );
}

#[test]
fn altgr_types_text_without_modifiers() {
    // The window system hides AltGr and hands out what it types.
    check(
        &[
            key(E::AltRight, true, Modifiers::NONE),
            key(E::Q, true, Modifiers::NONE),
            Event::Text("@".to_owned()),
            key(E::Q, false, Modifiers::NONE),
            key(E::AltRight, false, Modifiers::NONE),
        ],
        &["“@”"],
    );
}

#[test]
fn meta_is_a_modifier_of_its_own() {
    check(
        &[
            key(E::SuperLeft, true, Modifiers::NONE),
            key(E::R, true, Modifiers::NONE),
            Event::Text("r".to_owned()),
            key(E::R, false, Modifiers::NONE),
            key(E::SuperLeft, false, Modifiers::NONE),
        ],
        &["Meta↓", "r↓", "r↑", "Meta↑"],
    );
}

#[test]
fn copy_cut_and_paste_become_shortcuts_again() {
    check(&[Event::ModifiersChanged(CTRL), Event::Copy, key(E::C, false, CTRL)], &["Control↓", "c↓", "c↑"]);
    check(&[Event::Paste("x".to_owned())], &["Control↓", "v↓", "v↑", "Control↑"]);
}

#[test]
fn losing_the_focus_lets_go_of_everything() {
    let mut capture = InputCapture::default();
    run(&mut capture, &[key(E::S, true, CTRL), button(20.0, 5.0, PointerButton::Primary, true)]);
    assert_eq!(run(&mut capture, &[Event::WindowFocused(false)]), ["ReleaseAll"]);
    assert_eq!(run(&mut capture, &[key(E::S, false, Modifiers::NONE)]), Vec::<String>::new());
}

#[test]
fn release_all_is_silent_when_nothing_is_held() {
    let mut capture = InputCapture::default();
    assert!(capture.release_all().is_empty());
    run(&mut capture, &[Event::ModifiersChanged(CTRL)]);
    assert_eq!(capture.release_all().len(), 1);
}

#[test]
fn the_windows_own_shortcuts_do_not_travel() {
    let both = CTRL | Modifiers::ALT;
    let toolbar = key(E::Home, true, both);
    assert_eq!(shortcut(&toolbar), Some(Shortcut::Toolbar));
    assert_eq!(shortcut(&key(E::Enter, true, both)), Some(Shortcut::FullScreen));
    assert_eq!(shortcut(&key(E::S, true, both)), Some(Shortcut::Figures));
    check(&[Event::ModifiersChanged(both), toolbar, key(E::Home, false, both)], &["Control↓", "Alt↓"]);
}

#[test]
fn long_text_travels_in_parts() {
    let text = "ä".repeat(INPUT_TEXT_BYTES_MAX / 2 + 1);
    let parts = run(&mut InputCapture::default(), &[Event::Text(text)]);
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[1], "“ä”");
}
