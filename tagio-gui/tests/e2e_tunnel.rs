//! A reverse tunnel with both programs and curl: what scripts see, restarts in the middle, a clear refusal.
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

const LIMIT: Duration = Duration::from_secs(20);
/// A tunnel that was cut off has to be back after this.
const BACK: Duration = Duration::from_secs(5);

/// A relay with tunnels at these ports.
fn relay(dir: &TempDir, ports: [u16; 2]) -> Program {
    let [control, ingress] = ports.map(|port| format!("127.0.0.1:{port}"));
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", dir.path());
    command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off", "--tunnel-token", "open sesame"]);
    command.args(["--tunnel-control", &control, "--tunnel-ingress", &ingress]);
    let relay = Program::start("relay", &mut command);
    assert_eq!(relay.word("tunnels", LIMIT), format!("{control} ingress {ingress}"));
    relay
}

fn tunnel(dir: &TempDir, control: u16, local: u16, token: &str) -> Program {
    let mut command = Command::new(binaries::gui());
    command.env("TAGIO_DATA_DIR", dir.path());
    command.args(["tunnel", "--server", &format!("127.0.0.1:{control}"), "--token", token]);
    command.args(["--local-port", &local.to_string()]);
    Program::start("tunnel", &mut command)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn fetch(ingress: u16, file: &str) -> Option<String> {
    let url = format!("http://127.0.0.1:{ingress}/{file}");
    program::run("curl", &["-sf", "-m", "10", &url]).ok()
}

#[test]
fn a_page_is_fetched_through_a_tunnel_that_survives_restarts_of_both_ends() {
    let (relay_dir, gui_dir, pages) = (TempDir::new(), TempDir::new(), TempDir::new());
    let page = "all work and no play\n".repeat(50_000);
    fs::write(pages.path().join("page"), &page).unwrap();
    let [local, control, ingress] = [free_port(), free_port(), free_port()];
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &local.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);

    let mut first_relay = relay(&relay_dir, [control, ingress]);
    let mut refused = tunnel(&gui_dir, control, local, "guess");
    let ended = refused.wait_exit(LIMIT);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.iter().any(|line| line.contains("--token")), "{ended:?}");

    let mut client = tunnel(&gui_dir, control, local, "open sesame");
    assert_eq!(client.word("forwarding", LIMIT), format!("127.0.0.1:{ingress} -> 127.0.0.1:{local}"));
    let fetched = eventually(LIMIT, || fetch(ingress, "page"));
    assert!(fetched.as_deref() == Some(page.as_str()));

    first_relay.kill();
    let _second_relay = relay(&relay_dir, [control, ingress]);
    let restarted = Instant::now();
    assert!(eventually(LIMIT, || fetch(ingress, "page")).is_some(), "{client:?}");
    assert!(restarted.elapsed() < BACK, "{:?}", restarted.elapsed());

    client.kill();
    let mut client = tunnel(&gui_dir, control, local, "open sesame");
    client.word("forwarding", LIMIT);
    assert!(eventually(LIMIT, || fetch(ingress, "page")).is_some(), "{client:?}");
    client.terminate();
    assert!(client.wait_exit(LIMIT).status.success());
}
