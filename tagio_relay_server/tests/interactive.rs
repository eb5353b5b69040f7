//! The program on a terminal without arguments: it asks, stores, serves.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use tempfile::tempdir;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already. The program ends with its terminal.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_person_is_asked_and_what_is_said_is_stored_and_served() {
    let dir = tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // util-linux gives a command a terminal of its own.
    let child = Command::new("script")
        .args([
            "--quiet",
            "--flush",
            "--return",
            "--command",
            env!("CARGO_BIN_EXE_tagio_relay_server"),
            "/dev/null",
        ])
        .env("TAGIO_DATA_DIR", dir.path())
        .env_remove("PORT")
        .env_remove("PUBLIC_IP")
        .env_remove("AUTH_SECRET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut terminal = running.0.stdin.take().unwrap();
    let answers = format!("none\n{free}\n192.0.2.1\nopen sesame\ny\n");
    terminal.write_all(answers.as_bytes()).unwrap();
    let mut shown = String::new();
    for line in BufReader::new(running.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        shown += &line;
        shown.push('\n');
        if line.starts_with("listening") {
            break;
        }
    }
    assert!(shown.contains("Port, TCP and UDP [443]: "), "{shown}");
    assert!(shown.contains("not what was asked for"), "{shown}");
    assert!(shown.contains(&format!("listening 0.0.0.0:{free} key ")), "{shown}");
    let file = dir.path().join("relay.toml");
    let stored = fs::read_to_string(&file).unwrap();
    for line in
        [&format!("bind = [\"0.0.0.0:{free}\"]"), "public-ip = \"192.0.2.1\"", "auth = \"open sesame\""]
    {
        assert!(stored.contains(line), "{stored}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = TcpStream::connect(("127.0.0.1", free)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
}
