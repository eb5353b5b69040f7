//! Hands from the viewer's window to the host's screen.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_session::input::{HostInput, Outgoing, ViewerInput};
use tagio_wire::{
    Point, Size,
    input::{Button, InputEvent, Key, PointerMove},
    limits::INPUT_TEXT_BYTES_MAX,
    session::Permission,
};

const SCREEN: Size = Size::new(1920, 1080);

fn host() -> HostInput {
    HostInput::new(Permission::Control, SCREEN)
}

fn at(number: u32, x: i32, y: i32) -> PointerMove {
    PointerMove { number, to: Point::new(x, y) }
}

fn key(key: Key, down: bool) -> InputEvent {
    InputEvent::Key { key, down }
}

fn button(button: Button, down: bool, at: PointerMove) -> InputEvent {
    InputEvent::Button { button, down, at }
}

/// All that is to be sent now.
fn drain(viewer: &mut ViewerInput, now: Instant) -> Vec<Outgoing> {
    std::iter::from_fn(|| viewer.poll(now)).collect()
}

mod at_the_host {
    use super::*;

    #[test]
    fn a_viewer_that_may_only_look_moves_nothing() {
        let mut host = HostInput::new(Permission::View, SCREEN);
        let events = [
            InputEvent::Pointer(at(1, 5, 5)),
            button(Button::Left, true, at(2, 5, 5)),
            InputEvent::Wheel { x: 0, y: 120 },
            key(Key::Enter, true),
            InputEvent::Text("rm".to_owned()),
        ];
        for event in events {
            assert_eq!(host.handle_event(event), []);
        }
        assert_eq!(host.handle_move(at(3, 5, 5)), []);
        assert_eq!(host.release_all(), []);
    }

    #[test]
    fn losing_control_lets_go_of_everything() {
        let mut host = host();
        host.handle_event(key(Key::Control, true));
        host.handle_event(key(Key::Char('c'), true));
        host.handle_event(button(Button::Left, true, at(1, 7, 8)));
        let expected =
            [button(Button::Left, false, at(1, 7, 8)), key(Key::Char('c'), false), key(Key::Control, false)];
        assert_eq!(host.set_permission(Permission::View), expected);
        assert_eq!(host.release_all(), []);
    }

    #[test]
    fn keys_repeat_and_buttons_do_not() {
        let mut host = host();
        assert_eq!(host.handle_event(key(Key::Left, false)), []);
        for _ in 0..3 {
            assert_eq!(host.handle_event(key(Key::Left, true)), [key(Key::Left, true)]);
        }
        assert_eq!(host.handle_event(key(Key::Left, false)), [key(Key::Left, false)]);
        assert_eq!(host.handle_event(key(Key::Left, false)), []);

        let down = button(Button::Right, true, at(1, 0, 0));
        assert_eq!(host.handle_event(down.clone()).len(), 1);
        assert_eq!(host.handle_event(down), []);
        assert_eq!(host.release_all().len(), 1);
    }

    #[test]
    fn a_late_move_is_dropped_even_across_the_wrap_around() {
        let mut host = host();
        let newest = at(u32::MAX, 10, 10);
        assert_eq!(host.handle_move(newest), [InputEvent::Pointer(newest)]);
        assert_eq!(host.handle_move(newest), []);
        assert_eq!(host.handle_move(at(u32::MAX - 1, 9, 9)), []);
        assert_eq!(host.handle_move(at(2, 12, 12)), [InputEvent::Pointer(at(2, 12, 12))]);
        assert_eq!(host.handle_move(at(1, 11, 11)), []);
    }

    #[test]
    fn a_click_counts_as_a_move() {
        let mut host = host();
        assert_eq!(host.handle_event(button(Button::Left, true, at(5, 50, 50))).len(), 1);
        assert_eq!(host.handle_move(at(4, 40, 40)), []);
    }

    #[test]
    fn a_click_that_was_overtaken_hits_its_place_and_the_pointer_goes_on() {
        let mut host = host();
        host.handle_move(at(7, 70, 70));
        let click = button(Button::Left, true, at(6, 60, 60));
        let expected = [click.clone(), InputEvent::Pointer(at(7, 70, 70))];
        assert_eq!(host.handle_event(click), expected);
    }

    #[test]
    fn positions_stay_on_the_screen() {
        let mut host = host();
        let corner = InputEvent::Pointer(at(1, 1919, 1079));
        assert_eq!(host.handle_move(at(1, i32::MAX, 5000)), [corner]);
        host.set_screen(Size::new(800, 600));
        let click = host.handle_event(button(Button::Left, true, at(2, -3, i32::MIN)));
        assert_eq!(click, [button(Button::Left, true, at(2, 0, 0))]);
        host.set_screen(Size::new(0, 0));
        assert_eq!(host.handle_move(at(3, 5, 5)), [InputEvent::Pointer(at(3, 0, 0))]);
    }

    #[test]
    fn one_message_cannot_keep_the_host_busy() {
        let mut host = host();
        let wheel = host.handle_event(InputEvent::Wheel { x: i32::MIN, y: i32::MAX });
        assert_eq!(wheel, [InputEvent::Wheel { x: -6000, y: 6000 }]);
        assert_eq!(host.handle_event(InputEvent::Text("x".repeat(INPUT_TEXT_BYTES_MAX + 1))), []);
        for c in '\u{4e00}'..'\u{5e00}' {
            host.handle_event(key(Key::Char(c), true));
        }
        assert!(host.release_all().len() <= 32);
    }
}

mod at_the_viewer {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_fast_mouse_becomes_few_datagrams_and_the_newest_place_wins() {
        let (mut viewer, start) = (ViewerInput::new(), Instant::now());
        let mut sent = Vec::new();
        for step in 0..8000u32 {
            let now = start + step * Duration::from_micros(125);
            viewer.pointer(Point::new(step as i32, 0));
            sent.extend(drain(&mut viewer, now));
        }
        assert!((400..=500).contains(&sent.len()), "{}", sent.len());
        let end = viewer.next_wakeup().unwrap();
        assert_eq!(drain(&mut viewer, end), [Outgoing::Datagram(at(500, 7999, 0))]);
    }

    #[test]
    fn a_pointer_at_rest_is_confirmed_once() {
        let (mut viewer, start) = (ViewerInput::new(), Instant::now());
        viewer.pointer(Point::new(3, 4));
        assert_eq!(drain(&mut viewer, start), [Outgoing::Datagram(at(0, 3, 4))]);
        assert_eq!(viewer.next_wakeup(), Some(start + 60 * MS));
        assert_eq!(drain(&mut viewer, start + 59 * MS), []);
        let rest = Outgoing::Reliable(InputEvent::Pointer(at(0, 3, 4)));
        assert_eq!(drain(&mut viewer, start + 60 * MS), [rest]);
        assert_eq!(viewer.next_wakeup(), None);
        viewer.pointer(Point::new(3, 4));
        assert_eq!(drain(&mut viewer, start + 90 * MS), []);
    }

    #[test]
    fn a_click_replaces_the_moves_before_it() {
        let (mut viewer, now) = (ViewerInput::new(), Instant::now());
        viewer.pointer(Point::new(1, 1));
        drain(&mut viewer, now);
        viewer.pointer(Point::new(2, 2));
        viewer.button(Button::Left, true, Point::new(2, 2));
        viewer.button(Button::Left, true, Point::new(2, 2));
        let click = button(Button::Left, true, at(1, 2, 2));
        assert_eq!(drain(&mut viewer, now), [Outgoing::Reliable(click)]);
        assert_eq!(viewer.next_wakeup(), None);
    }

    #[test]
    fn the_wheel_turns_where_the_pointer_is() {
        let (mut viewer, now) = (ViewerInput::new(), Instant::now());
        viewer.pointer(Point::new(1, 1));
        drain(&mut viewer, now);
        viewer.wheel(0, 120);
        viewer.wheel(0, 120);
        let expected = [
            Outgoing::Reliable(InputEvent::Pointer(at(0, 1, 1))),
            Outgoing::Reliable(InputEvent::Wheel { x: 0, y: 240 }),
        ];
        assert_eq!(drain(&mut viewer, now), expected);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let (mut viewer, now) = (ViewerInput::new(), Instant::now());
        let text = "a€😀".repeat(1000);
        viewer.text(&text);
        viewer.text("");
        let mut joined = String::new();
        for outgoing in drain(&mut viewer, now) {
            let Outgoing::Reliable(InputEvent::Text(part)) = outgoing else { panic!("{outgoing:?}") };
            assert!(part.len() <= INPUT_TEXT_BYTES_MAX);
            joined.push_str(&part);
            assert!(part.len() > INPUT_TEXT_BYTES_MAX - 4 || joined.len() == text.len(), "cut too early");
        }
        assert_eq!(joined, text);
    }

    #[test]
    fn losing_the_focus_lets_go_of_everything() {
        let (mut viewer, now) = (ViewerInput::new(), Instant::now());
        viewer.key(Key::Alt, true);
        viewer.key(Key::Tab, true);
        drain(&mut viewer, now);
        viewer.release_all();
        viewer.key(Key::Tab, false);
        let expected = [key(Key::Tab, false), key(Key::Alt, false)].map(Outgoing::Reliable);
        assert_eq!(drain(&mut viewer, now), expected);
    }
}

#[test]
fn whatever_gets_lost_or_late_the_pointer_ends_in_place_and_nothing_stays_down() {
    for seed in 0..500 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut viewer, mut host) = (ViewerInput::new(), host());
        let mut now = Instant::now();
        let mut here = Point::default();
        let mut late = Vec::new();
        let mut injected = Vec::new();
        for _ in 0..200 {
            now += Duration::from_micros(rng.random_range(0..5000));
            here = Point::new(rng.random_range(0..1920), rng.random_range(0..1080));
            match rng.random_range(..4u8) {
                0 => viewer.button(Button::Left, rng.random(), here),
                1 => viewer.key(Key::Function(rng.random_range(1..5)), rng.random()),
                _ => viewer.pointer(here),
            }
            for outgoing in drain(&mut viewer, now) {
                match outgoing {
                    Outgoing::Reliable(event) => injected.extend(host.handle_event(event)),
                    Outgoing::Datagram(pointer) => late.push(pointer),
                }
            }
            if rng.random_range(..3u8) == 0 && !late.is_empty() {
                let pointer = late.swap_remove(rng.random_range(..late.len()));
                injected.extend(host.handle_move(pointer));
            }
        }
        viewer.pointer(here);
        while let Some(wakeup) = viewer.next_wakeup() {
            for outgoing in drain(&mut viewer, wakeup) {
                if let Outgoing::Reliable(event) = outgoing {
                    injected.extend(host.handle_event(event));
                }
            }
        }
        let place = injected.iter().rev().find_map(|event| match event {
            InputEvent::Pointer(at) | InputEvent::Button { at, .. } => Some(at.to),
            InputEvent::Wheel { .. } | InputEvent::Key { .. } | InputEvent::Text(_) => None,
        });
        assert_eq!(place, Some(here), "seed {seed}");

        injected.extend(host.release_all());
        assert_eq!(still_down(&injected), Vec::<InputEvent>::new(), "seed {seed}");
    }
}

/// What went down and did not come up.
fn still_down(injected: &[InputEvent]) -> Vec<InputEvent> {
    let mut down = Vec::new();
    for event in injected {
        match event {
            InputEvent::Key { key, down: true } => down.push(InputEvent::Key { key: *key, down: true }),
            InputEvent::Key { key: up, down: false } => {
                down.retain(|held| !matches!(held, InputEvent::Key { key, .. } if key == up));
            }
            InputEvent::Button { down: true, .. } => down.push(event.clone()),
            InputEvent::Button { button: up, down: false, .. } => {
                down.retain(|held| !matches!(held, InputEvent::Button { button, .. } if button == up));
            }
            InputEvent::Pointer(_) | InputEvent::Wheel { .. } | InputEvent::Text(_) => {}
        }
    }
    down
}
