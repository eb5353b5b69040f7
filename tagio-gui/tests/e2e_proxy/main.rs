//! The forward tunnel with both programs and others' programs: what goes through, what scripts see, restarts in the
//! middle, clear refusals.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod attacks;
mod lab;
mod programs;
mod volume;
#[path = "../web/mod.rs"]
mod web;

use std::{fs, process::Command, time::Instant};

use lab::{BACK, LIMIT, gui, relay};
use tagio_testkit::{
    TempDir, eventually,
    program::{self, Program},
};
use web::free_port;

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
