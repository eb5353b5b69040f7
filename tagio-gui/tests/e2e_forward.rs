//! Ports through a session with both programs, curl, and services that know what they were sent.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod web;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tagio_testkit::{
    Seeded, TempDir, binaries, eventually,
    lab::{LIMIT, PASSWORD, Relay, assert_helpful_failure},
    program::{self, Ended, Program},
};

/// Larger than everything that may be under way at a time.
const LARGE_BYTES: usize = 12 * 1024 * 1024;
/// More than a session's streams, so that some wait for others.
const CONNECTIONS: usize = 200;
const SMALL_BYTES: usize = 64 * 1024;
/// A cut line is noticed after four seconds; then a session has to be made again.
const CUT: Duration = Duration::from_secs(6);

/// Programs that share a folder.
struct Bench {
    dir: TempDir,
    relay: Relay,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new();
        let mut relay = Command::new(binaries::relay_server());
        relay.args(["--bind", "127.0.0.1:0", "--metrics-bind", "off", "--public-ip", "127.0.0.1"]);
        relay.arg("--data-dir").arg(dir.path().join("relay"));
        let relay = Relay::start(&mut relay);
        Self { dir, relay }
    }

    /// A program of ours without a display, that has a folder of its own.
    fn gui(&self, folder: &str) -> Command {
        let mut command = Command::new(binaries::gui());
        command.args(["--relay", &self.relay.flag(), "--data-dir"]).arg(self.dir.path().join(folder));
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("TAGIO_RELAY");
        command
    }

    /// A host without a screen, and its ID.
    fn host(&self, args: &[&str]) -> (Program, String) {
        let host =
            Program::start("host", self.gui("host").args(["server", "--password", PASSWORD]).args(args));
        let id = host.word("id", LIMIT);
        (host, id)
    }

    fn forward(&self, target: &str, password: &str, forwards: &[&str]) -> Program {
        let mut command = self.gui("viewer");
        command.args(["forward", target, "--password", password]).args(forwards);
        Program::start("forward", &mut command)
    }

    /// How a forward ends that is not allowed. Quiet: stderr holds the failure and nothing else.
    fn refused(&self, target: &str, password: &str, forwards: &[&str]) -> Ended {
        let mut command = self.gui("viewer");
        command.args(["forward", target, "--password", password]).args(forwards).env("RUST_LOG", "off");
        Program::start("forward", &mut command).wait_exit(LIMIT)
    }
}

/// Where programs connect to, by `forwarding LOCAL -> TARGET`.
fn local(forward: &Program) -> SocketAddr {
    let line = forward.word("forwarding", LIMIT);
    line.split(' ').next().unwrap().parse().unwrap()
}

/// Reads everything up to the end, and only then answers: with the same, backwards.
fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // One that is cut off gets no answer.
                if socket.read_to_end(&mut bytes).is_ok() {
                    bytes.reverse();
                    socket.write_all(&bytes).ok();
                }
            });
        }
    });
    at
}

/// Sends, says that this was all, and reads what comes.
fn ask_mirror(at: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(at)?;
    socket.write_all(bytes)?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    answer.reverse();
    Ok(answer)
}

#[test]
fn pages_and_files_travel_through_a_session_without_a_screen() {
    let bench = Bench::new();
    let (host, id) = bench.host(&["--ports", "own"]);
    let page = "all work and no play\n".repeat(100_000);
    let pages = TempDir::new();
    fs::write(pages.path().join("page"), &page).unwrap();
    let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", &http.to_string(), "--bind", "127.0.0.1"]).current_dir(pages.path());
    let _service = Program::start("python", &mut python);
    let mirror = mirror();

    let specs = [format!("0:localhost:{http}"), format!("0:127.0.0.1:{}", mirror.port())];
    let mut forward = bench.forward(&id, PASSWORD, &specs.each_ref().map(String::as_str));
    forward.word("connected", LIMIT);
    let find = |suffix: String| {
        let line = forward.wait_line(|line| line.ends_with(&suffix), LIMIT).unwrap();
        line.split(' ').nth(1).unwrap().parse::<SocketAddr>().unwrap()
    };
    let (web, echo) = (find(format!("-> localhost:{http}")), find(format!("-> 127.0.0.1:{}", mirror.port())));
    let used = format!("localhost:{http}");
    host.wait_line(|line| line.starts_with("ports ") && line.contains(&used), LIMIT).unwrap();

    let fetch = || program::run("curl", &["-sf", "-m", "20", &format!("http://{web}/page")]).ok();
    assert!(eventually(LIMIT, fetch).as_deref() == Some(page.as_str()));

    let large = Seeded::new(7).bytes(LARGE_BYTES);
    assert!(ask_mirror(echo, &large).unwrap() == large, "other bytes came back");

    let askers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            thread::spawn(move || {
                let bytes = Seeded::new(number as u64).bytes(SMALL_BYTES);
                ask_mirror(echo, &bytes).unwrap() == bytes
            })
        })
        .collect();
    assert!(askers.into_iter().all(|asker| asker.join().unwrap()));

    forward.terminate();
    assert!(forward.wait_exit(LIMIT).status.success());
    host.wait_line(|line| line.ends_with(" left"), LIMIT).unwrap();
}

#[test]
fn a_host_opens_no_port_that_it_was_not_told_to() {
    let bench = Bench::new();
    let spec = format!("0:localhost:{}", mirror().port());
    let (mut host, id) = bench.host(&[]);
    assert_helpful_failure(&bench.refused(&id, PASSWORD, &[&spec]), &["--ports own"]);
    host.kill();

    let (host, id) = bench.host(&["--ports", "own"]);
    assert_helpful_failure(&bench.refused(&id, "wrong-horse-battery", &[&spec]), &["password is wrong"]);
    for other in ["192.0.2.1", "0.0.0.0", "2130706433", "[::ffff:192.0.2.1]", "localhost.localdomain"] {
        let ended = bench.refused(&id, PASSWORD, &[&format!("0:{other}:80")]);
        assert_helpful_failure(&ended, &["only ports of its own"]);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let spec = format!("{}:localhost:80", taken.port());
    assert_helpful_failure(&bench.refused(&id, PASSWORD, &[&spec]), &["another program has port"]);
    drop(host);
}

#[test]
fn where_nothing_listens_a_connection_is_reset_and_the_next_one_tried() {
    let bench = Bench::new();
    let (_host, id) = bench.host(&["--ports", "any"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let forward = bench.forward(&id, PASSWORD, &[&format!("0:localhost:{port}")]);
    let at = local(&forward);
    let refused = TcpStream::connect(at).and_then(|mut socket| socket.read(&mut [0]));
    assert!(refused.is_err(), "{refused:?}");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut asker = TcpStream::connect(at).unwrap();
    let (mut service, _) = listener.accept().unwrap();
    service.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    asker.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

#[test]
fn somebody_at_the_host_is_asked_once_and_their_word_holds() {
    let bench = Bench::new();
    let answers = bench.dir.path().join("answers");
    program::run("mkfifo", &[&answers]).unwrap();
    let gui = bench.gui("host");
    let mut command = Command::new("sh");
    // Opened for both, so that it does not wait for who answers.
    command.args(["-c", "exec \"$@\" <>\"$ANSWERS\"", "sh"]).arg(gui.get_program()).args(gui.get_args());
    command
        .args(["server", "--password", PASSWORD, "--ports", "ask"])
        .env("ANSWERS", &answers)
        .env_remove("DISPLAY");
    let host = Program::start("host", &mut command);
    let id = host.word("id", LIMIT);
    let mut answers = File::options().write(true).open(&answers).unwrap();

    let mirror = mirror();
    let specs = [format!("0:localhost:{}", mirror.port()), format!("0:127.0.0.1:{}", mirror.port())];
    let forward = bench.forward(&id, PASSWORD, &specs.each_ref().map(String::as_str));
    let question = host.wait_line(|line| line.starts_with("ask ") && line.contains("wants to reach"), LIMIT);
    assert!(question.unwrap().ends_with("allow or deny?"));
    writeln!(answers, "allow").unwrap();
    assert_eq!(ask_mirror(local(&forward), b"abc").unwrap(), b"abc");
    let lines = |word: &str| {
        let lines = forward.lines_of(program::Stream::Out);
        lines.iter().filter(|line| line.starts_with(word)).count()
    };
    assert!(eventually(LIMIT, || (lines("forwarding") == 2).then_some(())).is_some(), "{forward:?}");
    let asked = host.lines_of(program::Stream::Out).iter().filter(|line| line.starts_with("ask ")).count();
    assert_eq!(asked, 1, "{host:?}");
    drop(forward);

    let mark = host.lines_so_far();
    let answering = thread::spawn(move || {
        host.wait_line_after(mark, |line| line.starts_with("ask "), LIMIT).unwrap();
        writeln!(answers, "deny").unwrap();
        // Held until the refusal has come.
        (host, answers)
    });
    let ended = bench.refused(&id, PASSWORD, &["0:192.0.2.1:80"]);
    assert_helpful_failure(&ended, &["did not allow it"]);
    answering.join().unwrap();
}

#[test]
fn a_forward_is_back_after_its_session_was_cut() {
    let bench = Bench::new();
    let mut command = bench.gui("host");
    command.args(["server", "--password", PASSWORD, "--ports", "own", "--listen", "127.0.0.1:0"]);
    let host = Program::start("host", &mut command);
    let wire = Wire::new(host.word("listening", LIMIT).parse().unwrap());
    let mirror = mirror();
    let forward = bench.forward(&wire.at.to_string(), PASSWORD, &[&format!("0:localhost:{}", mirror.port())]);
    let at = local(&forward);
    assert_eq!(ask_mirror(at, b"before").unwrap(), b"before");

    // What was under way is reset: it must not look complete.
    let mut cut = TcpStream::connect(at).unwrap();
    cut.write_all(b"half a").unwrap();
    wire.is_cut.store(true, Ordering::Relaxed);
    thread::sleep(CUT);
    wire.is_cut.store(false, Ordering::Relaxed);
    cut.set_read_timeout(Some(LIMIT)).unwrap();
    let ended = cut.read(&mut [0]);
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    let again = eventually(LIMIT, || ask_mirror(at, b"after").ok());
    assert_eq!(again.as_deref(), Some(&b"after"[..]), "{forward:?}");
}

/// `cargo test -p tagio-gui --test e2e_forward -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute"]
fn a_gibibyte_each_way() {
    let Some(web) = web::Web::start() else { return };
    let bench = Bench::new();
    let (_host, id) = bench.host(&["--ports", "own"]);
    let forward = bench.forward(&id, PASSWORD, &[&format!("0:localhost:{}", web.port)]);
    web.transfer_a_gibibyte(&[], &local(&forward).to_string());
}

/// A wire to a host that can be cut.
struct Wire {
    at: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    fn new(host: SocketAddr) -> Self {
        let [front, back] = [(); 2].map(|()| Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
        let (at, is_cut) = (front.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let viewer = Arc::new(Mutex::new(None));
        let (known, to_host) = (Arc::clone(&viewer), Arc::clone(&back));
        carry(&front, &is_cut, move |datagram, from| {
            *known.lock().unwrap() = Some(from);
            to_host.send_to(datagram, host).ok();
        });
        let to_viewer = Arc::clone(&front);
        carry(&back, &is_cut, move |datagram, _| {
            if let Some(viewer) = *viewer.lock().unwrap() {
                to_viewer.send_to(datagram, viewer).ok();
            }
        });
        Self { at, is_cut }
    }
}

/// Hands on what comes, unless the wire is cut.
fn carry(from: &Arc<UdpSocket>, is_cut: &Arc<AtomicBool>, send: impl Fn(&[u8], SocketAddr) + Send + 'static) {
    let (from, is_cut) = (Arc::clone(from), Arc::clone(is_cut));
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((len, sender)) = from.recv_from(&mut buffer) {
            if !is_cut.load(Ordering::Relaxed) {
                send(&buffer[..len], sender);
            }
        }
    });
}
