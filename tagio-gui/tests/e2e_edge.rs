//! An edge node with both programs and curl: what scripts see, restarts in the middle, a clear refusal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[cfg(target_os = "linux")]
#[path = "edge/attacks.rs"]
mod attacks;
#[path = "edge/parts.rs"]
mod parts;
#[path = "edge/programs.rs"]
mod programs;
#[path = "edge/volume.rs"]
mod volume;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use parts::{LIMIT, LOCAL_TOO, Pop, UUID};
use tagio_testkit::{TempDir, binaries, eventually, program::Program};

/// A node that was cut off has to be back after this.
const BACK: Duration = Duration::from_secs(5);

#[test]
fn a_page_is_fetched_through_a_node_that_survives_restarts_of_both_ends() {
    let (pop, pages) = (Pop::new(), TempDir::new());
    let page = "all work and no play\n".repeat(50_000);
    fs::write(pages.path().join("page"), &page).unwrap();
    let local = parts::free_port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &local.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);
    let url = format!("http://localhost:{local}/page");
    let fetch = || pop.curl(&["-sf", "-m", "10", &url]).ok();
    let mut first_relay = pop.relay();

    let mut careful = pop.node(&[]);
    assert_eq!(fetch(), None, "this machine's services are not public");
    careful.terminate();
    assert!(careful.wait_exit(LIMIT).status.success());

    let mut node = pop.node(&LOCAL_TOO);
    assert!(eventually(LIMIT, fetch).as_deref() == Some(page.as_str()));

    first_relay.kill();
    let _second_relay = pop.relay();
    let restarted = Instant::now();
    assert!(eventually(LIMIT, fetch).is_some(), "{node:?}");
    assert!(restarted.elapsed() < BACK, "{:?}", restarted.elapsed());

    node.kill();
    let node = pop.node(&LOCAL_TOO);
    assert!(eventually(LIMIT, fetch).is_some(), "{node:?}");

    let mut lost = pop.node(&LOCAL_TOO);
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
