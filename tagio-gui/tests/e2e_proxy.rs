//! The forward tunnel with both programs and curl: what scripts see, restarts in the middle, clear refusals.
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

/// A relay with a forward tunnel to this machine, and its certificate's fingerprint.
fn relay(dir: &TempDir, port: u16) -> (Program, String) {
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", dir.path()).env("TAGIO_FORWARD", "token:open sesame");
    command.args([
        "-b",
        &format!("127.0.0.1:{port}"),
        "--metrics-bind",
        "off",
        "--forward-allow",
        "127.0.0.1",
    ]);
    let relay = Program::start("relay", &mut command);
    let line = relay.word("forward", LIMIT);
    let pin = line.rsplit(' ').next().unwrap().to_owned();
    (relay, pin)
}

fn gui(dir: &TempDir, arguments: &[&str]) -> Program {
    let mut command = Command::new(binaries::gui());
    command.env("TAGIO_DATA_DIR", dir.path()).arg("proxy").args(arguments);
    Program::start("proxy", &mut command)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn fetch(proxy: &str, url: &str) -> Option<String> {
    program::run("curl", &["-sf", "-m", "10", "--noproxy", "", "--proxy", proxy, url]).ok()
}

#[test]
fn pages_come_through_both_doors_and_after_a_crash_of_the_relay() {
    let (relay_dir, gui_dir, pages) = (TempDir::new(), TempDir::new(), TempDir::new());
    let page = "all work and no play\n".repeat(50_000);
    fs::write(pages.path().join("page"), &page).unwrap();
    let (local, port) = (free_port(), free_port());
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &local.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);
    let (mut first_relay, pin) = relay(&relay_dir, port);
    let server = format!("127.0.0.1:{port}");

    let doors = ["--socks5", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let usual = ["--server", &server, "--token", "open sesame", "--pin", &pin];
    let client = gui(&gui_dir, &[&usual[..], &doors].concat());
    let (socks5, http) = (client.word("socks5", LIMIT), client.word("http", LIMIT));
    client.word("tunnel", LIMIT);
    let url = format!("http://127.0.0.1:{local}/page");
    for proxy in [format!("socks5h://{socks5}"), format!("http://{http}")] {
        let fetched = eventually(LIMIT, || fetch(&proxy, &url));
        assert!(fetched.as_deref() == Some(page.as_str()), "{proxy} {client:?}");
    }
    let private =
        program::run("curl", &["-sS", "-m", "10", "--proxy", &format!("http://{http}"), "http://10.0.0.1/"]);
    assert!(private.unwrap().contains("not allowed"));

    // Without a word.
    first_relay.kill();
    let (_second_relay, _) = relay(&relay_dir, port);
    let restarted = Instant::now();
    let fetched = eventually(LIMIT, || fetch(&format!("socks5h://{socks5}"), &url));
    assert!(fetched.as_deref() == Some(page.as_str()), "{client:?}");
    assert!(restarted.elapsed() < BACK, "{:?} {client:?}", restarted.elapsed());
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let (relay_dir, gui_dir) = (TempDir::new(), TempDir::new());
    let port = free_port();
    let (_relay, pin) = relay(&relay_dir, port);
    let server = format!("127.0.0.1:{port}");
    let door = ["--socks5", "127.0.0.1:0"];
    let good = ["--server", &server, "--pin", &pin, "--token", "open sesame"];
    for (arguments, wanted) in [
        ([&["--server", &server, "--pin", &pin, "--token", "guess"], &door[..]].concat(), "--token"),
        ([&["--server", &server, "--token", "open sesame"], &door[..]].concat(), "--pin"),
        ([&good[..], &["--socks5", "0.0.0.0:0"]].concat(), "password"),
        ([&good[..], &["--http", "0.0.0.0:0"]].concat(), "password"),
        (vec!["--token", "open sesame"], "--server"),
    ] {
        let ended = gui(&gui_dir, &arguments).wait_exit(LIMIT);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?} {ended:?}");
        assert!(ended.err.iter().any(|line| line.contains(wanted)), "{arguments:?} {ended:?}");
        assert!(!ended.err.iter().any(|line| line.contains("sesame")), "{ended:?}");
    }
    let file = gui_dir.path().join("client.toml");
    let text = format!("[server]\naddress = '{server}'\ninsecure = true\ntoken = 'open sesame'\n");
    fs::write(&file, text).unwrap();
    let mut tested = gui(&gui_dir, &["test-connection", "-c", file.to_str().unwrap()]);
    tested.word("connected", LIMIT);
    assert_eq!(tested.wait_exit(LIMIT).status.code(), Some(0));
}
