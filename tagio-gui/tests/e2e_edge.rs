//! An edge node with both programs and curl: what scripts see, restarts in the middle, a clear refusal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use tagio_testkit::{
    TempDir, binaries, eventually,
    program::{self, Program},
};

const LIMIT: Duration = Duration::from_secs(30);
/// A node that was cut off has to be back after this.
const BACK: Duration = Duration::from_secs(5);
const UUID: &str = "08bd0658-1f61-11f0-8061-8bd115314f4c";

/// A relay that is a POP, at these ports.
fn relay(dir: &TempDir, [port, socks]: [u16; 2]) -> Program {
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", dir.path()).env("TAGIO_EDGE_USER", "anna:open sesame");
    command.args(["-b", &format!("127.0.0.1:{port}"), "--metrics-bind", "off"]);
    command.args(["--edge-socks", &format!("127.0.0.1:{socks}")]);
    let relay = Program::start("relay", &mut command);
    assert_eq!(relay.word("edge-socks", LIMIT), format!("127.0.0.1:{socks}"));
    relay
}

fn edge(dir: &TempDir, port: u16, more: &[&str]) -> Program {
    let mut command = Command::new(binaries::gui());
    command.env("TAGIO_DATA_DIR", dir.path());
    command.args(["edge", "--uuid", UUID, "--direct-url", &format!("http://127.0.0.1:{port}/node/pop")]);
    command.args(more);
    Program::start("edge", &mut command)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn fetch(socks: u16, port: u16) -> Option<String> {
    let (proxy, url) = (format!("127.0.0.1:{socks}"), format!("http://localhost:{port}/page"));
    let login = ["--proxy-user", "anna:open sesame"];
    let args = [&["-sf", "-m", "10", "--socks5-hostname", &proxy][..], &login, &[&url]].concat();
    program::run("curl", &args).ok()
}

#[test]
fn a_page_is_fetched_through_a_node_that_survives_restarts_of_both_ends() {
    let (relay_dir, gui_dir, pages) = (TempDir::new(), TempDir::new(), TempDir::new());
    let page = "all work and no play\n".repeat(50_000);
    fs::write(pages.path().join("page"), &page).unwrap();
    let [local, port, socks] = [free_port(), free_port(), free_port()];
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &local.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);
    let mut first_relay = relay(&relay_dir, [port, socks]);
    let serving = format!("ws://127.0.0.1:{port}/ws/node");

    let mut careful = edge(&gui_dir, port, &[]);
    assert_eq!(careful.word("serving", LIMIT), serving);
    assert_eq!(fetch(socks, local), None, "this machine's services are not public");
    careful.terminate();
    assert!(careful.wait_exit(LIMIT).status.success());

    let local_too = ["--allow", "127.0.0.0/8", "--allow", "::1/128"];
    let mut node = edge(&gui_dir, port, &local_too);
    node.word("serving", LIMIT);
    assert!(eventually(LIMIT, || fetch(socks, local)).as_deref() == Some(page.as_str()));

    first_relay.kill();
    let _second_relay = relay(&relay_dir, [port, socks]);
    let restarted = Instant::now();
    assert!(eventually(LIMIT, || fetch(socks, local)).is_some(), "{node:?}");
    assert!(restarted.elapsed() < BACK, "{:?}", restarted.elapsed());

    node.kill();
    let node = edge(&gui_dir, port, &local_too);
    node.word("serving", LIMIT);
    assert!(eventually(LIMIT, || fetch(socks, local)).is_some(), "{node:?}");

    let mut lost = edge(&gui_dir, port, &local_too);
    lost.word("serving", LIMIT);
    lost.terminate();
    assert!(lost.wait_exit(LIMIT).status.success());
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let (relay_dir, gui_dir) = (TempDir::new(), TempDir::new());
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", relay_dir.path());
    command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off", "--edge-socks", "0.0.0.0:0"]);
    let ended = Program::start("relay", &mut command).wait_exit(LIMIT);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.iter().any(|line| line.contains("--edge-user")), "{ended:?}");

    let mut command = Command::new(binaries::gui());
    command
        .env("TAGIO_DATA_DIR", gui_dir.path())
        .args(["edge", "--uuid", UUID, "--app-dir"])
        .arg(gui_dir.path());
    let ended = Program::start("edge", &mut command).wait_exit(LIMIT);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.iter().any(|line| line.contains("--direct-url")), "{ended:?}");
}
