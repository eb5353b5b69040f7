//! Injecting into a real X server: texts arrive letter by letter, shortcuts work, the pointer goes where it
//! should.
#![cfg(target_os = "linux")]

mod xvfb;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tagio_gui::host::inject::{Injector, spawn_injector_on};
use tagio_testkit::Screen;
use tagio_wire::{
    Point,
    input::{Button, InputEvent, Key, PointerMove},
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        Event,
        xproto::{ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, Window, WindowClass},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};
use xvfb::Xvfb;

/// How long a text may take to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that a terminal passes on: plain, shifted, Latin, Polish, Cyrillic, and every sign.
const TEXT: &str = "Hello wörld ąč 123 Привет € !@#$%^&*()_+{}|:<>?~`-=[]\\;',./\" żółw ĄČ ПРИВЕТ";

/// A terminal that writes what is typed to a file.
struct Terminal {
    xterm: Child,
    file: PathBuf,
}

impl Terminal {
    /// `None`, said loudly, when xterm is not installed.
    fn start(server: &Xvfb) -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("tagio-inject-{}-{number}", std::process::id()));
        let started = Command::new("xterm")
            .args(["-display", &server.display, "-u8", "-geometry", "120x30+0+0", "-e", "sh", "-c"])
            .arg(format!("stty -echo; : > '{0}.ready'; exec cat > '{0}'", file.display()))
            .env("LC_ALL", "C.UTF-8")
            .stderr(Stdio::null())
            .spawn();
        let Ok(xterm) = started else {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: xterm is not installed");
            }
            return None;
        };
        let terminal = Self { xterm, file };
        let ready = terminal.file.with_extension("ready");
        wait_until("xterm is ready", || ready.exists());
        // Without a window manager the focus follows the pointer, which Xvfb puts into the middle.
        focus_first_window(server);
        Some(terminal)
    }

    fn typed(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// Types Enter, which makes the terminal pass the line on, and waits for it.
    fn expect_line(&self, injector: &mut Injector, expected: &str) {
        press(injector, Key::Enter);
        let line = format!("{expected}\n");
        let start = Instant::now();
        while self.typed() != line && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.typed(), line);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.xterm.kill();
        let _ = self.xterm.wait();
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_file(self.file.with_extension("ready"));
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn focus_first_window(server: &Xvfb) {
    let (conn, number) = server.connect();
    let root = conn.setup().roots[number].root;
    let mut window = None;
    wait_until("the terminal has a window", || {
        let children = conn.query_tree(root).expect("sent").reply().expect("a tree").children;
        let viewable = |window: &Window| {
            let attributes = conn.get_window_attributes(*window).expect("sent").reply();
            attributes.is_ok_and(|a| a.map_state == x11rb::protocol::xproto::MapState::VIEWABLE)
        };
        window = children.into_iter().find(viewable);
        window.is_some()
    });
    let window = window.expect("it was found");
    conn.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).expect("sent");
    conn.sync().expect("the server answers");
}

fn open(server: &Xvfb) -> Injector {
    Injector::open_display(Some(&server.display)).expect("the screen can be controlled")
}

fn inject(injector: &mut Injector, event: InputEvent) {
    injector.inject(&event).expect("the system takes it");
}

fn key(injector: &mut Injector, key: Key, down: bool) {
    inject(injector, InputEvent::Key { key, down });
}

fn press(injector: &mut Injector, which: Key) {
    key(injector, which, true);
    key(injector, which, false);
}

fn text(injector: &mut Injector, text: &str) {
    inject(injector, InputEvent::Text(text.to_owned()));
}

/// Changes the keyboard's layout; `false`, said loudly, when the tool for it is missing.
fn set_layout(server: &Xvfb, layout: &str) -> bool {
    let set = Command::new("setxkbmap").args(["-display", &server.display, layout]).status();
    if set.is_ok_and(|status| status.success()) {
        return true;
    }
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: setxkbmap is not installed");
    }
    false
}

#[test]
fn a_text_arrives_exactly() {
    let Some(server) = Xvfb::start(24) else { return };
    let Some(terminal) = Terminal::start(&server) else { return };
    let mut injector = open(&server);
    text(&mut injector, TEXT);
    terminal.expect_line(&mut injector, TEXT);
}

#[test]
fn a_text_arrives_exactly_letter_by_letter_while_keys_are_held() {
    let Some(server) = Xvfb::start(24) else { return };
    let Some(terminal) = Terminal::start(&server) else { return };
    let mut injector = open(&server);
    press(&mut injector, Key::CapsLock);
    key(&mut injector, Key::Shift, true);
    key(&mut injector, Key::Control, true);
    for char in TEXT.chars() {
        text(&mut injector, &char.to_string());
    }
    key(&mut injector, Key::Control, false);
    key(&mut injector, Key::Shift, false);
    terminal.expect_line(&mut injector, TEXT);
}

#[test]
fn a_text_arrives_exactly_whatever_the_layout() {
    let Some(server) = Xvfb::start(24) else { return };
    let Some(terminal) = Terminal::start(&server) else { return };
    let mut injector = open(&server);
    let mut expected = String::new();
    for layout in ["de", "fr", "us,ru", "ru", "pl"] {
        if !set_layout(&server, layout) {
            return;
        }
        text(&mut injector, TEXT);
        expected.push_str(TEXT);
    }
    terminal.expect_line(&mut injector, &expected);
}

#[test]
fn more_strange_characters_than_the_keyboard_has_keys_arrive() {
    let Some(server) = Xvfb::start(24) else { return };
    let Some(terminal) = Terminal::start(&server) else { return };
    let mut injector = open(&server);
    let strange: String =
        ('\u{4e00}'..='\u{4e00}').chain('α'..='ω').chain('א'..='ת').chain('ა'..='ჰ').collect();
    for piece in strange.chars().collect::<Vec<_>>().chunks(20) {
        text(&mut injector, &piece.iter().collect::<String>());
    }
    terminal.expect_line(&mut injector, &strange);
}

#[test]
fn control_c_interrupts() {
    let Some(server) = Xvfb::start(24) else { return };
    let Some(mut terminal) = Terminal::start(&server) else { return };
    let mut injector = open(&server);
    key(&mut injector, Key::Control, true);
    key(&mut injector, Key::Char('c'), true);
    key(&mut injector, Key::Char('c'), false);
    key(&mut injector, Key::Control, false);
    wait_until("cat ends", || terminal.xterm.try_wait().expect("a status").is_some());
}

/// A window that tells which buttons and keys it gets.
struct Recorder {
    conn: RustConnection,
}

impl Recorder {
    fn open(server: &Xvfb) -> Self {
        let (conn, number) = server.connect();
        let root = conn.setup().roots[number].root;
        let window = conn.generate_id().expect("an id");
        let mask = EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE;
        let aux = CreateWindowAux::new().override_redirect(1).event_mask(mask);
        let class = WindowClass::INPUT_OUTPUT;
        conn.create_window(0, window, root, 0, 0, xvfb::WIDTH, xvfb::HEIGHT, 0, class, 0, &aux)
            .expect("sent");
        conn.map_window(window).expect("sent");
        conn.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).expect("sent");
        conn.sync().expect("the server answers");
        Self { conn }
    }

    /// Buttons as `+1@x,y` and `-1@x,y`, keys as `+k38` and `-k38`.
    fn seen(&self) -> Vec<String> {
        self.conn.sync().expect("the server answers");
        let mut seen = Vec::new();
        while let Some(event) = self.conn.poll_for_event().expect("the server is there") {
            match event {
                Event::ButtonPress(e) => seen.push(format!("+{}@{},{}", e.detail, e.root_x, e.root_y)),
                Event::ButtonRelease(e) => seen.push(format!("-{}@{},{}", e.detail, e.root_x, e.root_y)),
                Event::KeyPress(e) => seen.push(format!("+k{}", e.detail)),
                Event::KeyRelease(e) => seen.push(format!("-k{}", e.detail)),
                _ => {}
            }
        }
        seen
    }
}

fn at(x: i32, y: i32) -> PointerMove {
    PointerMove { number: 0, to: Point::new(x, y) }
}

#[test]
fn buttons_click_where_they_should() {
    let Some(server) = Xvfb::start(24) else { return };
    let recorder = Recorder::open(&server);
    let mut injector = open(&server);
    let buttons = [Button::Left, Button::Middle, Button::Right, Button::Back, Button::Forward];
    for (i, button) in buttons.into_iter().enumerate() {
        for down in [true, false] {
            inject(&mut injector, InputEvent::Button { button, down, at: at(10 + i as i32, 20) });
        }
    }
    let expected = [
        "+1@10,20", "-1@10,20", "+2@11,20", "-2@11,20", "+3@12,20", "-3@12,20", "+8@13,20", "-8@13,20",
        "+9@14,20", "-9@14,20",
    ];
    assert_eq!(recorder.seen(), expected);
    inject(&mut injector, InputEvent::Pointer(at(i32::MAX, -5)));
    inject(
        &mut injector,
        InputEvent::Button { button: Button::Left, down: true, at: at(i32::MAX, i32::MIN) },
    );
    assert_eq!(recorder.seen(), [format!("+1@{},0", xvfb::WIDTH - 1)], "an absurd place is the edge");
}

#[test]
fn clicks_land_on_every_monitor() {
    let Some(server) = Xvfb::start(24) else { return };
    let screen = Screen::open(&server.display).expect("the server answers");
    screen.set_monitor("left", (0, 200), (640, 600));
    screen.set_monitor("right", (640, 0), (640, 800));
    let recorder = Recorder::open(&server);
    let mut injector = open(&server);
    for (x, y) in [(0, 200), (639, 799), (640, 0), (1279, 799), (10, 10)] {
        for down in [true, false] {
            inject(&mut injector, InputEvent::Button { button: Button::Left, down, at: at(x, y) });
        }
        assert_eq!(recorder.seen(), [format!("+1@{x},{y}"), format!("-1@{x},{y}")]);
    }
}

#[test]
fn a_flood_of_moves_ends_at_the_newest_and_loses_no_click() {
    let Some(server) = Xvfb::start(24) else { return };
    let recorder = Recorder::open(&server);
    let handle = spawn_injector_on(Some(&server.display)).expect("the screen can be controlled");
    for round in 0..20 {
        for x in 0..8000 {
            handle.try_send(InputEvent::Pointer(at(x % 1000, round))).expect("moves always find room");
        }
        for down in [true, false] {
            let event = InputEvent::Button { button: Button::Left, down, at: at(round, 40) };
            handle.try_send(event).expect("there is room");
        }
    }
    handle.try_send(InputEvent::Pointer(at(321, 123))).expect("moves always find room");
    handle.finish();
    let clicks: Vec<String> = (0..20).flat_map(|x| [format!("+1@{x},40"), format!("-1@{x},40")]).collect();
    assert_eq!(recorder.seen(), clicks);
    let (conn, number) = server.connect();
    let pointer = conn.query_pointer(conn.setup().roots[number].root).expect("sent").reply().expect("there");
    assert_eq!((pointer.root_x, pointer.root_y), (321, 123));
}

#[test]
fn the_wheel_turns_by_whole_notches() {
    let Some(server) = Xvfb::start(24) else { return };
    let recorder = Recorder::open(&server);
    let mut injector = open(&server);
    inject(&mut injector, InputEvent::Pointer(at(5, 5)));
    for (x, y) in [(0, 60), (0, 60), (0, -240), (120, 0), (-120, 0)] {
        inject(&mut injector, InputEvent::Wheel { x, y });
    }
    let buttons: Vec<String> = recorder
        .seen()
        .iter()
        .filter(|event| event.starts_with('+'))
        .map(|event| event[1..2].to_owned())
        .collect();
    assert_eq!(buttons, ["5", "4", "4", "7", "6"]);
}

#[test]
fn dropping_the_handle_still_releases_what_was_sent() {
    let Some(server) = Xvfb::start(24) else { return };
    let recorder = Recorder::open(&server);
    let handle = spawn_injector_on(Some(&server.display)).expect("the screen can be controlled");
    for down in [true, false] {
        handle.try_send(InputEvent::Key { key: Key::Shift, down }).expect("there is room");
        handle.try_send(InputEvent::Key { key: Key::Char('q'), down }).expect("there is room");
    }
    handle.finish();
    assert_eq!(recorder.seen(), ["+k50", "+k24", "-k50", "-k24"]);
}

#[test]
fn a_held_key_is_released_when_the_injector_goes() {
    let Some(server) = Xvfb::start(24) else { return };
    let recorder = Recorder::open(&server);
    let mut injector = open(&server);
    key(&mut injector, Key::Control, true);
    key(&mut injector, Key::Char('q'), true);
    drop(injector);
    let mut seen = recorder.seen();
    seen.sort();
    assert_eq!(seen, ["+k24", "+k37", "-k24", "-k37"]);
}
