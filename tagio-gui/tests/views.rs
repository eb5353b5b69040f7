//! Clicks and keys in the window, and the commands that come of them. No screen is needed.

use std::time::{Duration, Instant};

use eframe::egui::{Key, Role, Ui};
use egui_kittest::{Harness, kittest::Queryable as _};
use tagio_gui::{
    config::{KnownHost, PortChoice, QualityChoice, ReachChoice, Settings, Target, ThemeChoice, VideoChoice},
    engine::status::{
        AskingViewer, ConnectedViewer, HostCommand, HostStatus, PathKind, RelayState, ViewerId,
    },
    theme,
    views::{
        accept::{AcceptState, INACTIVE_FOR, accept_ui},
        home::{ConnectRequest, HomeCommand, HomeState, HomeView, home_ui},
        settings::{SettingsCommand, SettingsState, settings_ui},
        words,
    },
};
use tagio_wire::{PeerId, PublicKey, port::PortTarget, session::Permission};

const KEY: PublicKey = PublicKey([7; 32]);

fn status() -> HostStatus {
    HostStatus {
        relay: RelayState::Online,
        id: PeerId::new(123_456_789).ok(),
        code: "abcd-efgh".to_owned(),
        has_password: false,
        asking: Vec::new(),
        viewers: Vec::new(),
        screen_problem: None,
    }
}

fn asking(number: u64) -> AskingViewer {
    AskingViewer {
        viewer: ViewerId(number),
        name: "Ann".to_owned(),
        fingerprint: KEY.fingerprint(),
        phrase: "one two three four".to_owned(),
        wants: Permission::Control,
        port: None,
        known: false,
        until: Instant::now() + Duration::from_secs(60),
    }
}

/// Gives the test's window TagIO's looks, which the views rely on.
fn dress(ui: &mut Ui) {
    theme::apply(ui.ctx(), ThemeChoice::Light);
    ui.reset_style();
}

#[derive(Default)]
struct Home {
    state: HomeState,
    recent: Vec<(Target, KnownHost)>,
    commands: Vec<HomeCommand>,
}

/// The main screen with this status.
fn home(status: HostStatus, home: Home) -> Harness<'static, Home> {
    let draw = move |ui: &mut Ui, home: &mut Home| {
        dress(ui);
        let (now, recent) = (Instant::now(), &home.recent);
        let view = HomeView { status: &status, recent, problem: None, now, now_unix_s: 1_000_000 };
        home_ui(ui, &view, &mut home.state, &mut home.commands);
    };
    Harness::builder().with_size([900.0, 900.0]).build_ui_state(draw, home)
}

/// Types into the box and presses Enter.
fn connect_to(text: &str) -> Harness<'static, Home> {
    let mut harness = home(status(), Home::default());
    harness.get_by_role(Role::TextInput).focus();
    harness.run_ok();
    harness.get_by_role(Role::TextInput).type_text(text);
    harness.run_ok();
    harness.key_press(Key::Enter);
    harness.run_ok();
    harness
}

fn click(harness: &mut Harness<'_, impl Sized>, label: &str) {
    harness.get_by_label(label).click();
    harness.run_ok();
}

#[test]
fn renew_asks_for_a_new_code() {
    let mut harness = home(status(), Home::default());
    click(&mut harness, words::RENEW_CODE);
    assert!(matches!(harness.state().commands[..], [HomeCommand::Host(HostCommand::RenewCode)]));
}

#[test]
fn the_id_is_shown_in_groups_and_copied_so() {
    let mut harness = home(status(), Home::default());
    harness.get_by_label("123 456 789");
    click(&mut harness, words::COPY_ID);
    let [HomeCommand::Copy(text)] = &harness.state().commands[..] else { panic!("nothing copied") };
    assert_eq!(text, "123 456 789");
    harness.get_by_label(words::COPIED);
}

#[test]
fn the_box_accepts_an_id_with_spaces_and_an_address() {
    for text in ["123 456 789", "example.org:4443"] {
        let harness = connect_to(text);
        let [HomeCommand::Connect(request)] = &harness.state().commands[..] else { panic!("{text}") };
        assert_eq!(*request, ConnectRequest { target: text.parse().unwrap(), view_only: false });
    }
}

#[test]
fn the_box_explains_what_is_wrong() {
    let harness = connect_to("12345");
    assert!(harness.state().commands.is_empty());
    harness.get_by_label("An ID has nine digits. You have typed 5.");
}

#[test]
fn a_recent_computer_can_be_forgotten() {
    let host = KnownHost { name: "Office".to_owned(), key: KEY, last_unix_s: 999_000, listed: true };
    let target: Target = "123456789".parse().unwrap();
    let mut harness = home(status(), Home { recent: vec![(target, host)], ..Home::default() });
    harness.get_by_label("Office");
    click(&mut harness, words::FORGET);
    assert!(matches!(harness.state().commands[..], [HomeCommand::Forget(_)]));
}

#[test]
fn an_offline_relay_says_why_and_when() {
    let retry_at = Some(Instant::now() + Duration::from_millis(4500));
    let relay = RelayState::Offline { problem: "No network.".to_owned(), retry_at };
    let harness = home(HostStatus { relay, ..status() }, Home::default());
    harness.get_by_label("No network. Trying again in 5 seconds.");
}

#[test]
fn a_viewer_can_be_ended_and_kept_from_controlling() {
    let viewer = ConnectedViewer {
        viewer: ViewerId(3),
        name: "Ann".to_owned(),
        fingerprint: KEY.fingerprint(),
        phrase: "one two three four".to_owned(),
        permission: Permission::Control,
        path: PathKind::Direct,
        since: Instant::now(),
        ports: Vec::new(),
    };
    let mut harness = home(HostStatus { viewers: vec![viewer], ..status() }, Home::default());
    click(&mut harness, words::STOP_CONTROL);
    click(&mut harness, words::END);
    assert!(matches!(
        harness.state().commands[..],
        [
            HomeCommand::Host(HostCommand::Permit { viewer: ViewerId(3), permission: Permission::View }),
            HomeCommand::Host(HostCommand::End(ViewerId(3))),
        ]
    ));
}

/// The question, `age` after it appeared.
struct Accept {
    state: AcceptState,
    age: Duration,
    commands: Vec<HostCommand>,
}

fn accept() -> Harness<'static, Accept> {
    let (viewers, start) = ([asking(1), asking(2)], Instant::now());
    let draw = move |ui: &mut Ui, accept: &mut Accept| {
        dress(ui);
        let now = start + accept.age;
        accept_ui(ui.ctx(), &viewers, &mut accept.state, now, &mut accept.commands);
    };
    let accept = Accept { state: AcceptState::default(), age: Duration::ZERO, commands: Vec::new() };
    let mut harness = Harness::builder().with_size([700.0, 600.0]).build_ui_state(draw, accept);
    harness.run_ok();
    harness
}

#[test]
fn escape_declines() {
    let mut harness = accept();
    harness.key_press(Key::Escape);
    harness.step();
    assert!(matches!(
        harness.state().commands[..],
        [HostCommand::Answer { viewer: ViewerId(1), permission: None }, ..]
    ));
}

#[test]
fn nobody_is_let_in_by_a_click_that_was_meant_for_something_else() {
    let mut harness = accept();
    click(&mut harness, words::ALLOW_CONTROL);
    assert!(harness.state().commands.is_empty());
    harness.state_mut().age = INACTIVE_FOR;
    harness.run_ok();
    click(&mut harness, words::ALLOW_CONTROL);
    assert!(matches!(
        harness.state().commands[0],
        HostCommand::Answer { viewer: ViewerId(1), permission: Some(Permission::Control) }
    ));
}

#[test]
fn a_port_is_asked_for_by_its_name_and_allowed_or_not() {
    let target = PortTarget { host: "10.0.0.7".to_owned(), port: 5432 };
    let viewers = [AskingViewer { wants: Permission::Ports, port: Some(target), ..asking(1) }];
    let start = Instant::now();
    let draw = move |ui: &mut Ui, accept: &mut Accept| {
        dress(ui);
        let now = start + accept.age;
        accept_ui(ui.ctx(), &viewers, &mut accept.state, now, &mut accept.commands);
    };
    let accept = Accept { state: AcceptState::default(), age: Duration::ZERO, commands: Vec::new() };
    let mut harness = Harness::builder().with_size([700.0, 600.0]).build_ui_state(draw, accept);
    harness.run_ok();
    harness.get_by_label("wants to reach 10.0.0.7:5432 through this computer");
    assert!(harness.query_by_label(words::VIEW_ONLY).is_none());
    harness.state_mut().age = INACTIVE_FOR;
    harness.run_ok();
    click(&mut harness, words::ALLOW);
    assert!(matches!(
        harness.state().commands[0],
        HostCommand::Answer { viewer: ViewerId(1), permission: Some(Permission::Ports) }
    ));
}

struct SettingsScreen {
    state: SettingsState,
    commands: Vec<SettingsCommand>,
}

fn settings(saved: Settings) -> Harness<'static, SettingsScreen> {
    let draw = |ui: &mut Ui, screen: &mut SettingsScreen| {
        dress(ui);
        settings_ui(ui, &mut screen.state, &mut screen.commands);
    };
    let screen = SettingsScreen { state: SettingsState::new(saved), commands: Vec::new() };
    Harness::builder().with_size([700.0, 2200.0]).build_ui_state(draw, screen)
}

fn type_into(harness: &mut Harness<'_, SettingsScreen>, label: &str, text: &str) {
    let field = |harness: &Harness<'_, SettingsScreen>| {
        harness.get_by_role_and_label(role_of_field(label), label).focus();
    };
    field(harness);
    harness.run_ok();
    harness.get_by_role_and_label(role_of_field(label), label).type_text(text);
    harness.run_ok();
}

fn role_of_field(label: &str) -> Role {
    let is_password = [words::PASSWORD_NEW, words::PASSWORD_AGAIN, words::RELAY_AUTH, words::PROXY_PASSWORD]
        .contains(&label);
    if is_password { Role::PasswordInput } else { Role::TextInput }
}

#[test]
fn a_bad_relay_address_is_explained_and_not_saved() {
    let mut harness = settings(Settings { relay: "relay.example:443".to_owned(), ..Settings::default() });
    type_into(&mut harness, words::RELAY_ADDRESS, "x");
    harness.get_by_label("The port after the colon must be a number from 1 to 65535.");
    click(&mut harness, words::SAVE);
    assert!(harness.state().commands.is_empty());
    click(&mut harness, words::USE_DEFAULT);
    click(&mut harness, words::SAVE);
    assert!(matches!(harness.state().commands[..], [SettingsCommand::Save(_)]));
}

#[test]
fn a_password_is_typed_twice() {
    let mut harness = settings(Settings::default());
    type_into(&mut harness, words::PASSWORD_NEW, "correct horse");
    click(&mut harness, words::PASSWORD_STORE);
    harness.get_by_label(words::PASSWORD_DIFFERS);
    type_into(&mut harness, words::PASSWORD_AGAIN, "correct horse");
    click(&mut harness, words::PASSWORD_STORE);
    let [SettingsCommand::SetPassword(password)] = &harness.state().commands[..] else { panic!("none") };
    assert_eq!(password.as_str(), "correct horse");
}

#[test]
fn letting_in_without_asking_is_a_warning() {
    let mut harness = settings(Settings::default());
    assert!(harness.query_by_label(words::ASK_FIRST_OFF).is_none());
    click(&mut harness, words::ASK_FIRST);
    harness.get_by_label(words::ASK_FIRST_OFF);
    click(&mut harness, words::SAVE);
    let [SettingsCommand::Save(saved)] = &harness.state().commands[..] else { panic!("not saved") };
    assert!(!saved.ask);
}

#[test]
fn how_sessions_start_is_chosen_and_saved() {
    let mut harness = settings(Settings::default());
    for choice in [words::SMOOTH.0, "30", words::VIDEO_JPEG, words::SAVE] {
        click(&mut harness, choice);
    }
    let [SettingsCommand::Save(saved)] = &harness.state().commands[..] else { panic!("not saved") };
    assert_eq!(
        (saved.quality, saved.fps_max, saved.video),
        (QualityChoice::Smooth, Some(30), VideoChoice::Jpeg)
    );
}

#[test]
fn whether_others_use_ports_is_chosen_and_asked_about_by_default() {
    let mut harness = settings(Settings::default());
    click(&mut harness, words::PORTS_OFF.0);
    click(&mut harness, words::SAVE);
    let [SettingsCommand::Save(saved)] = &harness.state().commands[..] else { panic!("not saved") };
    assert_eq!((Settings::default().ports, saved.ports), (PortChoice::Ask, PortChoice::Off));
}

#[test]
fn how_the_relay_is_reached_is_chosen_and_a_proxy_is_an_http_proxy() {
    let mut harness = settings(Settings::default());
    assert!(harness.query_by_label(words::PROXY_USER).is_none(), "asked only for a proxy that is named");
    click(&mut harness, words::REACH_WEBSOCKET);
    type_into(&mut harness, words::PROXY, "socks5://proxy:1080");
    harness.get_by_label(words::PROXY_SHAPE);
    click(&mut harness, words::SAVE);
    assert!(harness.state().commands.is_empty());

    let mut harness = settings(Settings { reach: ReachChoice::Tls, ..Settings::default() });
    click(&mut harness, words::REACH_HTTP);
    type_into(&mut harness, words::PROXY, "proxy.example:3128");
    type_into(&mut harness, words::PROXY_USER, "ann");
    type_into(&mut harness, words::PROXY_PASSWORD, "open sesame");
    click(&mut harness, words::SAVE);
    let [SettingsCommand::Save(saved)] = &harness.state().commands[..] else { panic!("not saved") };
    assert_eq!((saved.reach, saved.proxy.as_str()), (ReachChoice::Http, "proxy.example:3128"));
    assert_eq!((saved.proxy_user.as_str(), saved.proxy_password.as_str()), ("ann", "open sesame"));
}
