//! The page of tunnels: what is typed and clicked there, and what comes of it. No screen is needed.

use std::time::{Duration, Instant, SystemTime};

use eframe::egui::{Role, Ui};
use egui_kittest::{Harness, kittest::Queryable as _};
use tagio_gui::{
    config::{SavedTunnel, ThemeChoice, Token},
    engine::status::{
        ExchangeState, ExchangeSummary, TunnelCommand, TunnelId, TunnelState, TunnelStatus, Tunnels,
    },
    theme,
    views::{
        tunnels::{TunnelsCommand, TunnelsState, TunnelsView, tunnels_ui},
        words,
    },
};

struct Page {
    tunnels: Tunnels,
    state: TunnelsState,
    commands: Vec<TunnelsCommand>,
}

fn saved() -> SavedTunnel {
    SavedTunnel {
        name: "Web shop".to_owned(),
        local_host: "127.0.0.1".to_owned(),
        local_port: 3000,
        server: "relay.example:8089".to_owned(),
        token: Token("open sesame".to_owned()),
        hostname: String::new(),
        starts_itself: false,
    }
}

fn request(id: u64, status: u16) -> ExchangeSummary {
    ExchangeSummary {
        id,
        at: SystemTime::UNIX_EPOCH,
        method: "GET".to_owned(),
        target: format!("/page/{id}"),
        status,
        request_bytes: 0,
        response_bytes: 2048,
        first_byte: Some(Duration::from_millis(3)),
        total: Some(Duration::from_millis(12)),
        state: ExchangeState::Done,
        replay_of: None,
    }
}

fn tunnel(state: TunnelState) -> TunnelStatus {
    let requests = (1..=9).rev().map(|id| request(id, 200)).collect();
    TunnelStatus { id: TunnelId(7), saved: saved(), state, inward: 40_000, outward: 1_200_000, requests }
}

fn page(list: Vec<TunnelStatus>) -> Harness<'static, Page> {
    let draw = |ui: &mut Ui, page: &mut Page| {
        theme::apply(ui.ctx(), ThemeChoice::Light);
        ui.reset_style();
        let view = TunnelsView { tunnels: &page.tunnels, now: Instant::now() };
        tunnels_ui(ui, &view, &mut page.state, &mut page.commands);
    };
    let tunnels = Tunnels { list, problem: None };
    let page = Page { tunnels, state: TunnelsState::default(), commands: Vec::new() };
    Harness::builder().with_size([900.0, 900.0]).build_ui_state(draw, page)
}

fn click(harness: &mut Harness<'_, Page>, label: &str) {
    harness.get_by_label(label).click();
    harness.run_ok();
}

fn type_into(harness: &mut Harness<'_, Page>, label: &str, text: &str) {
    let role = if label == words::TUNNEL_TOKEN { Role::PasswordInput } else { Role::TextInput };
    harness.get_by_role_and_label(role, label).focus();
    harness.run_ok();
    harness.get_by_role_and_label(role, label).type_text(text);
    harness.run_ok();
}

#[test]
fn a_tunnel_is_added_once_it_makes_sense() {
    let mut harness = page(Vec::new());
    harness.get_by_label(words::NO_TUNNELS);
    click(&mut harness, words::ADD_TUNNEL);
    type_into(&mut harness, words::TUNNEL_NAME, "Web shop");
    click(&mut harness, words::KEEP_AND_START);
    harness.get_by_label(words::PORT_SHAPE);
    assert!(harness.state().commands.is_empty());
    type_into(&mut harness, words::SERVICE_HERE, "3000");
    type_into(&mut harness, words::TUNNEL_RELAY, "relay.example:8089");
    type_into(&mut harness, words::TUNNEL_TOKEN, "open sesame");
    click(&mut harness, words::KEEP_AND_START);
    let [TunnelsCommand::Tunnel(TunnelCommand::Add(added))] = &harness.state().commands[..] else {
        panic!("{:?}", harness.state().commands);
    };
    assert_eq!(*added, saved());
}

#[test]
fn an_open_tunnel_shows_its_address_its_traffic_and_who_came() {
    let mut harness = page(vec![tunnel(TunnelState::Open("relay.example:8081".to_owned()))]);
    harness.get_by_label("relay.example:8081");
    harness.get_by_label("Service 127.0.0.1:3000  ·  relay relay.example:8089  ·  1.2 MB out, 40 kB in");
    harness.get_by_label("/page/9");
    assert!(harness.query_by_label("/page/1").is_none(), "the newest are enough at first");
    click(&mut harness, words::SHOW_ALL);
    harness.get_by_label("/page/1");
    click(&mut harness, words::COPY_ADDRESS);
    harness.get_by_label(words::COPIED);
    click(&mut harness, words::STOP_TUNNEL);
    click(&mut harness, words::FORGET_REQUESTS);
    let [
        TunnelsCommand::Copy(address),
        TunnelsCommand::Tunnel(TunnelCommand::Stop(TunnelId(7))),
        TunnelsCommand::Tunnel(TunnelCommand::ForgetRequests(TunnelId(7))),
    ] = &harness.state().commands[..]
    else {
        panic!("{:?}", harness.state().commands);
    };
    assert_eq!(address, "relay.example:8081");
}

#[test]
fn a_tunnel_is_changed_where_it_stands_and_keeps_what_was_not_touched() {
    let mut harness = page(vec![tunnel(TunnelState::Failed("The relay wants its token.".to_owned()))]);
    harness.get_by_label("The relay wants its token.");
    click(&mut harness, words::CHANGE_TUNNEL);
    click(&mut harness, words::STARTS_ITSELF);
    click(&mut harness, words::SAVE);
    let [TunnelsCommand::Tunnel(TunnelCommand::Change(TunnelId(7), changed))] = &harness.state().commands[..]
    else {
        panic!("{:?}", harness.state().commands);
    };
    assert_eq!(*changed, SavedTunnel { starts_itself: true, ..saved() });
}
