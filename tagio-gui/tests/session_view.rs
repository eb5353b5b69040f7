//! What a session's window shows of the picture, and the commands that clicks in it become. No screen is needed.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use eframe::egui::{Key, Rect, Role, Ui, pos2, vec2};
use egui_kittest::{Harness, kittest::Queryable as _};
use tagio_gui::{
    config::ThemeChoice,
    engine::{
        status::{
            Carrier, CarrierKind, Figures, ForwardId, ForwardState, ForwardStatus, Outcome, PathKind,
            PathReport, Recording, Relayed, Spread, Tried, ViewerCommand, ViewerPhase, ViewerStatus,
        },
        viewer::initial_status,
    },
    theme,
    views::{
        session::{
            CursorState, PicturePainter, PictureSource, ScaleMode, SessionCommand, SessionLayout,
            SessionState, SessionView, session_ui,
        },
        words,
    },
};
use tagio_media::{Framebuffer, Region};
use tagio_wire::{
    Rect as ScreenRect, Size,
    nat::Mapping,
    port::PortTarget,
    session::{Monitor, Permission, Quality, VideoWish, ViewArea, ViewWish},
};

const WINDOW: Size = Size::new(1100, 700);

struct NoPicture;

impl PictureSource for NoPicture {
    fn with_picture(&self, _read: &mut dyn FnMut(&Framebuffer, &Region)) {}

    fn cursor(&self) -> CursorState {
        CursorState::default()
    }
}

struct Session {
    status: ViewerStatus,
    state: SessionState,
    layout: SessionLayout,
    commands: Vec<SessionCommand>,
    now: Instant,
}

fn live() -> ViewerStatus {
    let spread = |p50, p95| Spread { p50: Duration::from_micros(p50), p95: Duration::from_micros(p95) };
    ViewerStatus {
        phase: ViewerPhase::Live,
        path: Some(PathKind::Direct),
        rtt: Some(Duration::from_millis(4)),
        screen: WINDOW,
        host_name: "workshop".to_owned(),
        figures: Figures {
            capture: spread(300, 500),
            encode: spread(1200, 2500),
            network: spread(4100, 9000),
            decode: spread(800, 1000),
            display: spread(600, 900),
            fps: 30,
            megabits_per_second: 1.25,
            exact_share: 1.0,
            has_video: false,
        },
        ..initial_status()
    }
}

fn monitors() -> Vec<Monitor> {
    let monitor = |name: &str, rect, is_primary| Monitor { name: name.to_owned(), rect, is_primary };
    vec![
        monitor("Dell U2720Q", ScreenRect::new(0, 0, 1920, 1080), true),
        monitor("HDMI-1", ScreenRect::new(1920, 100, 1280, 800), false),
    ]
}

/// A session's window with the toolbar at hand.
fn session(status: ViewerStatus) -> Harness<'static, Session> {
    let draw = |ui: &mut Ui, session: &mut Session| {
        theme::apply(ui.ctx(), ThemeChoice::Light);
        ui.reset_style();
        let view =
            SessionView { status: &session.status, picture: &NoPicture, now: session.now, is_bare: false };
        session.layout = session_ui(ui, &view, &mut session.state, &mut session.commands);
    };
    let mut state = SessionState::new(PicturePainter::Texture, ScaleMode::Fit);
    state.toolbar.toggle_keys();
    let session = Session {
        status,
        state,
        layout: SessionLayout::default(),
        commands: Vec::new(),
        now: Instant::now(),
    };
    let size = [WINDOW.width as f32, WINDOW.height as f32];
    let mut harness = Harness::builder().with_size(size).build_ui_state(draw, session);
    settle(&mut harness);
    harness
}

/// Lets the toolbar slide in and menus find their size. It counts seconds, so it never rests.
fn settle(harness: &mut Harness<'_, Session>) {
    harness.run_steps(20);
}

fn click(harness: &mut Harness<'_, Session>, label: &str) {
    harness.get_by_label(label).click();
    settle(harness);
}

/// The wishes that were sent, the oldest first; each is in force from then on, as with an engine.
fn choose(harness: &mut Harness<'_, Session>, label: &str) -> ViewWish {
    click(harness, label);
    let commands = std::mem::take(&mut harness.state_mut().commands);
    let [SessionCommand::Viewer(ViewerCommand::View(wish))] = commands[..] else {
        panic!("{label}: {commands:?}");
    };
    harness.state_mut().status.wish = wish;
    settle(harness);
    wish
}

#[test]
fn each_quality_can_be_chosen_and_says_what_it_means() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    let saver = Quality::Saver { grey: false, half: false };
    let choices = [
        (words::SHARP, Quality::Sharp),
        (words::SMOOTH, Quality::Smooth),
        (words::SAVER, saver),
        (words::AUTO, Quality::Auto),
    ];
    for ((title, _), quality) in choices {
        assert_eq!(choose(&mut harness, title), ViewWish { quality, ..ViewWish::default() });
    }
}

#[test]
fn saver_alone_offers_to_leave_out_colour_and_resolution() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    assert!(harness.query_by_label(words::GREY).is_none());
    choose(&mut harness, words::SAVER.0);
    assert_eq!(choose(&mut harness, words::GREY).quality, Quality::Saver { grey: true, half: false });
    assert_eq!(choose(&mut harness, words::HALF).quality, Quality::Saver { grey: true, half: true });
    harness.get_by_label(words::REDUCED);
}

#[test]
fn a_menu_grows_with_what_a_choice_offers() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    choose(&mut harness, words::SAVER.0);
    let last = harness.get_by_label(words::VIDEO_WHAT).rect();
    let covered = &harness.state().layout.covered;
    assert!(covered.iter().any(|rect| rect.contains_rect(last)), "{last:?} is cut off: {covered:?}");
}

#[test]
fn rate_and_codec_are_chosen_beside_the_quality() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    choose(&mut harness, words::SHARP.0);
    assert_eq!(choose(&mut harness, "15").fps_max, Some(15));
    let wish = choose(&mut harness, words::VIDEO_JPEG);
    let expected = ViewWish {
        quality: Quality::Sharp,
        fps_max: Some(15),
        video: VideoWish::Jpeg,
        ..ViewWish::default()
    };
    assert_eq!(wish, expected);
    assert_eq!(choose(&mut harness, "No limit").fps_max, None);
}

#[test]
fn the_menu_of_monitors_lists_what_the_host_has() {
    let mut harness = session(ViewerStatus { monitors: monitors(), ..live() });
    click(&mut harness, words::MONITORS);
    harness.get_by_label("1  Dell U2720Q");
    assert_eq!(choose(&mut harness, "2  HDMI-1").area, ViewArea::Monitor(1));
    assert_eq!(choose(&mut harness, words::ALL_MONITORS).area, ViewArea::All);
}

#[test]
fn one_monitor_is_no_choice() {
    let harness = session(ViewerStatus { monitors: monitors()[..1].to_vec(), ..live() });
    assert!(harness.query_by_label(words::MONITORS).is_none());
}

#[test]
fn the_lamp_says_exact_only_when_every_pixel_is() {
    session(live()).get_by_label(words::EXACT);
    for (exact_share, has_video, words) in [(0.9999, false, "99 %"), (0.87, true, "87 %")] {
        let figures = Figures { exact_share, has_video, ..live().figures };
        let harness = session(ViewerStatus { figures, ..live() });
        harness.get_by_label(words);
        assert!(harness.query_by_label(words::EXACT).is_none());
    }
}

#[test]
fn the_figures_are_shown_on_demand_and_cover_only_themselves() {
    let mut harness = session(live());
    assert!(harness.query_by_label(words::NETWORK).is_none());
    click(&mut harness, words::FIGURES);
    // 0.3 + 1.2 + 4.1 + 0.8 + 0.6, and the slow ones.
    for figure in ["4.1 ms", "9.0 ms", "7.0 ms", "14 ms", "30 / s", "1.2 Mb/s", "direct  ·  4.0 ms"] {
        harness.get_by_label(figure);
    }
    let covered = &harness.state().layout.covered;
    let panel = harness.get_by_label(words::NETWORK).rect().center();
    assert!(covered.iter().any(|rect| rect.contains(panel)));
    let beside = Rect::from_min_max(pos2(0.0, 100.0), pos2(700.0, 700.0));
    assert!(!covered.iter().any(|rect| rect.intersects(beside)), "{covered:?}");
    click(&mut harness, words::FIGURES_CLOSE);
    assert!(harness.query_by_label(words::NETWORK).is_none());
}

#[test]
fn a_relayed_session_says_why_and_what_would_change_it() {
    let addr = |port: u16| SocketAddr::from(([198, 51, 100, 7], port));
    let tried = |port, outcome| Tried { addr: addr(port), outcome };
    let mut search = PathReport {
        own: Mapping::Random,
        carrier: Some(Carrier::Stream { kind: CarrierKind::WebSocketTls, proxied: true }),
        peer: Some(Mapping::Sequential { step: 1 }),
        rounds: 4,
        guessed: false,
        tried: (1..=9).map(|port| tried(4000 + port, Outcome::Silent)).collect(),
    };
    search.tried.push(tried(5000, Outcome::Answered));
    let mut harness = session(ViewerStatus { path: Some(PathKind::Relay), search: search.clone(), ..live() });
    click(&mut harness, "via relay  ·  4 ms");
    let (why, what) = words::relayed(Relayed::BothHide);
    harness.get_by_label("WebSocket over TLS through a proxy");
    harness.get_by_label("UDP and TCP get no answer there, or are not wanted.");
    for label in [why, what, words::mapping(Mapping::Random), &addr(5000).to_string(), "and 2 more"] {
        harness.get_by_label(label);
    }

    let mut harness = session(ViewerStatus { search, ..live() });
    click(&mut harness, "direct  ·  4 ms");
    harness.get_by_label(words::connected(PathKind::Direct));
    assert!(harness.query_by_label(why).is_none());
}

#[test]
fn a_menu_over_the_picture_is_not_the_hosts() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    let choice = harness.get_by_label(words::SAVER.0).rect().center();
    assert!(harness.state().layout.covered.iter().any(|rect| rect.contains(choice)));
    assert!(harness.state().layout.keys_are_local);
}

#[test]
fn escape_closes_the_menu_first_and_then_gives_the_keys_back() {
    let mut harness = session(live());
    click(&mut harness, words::PICTURE);
    harness.key_press(Key::Escape);
    settle(&mut harness);
    assert!(harness.query_by_label(words::SAVER.0).is_none());
    assert!(harness.state().state.toolbar.has_keys());
    harness.key_press(Key::Escape);
    settle(&mut harness);
    assert!(!harness.state().state.toolbar.has_keys());
}

#[test]
fn the_menus_are_reached_by_the_keyboard() {
    let mut harness = session(live());
    harness.key_press(Key::Enter);
    settle(&mut harness);
    harness.get_by_role_and_label(Role::RadioButton, words::SHARP.0).focus();
    settle(&mut harness);
    harness.key_press(Key::Space);
    settle(&mut harness);
    let wish = ViewWish { quality: Quality::Sharp, ..ViewWish::default() };
    let commands = &harness.state().commands[..];
    assert!(matches!(commands, [SessionCommand::Viewer(ViewerCommand::View(it))] if *it == wish));
}

#[test]
fn a_recording_starts_shows_its_time_and_says_where_it_is() {
    let mut harness = session(live());
    click(&mut harness, words::RECORD);
    let started = &harness.state().commands[..];
    assert!(matches!(started, [SessionCommand::Viewer(ViewerCommand::Record(true))]));
    let state = harness.state_mut();
    let recording = Recording { file: PathBuf::from("/tmp/work.mkv"), since: state.now, problem: None };
    state.status.recording = Some(recording);
    state.now += Duration::from_secs(65);
    state.commands.clear();
    settle(&mut harness);
    click(&mut harness, words::RECORD_STOP);
    let stopped = &harness.state().commands[..];
    assert!(matches!(stopped, [SessionCommand::Viewer(ViewerCommand::Record(false))]));
    harness.state_mut().status.recording = None;
    settle(&mut harness);
    harness.get_by_label("/tmp/work.mkv");
    click(&mut harness, words::DISMISS);
    assert!(harness.query_by_label("/tmp/work.mkv").is_none());
}

#[test]
fn a_recording_that_failed_says_why() {
    let recording = Recording {
        file: PathBuf::from("/tmp/work.mkv"),
        since: Instant::now(),
        problem: Some("The disk is full.".to_owned()),
    };
    let mut harness = session(ViewerStatus { recording: Some(recording), ..live() });
    harness.get_by_label("The disk is full. What came before is in /tmp/work.mkv.");
    click(&mut harness, words::RECORD);
    assert!(matches!(harness.state().commands[..], [SessionCommand::Viewer(ViewerCommand::Record(true))]));
}

#[test]
fn everything_fits_a_narrow_window() {
    let mut harness = session(ViewerStatus { monitors: monitors(), ..live() });
    harness.set_size(vec2(640.0, 480.0));
    settle(&mut harness);
    let window = Rect::from_min_size(pos2(0.0, 0.0), vec2(640.0, 480.0));
    for label in [words::PICTURE, words::MONITORS, words::RECORD, words::FIGURES, words::DISCONNECT] {
        let rect = harness.get_by_label(label).rect();
        assert!(window.contains_rect(rect), "{label}: {rect:?}");
    }
}

fn forward(id: u32, state: ForwardState) -> ForwardStatus {
    ForwardStatus {
        id: ForwardId(id),
        local: Some(SocketAddr::from(([127, 0, 0, 1], 5432))),
        target: PortTarget { host: "localhost".to_owned(), port: 5432 },
        state,
        connections: 2,
        sent: 1_200_000,
        received: 400,
        problem: None,
    }
}

fn type_into(harness: &mut Harness<'_, Session>, label: &str, text: &str) {
    harness.get_by_role_and_label(Role::TextInput, label).focus();
    settle(harness);
    harness.get_by_role_and_label(Role::TextInput, label).type_text(text);
    settle(harness);
}

#[test]
fn a_port_of_the_other_side_is_opened_by_its_number_or_its_address() {
    for (typed, host, local, local_port) in
        [("8080", "localhost", "", 0), ("db.lan:5432", "db.lan", "6000", 6000), ("[::1]:22", "::1", "0", 0)]
    {
        let mut harness = session(live());
        click(&mut harness, words::SESSION_PORTS);
        click(&mut harness, words::OPEN_PORT);
        harness.get_by_label(words::PORT_SHAPE);
        type_into(&mut harness, words::THEIR_SERVICE, typed);
        type_into(&mut harness, words::LOCAL_PORT, local);
        click(&mut harness, words::OPEN_PORT);
        let [SessionCommand::Viewer(ViewerCommand::Forward(forward))] = &harness.state().commands[..] else {
            panic!("{typed}: {:?}", harness.state().commands);
        };
        assert_eq!((forward.target.host.as_str(), forward.local_port), (host, local_port));
    }
}

#[test]
fn a_forwarded_port_tells_how_it_stands_and_can_be_copied_and_stopped() {
    let ports = vec![forward(1, ForwardState::Open), forward(2, ForwardState::Failed("No.".to_owned()))];
    let mut harness = session(ViewerStatus { ports, ..live() });
    click(&mut harness, words::SESSION_PORTS);
    harness.get_by_label("Open  ·  2 connections  ·  1.2 MB out, 400 B in");
    harness.get_by_label("No.");
    click(&mut harness, words::COPY_ADDRESS);
    click(&mut harness, words::STOP_PORT);
    click(&mut harness, words::DISMISS);
    let commands = &harness.state().commands[..];
    let [SessionCommand::Copy(address), SessionCommand::Viewer(stopped), SessionCommand::Viewer(dismissed)] =
        commands
    else {
        panic!("{commands:?}");
    };
    assert_eq!(address, "127.0.0.1:5432");
    assert!(matches!(stopped, ViewerCommand::StopForward(ForwardId(1))));
    assert!(matches!(dismissed, ViewerCommand::StopForward(ForwardId(2))));
}

#[test]
fn who_may_look_only_is_told_why_there_are_no_ports() {
    let mut harness = session(ViewerStatus { permission: Permission::View, ..live() });
    click(&mut harness, words::SESSION_PORTS);
    harness.get_by_label(words::SESSION_PORTS_VIEW_ONLY);
    assert!(harness.query_by_label(words::OPEN_PORT).is_none());
}
