//! A reverse tunnel with both programs and curl: what scripts see, restarts in the middle, a clear refusal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod tunnels;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Instant,
};

use tagio_testkit::{
    TempDir, eventually,
    program::{self, Program},
};
use tunnels::{BACK, CARRIERS, LIMIT, Relay, free_port};

fn fetch(ingress: u16, file: &str) -> Option<String> {
    let url = format!("http://127.0.0.1:{ingress}/{file}");
    program::run("curl", &["-sf", "-m", "10", &url]).ok()
}

#[test]
fn a_page_is_fetched_and_a_wrong_token_is_refused() {
    let pages = TempDir::new();
    let page = "all work and no play\n".repeat(50_000);
    fs::write(pages.path().join("page"), &page).unwrap();
    let local = free_port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &local.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);

    let relay = Relay::start();
    let ended = relay.client("guess", local, &["--remote-port", "0"]).wait_exit(LIMIT);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.iter().any(|line| line.contains("--token")), "{ended:?}");

    let (mut client, public) = relay.tunnel(local, &["--remote-port", "0"]);
    assert_eq!(public, format!("127.0.0.1:{}", relay.port));
    let fetched = eventually(LIMIT, || fetch(relay.port, "page"));
    assert!(fetched.as_deref() == Some(page.as_str()));
    client.terminate();
    assert!(client.wait_exit(LIMIT).status.success());
}

#[test]
fn a_tunnel_is_back_after_either_end_was_killed_in_the_middle() {
    let local = service();
    for carrier in CARRIERS {
        let mut relay = Relay::start();
        let how = ["--carrier", carrier, "--remote-port", &relay.port.to_string()];
        let (mut first, _) = relay.tunnel(local, &how);
        let stream = endless(relay.port);

        relay.kill_and_restart();
        let restarted = Instant::now();
        assert!(eventually(LIMIT, || echo(relay.port)).is_some(), "{carrier} {first:?}");
        assert!(restarted.elapsed() < BACK, "{carrier}: {:?}", restarted.elapsed());
        assert_over(stream);

        let stream = endless(relay.port);
        first.kill();
        let killed = Instant::now();
        let (second, _) = relay.tunnel(local, &how);
        assert!(eventually(LIMIT, || echo(relay.port)).is_some(), "{carrier} {second:?}");
        assert!(killed.elapsed() < BACK, "{carrier}: {:?}", killed.elapsed());
        assert_over(stream);
    }
}

#[test]
fn a_client_has_more_visitors_than_a_shell_gives_it_files() {
    let (local, relay) = (service(), Relay::start());
    let how = ["--carrier", "tcp", "--remote-port", &relay.port.to_string()];
    let tunnel = relay.tunnel_with_few_files(64, local, &how);
    let mut visitors: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", relay.port)).unwrap()).collect();
    for visitor in &mut visitors {
        visitor.set_read_timeout(Some(LIMIT)).unwrap();
        visitor.write_all(b"here").unwrap();
        let mut answer = [0; 4];
        visitor.read_exact(&mut answer).unwrap_or_else(|error| panic!("{error} {tunnel:?}"));
        assert_eq!(&answer, b"here");
    }
}

/// A service that sends without end to whom says `more`, and to others what they have sent.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

/// Fails when its visitor is gone.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut first = [0; 4];
    stream.read_exact(&mut first)?;
    if &first == b"more" {
        loop {
            stream.write_all(&[7; 32 * 1024])?;
        }
    }
    stream.write_all(&first)?;
    io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}

/// A visitor in the middle of a download.
fn endless(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"more").unwrap();
    stream.read_exact(&mut vec![0; 1 << 20]).unwrap();
    stream
}

/// It ends, in whatever way, and does not hang.
fn assert_over(mut stream: TcpStream) {
    let ended = io::copy(&mut stream, &mut io::sink());
    let timed_out = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(!ended.as_ref().is_err_and(timed_out), "{ended:?}");
}

fn echo(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.write_all(b"there?").ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    (answer == b"there?").then_some(())
}
