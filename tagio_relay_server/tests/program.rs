//! The program as scripts see it: first line, exit status, configuration.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::carriers::tls_config;
use rcgen::generate_simple_self_signed;
use rustls::{ClientConnection, pki_types::ServerName};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Less than a draining relay gives to legs in use, and time enough for a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A command that sees nothing of this machine's settings.
fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagio_relay_server"));
    for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET"] {
        command.env_remove(variable);
    }
    command.env("TAGIO_DATA_DIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Running {
    child: Child,
    addr: SocketAddr,
    key: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let ["listening", addr, "key", key] = words[..] else { panic!("first line: {line:?}") };
        Self { addr: addr.parse().unwrap(), key: key.to_owned(), child }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// The certificate that a TLS client is shown now.
    fn certificate(&self) -> Vec<u8> {
        let name = ServerName::try_from("relay.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(tls_config().unwrap()), name).unwrap();
        let mut stream = TcpStream::connect(self.addr).unwrap();
        client.complete_io(&mut stream).unwrap();
        client.peer_certificates().unwrap()[0].to_vec()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when the test has waited for it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to the end: exit status and stderr.
fn fails(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn config_file(text: &str) -> (TempDir, std::path::PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("relay.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn the_first_line_names_address_and_key_and_sigterm_ends_it_soon() {
    let dir = tempdir().unwrap();
    let mut running =
        Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    assert_ne!(running.addr.port(), 0);
    assert_eq!(running.key.len(), 52);
    assert!(running.get("/health").starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    running.signal("-TERM");
    assert!(running.child.wait().unwrap().success());
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let again = Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    assert_eq!(again.key, running.key);
}

#[test]
fn the_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let _running = Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    let mode = fs::metadata(dir.path().join("relay.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn ipv4_and_ipv6_share_a_port_number() {
    let dir = tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (v4, v6) = (format!("0.0.0.0:{free}"), format!("[::]:{free}"));
    let _running = Running::start(program(dir.path()).args(["-b", &v4, "-b", &v6, "--metrics-bind", "off"]));
    for ip in ["127.0.0.1", "[::1]"] {
        TcpStream::connect(format!("{ip}:{free}")).unwrap();
    }
}

#[test]
fn wrong_usage_is_status_two() {
    let dir = tempdir().unwrap();
    assert_eq!(fails(program(dir.path()).arg("--no-such-flag")).0, 2);
    assert_eq!(fails(program(dir.path()).args(["--bind", "nowhere"])).0, 2);
    assert_eq!(fails(program(dir.path()).args(["--metrics-bind", "on"])).0, 2);
    assert_eq!(fails(program(dir.path()).env("PORT", "http")).0, 2);
}

#[test]
fn what_cannot_work_is_status_one_and_one_line_that_helps() {
    let dir = tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (status, text) = fails(program(dir.path()).args(["--bind", &addr]));
    assert_eq!((status, text.lines().count()), (1, 1), "{text}");
    assert!(text.contains(&addr) && text.contains("--bind"), "{text}");

    let (_dir, path) = config_file("bind = [\"127.0.0.1:0\"]\n\n[limits]\nlegs-maxx = 3\n");
    let (status, text) = fails(program(dir.path()).arg("--config").arg(&path));
    assert_eq!((status, text.lines().count()), (1, 1), "{text}");
    assert!(text.contains("legs-maxx") && text.contains("line 4"), "{text}");

    fs::write(dir.path().join("relay.key"), "short").unwrap();
    let (status, text) = fails(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    assert_eq!((status, text.lines().count()), (1, 1), "{text}");
    assert!(text.contains("relay.key"), "{text}");
}

#[test]
fn a_data_directory_serves_one_relay_at_a_time() {
    let dir = tempdir().unwrap();
    let _first = Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    let (status, text) = fails(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    assert_eq!(status, 1);
    assert!(text.contains("another relay"), "{text}");
}

#[test]
fn damaged_ids_are_status_one_and_left_for_whoever_can_mend_them() {
    let dir = tempdir().unwrap();
    drop(Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"])));
    let path = dir.path().join("relay-ids.redb");
    let good = fs::read(&path).unwrap();
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for bytes in [&garbage[..], &garbage[..10], &[0; 4096], &good[..1000]] {
        fs::write(&path, bytes).unwrap();
        let (status, text) = fails(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
        assert_eq!((status, text.lines().count()), (1, 1), "{text}");
        let helps = ["relay-ids.redb is damaged", "copy", "move it away"];
        assert!(helps.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn it_takes_as_many_open_files_as_the_system_gives() {
    let dir = tempdir().unwrap();
    let mut command = Command::new("sh");
    let relay = env!("CARGO_BIN_EXE_tagio_relay_server");
    command.args(["-c", "ulimit -Sn 256; exec \"$0\" -b 127.0.0.1:0 --metrics-bind off", relay]);
    command.env_remove("PORT").env("TAGIO_DATA_DIR", dir.path()).stdout(Stdio::piped());
    let running = Running::start(&mut command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let dir = tempdir().unwrap();
    let settings = "bind = [\"127.0.0.1:1\"]\npublic-ip = \"203.0.113.1\"\nmetrics-bind = \"off\"\n";
    let (_dir, path) = config_file(settings);
    let running = Running::start(
        program(dir.path()).arg("--config").arg(&path).env("PORT", "0").args(["-p", "203.0.113.9"]),
    );
    assert_eq!(running.addr.ip().to_string(), "0.0.0.0");
    assert!(running.get("/").contains(&format!("203.0.113.9:{}#{}", running.addr.port(), running.key)));
}

#[test]
fn sighup_does_not_end_it() {
    let dir = tempdir().unwrap();
    let (_dir, path) = config_file("bind = [\"127.0.0.1:0\"]\nmetrics-bind = \"off\"\n");
    let mut running = Running::start(program(dir.path()).arg("--config").arg(&path));
    fs::write(&path, "nonsense").unwrap();
    running.signal("-HUP");
    fs::write(&path, "[limits]\nconnections-max = 0\n").unwrap();
    let started = Instant::now();
    loop {
        running.signal("-HUP");
        std::thread::sleep(Duration::from_millis(50));
        let mut stream = TcpStream::connect(running.addr).unwrap();
        // Closed before a word is said: the new limits hold.
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        if stream.read(&mut [0; 1]).is_ok_and(|read| read == 0) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "the new limits never came");
    }
    assert!(running.child.try_wait().unwrap().is_none());
}

/// Puts a new certificate and its key into `dir`; the certificate.
fn make_certificate(dir: &Path) -> Vec<u8> {
    let made = generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().to_vec()
}

#[test]
fn the_self_signed_certificate_is_kept_and_its_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let start = || Running::start(program(dir.path()).args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]));
    let first = start().certificate();
    assert_eq!(start().certificate(), first);
    let mode = fs::metadata(dir.path().join("tls-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn sighup_takes_a_new_certificate_and_a_broken_one_leaves_the_old() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let first = make_certificate(files.path());
    let mut command = program(dir.path());
    command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]);
    command.arg("--cert").arg(files.path().join("cert.pem")).arg("--key").arg(files.path().join("key.pem"));
    let mut running = Running::start(&mut command);
    assert_eq!(running.certificate(), first);
    let log = BufReader::new(running.child.stderr.take().unwrap());
    let mut log = log.lines().map(|line| line.unwrap());
    fs::write(files.path().join("key.pem"), "no key").unwrap();
    running.signal("-HUP");
    let line = log.find(|line| line.contains("the old certificate stays")).unwrap();
    assert!(line.contains("key.pem"), "{line}");
    log.find(|line| line.contains("configuration read again")).unwrap();
    assert_eq!(running.certificate(), first);
    let second = make_certificate(files.path());
    running.signal("-HUP");
    log.find(|line| line.contains("configuration read again")).unwrap();
    assert_eq!(running.certificate(), second);
}

#[test]
fn a_certificate_that_cannot_be_used_is_status_one_and_half_of_one_is_wrong_usage() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    make_certificate(files.path());
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    assert_eq!(fails(program(dir.path()).arg("--cert").arg(&cert)).0, 2);
    let start = || {
        let mut command = program(dir.path());
        command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off"]);
        fails(command.arg("--cert").arg(&cert).arg("--key").arg(&key))
    };
    let other = generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    for wrong in [other.signing_key.serialize_pem(), "no key".to_owned()] {
        fs::write(&key, wrong).unwrap();
        let (status, text) = start();
        assert_eq!((status, text.lines().count()), (1, 1), "{text}");
        assert!(text.contains("key.pem"), "{text}");
    }
    fs::write(&cert, "no certificate").unwrap();
    let (status, text) = start();
    assert!(status == 1 && text.contains("cert.pem"), "{text}");
}

#[test]
fn log_lines_name_connection_and_request_and_no_secret() {
    let dir = tempdir().unwrap();
    let flags = ["-b", "127.0.0.1:0", "--metrics-bind", "off", "--log-format", "json", "-v"];
    let mut running = Running::start(program(dir.path()).args(flags));
    let name = "0123456789abcdef0123456789abcdef";
    let answer = running.get(&format!("/tagio/stream/{name}/0?secret=1"));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("a request's ID");
    running.signal("-TERM");
    let mut log = String::new();
    running.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(!log.contains(name) && !log.contains("secret"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let answered = lines.iter().find(|line| line["message"] == "answered").expect("a line for the answer");
    assert_eq!((answered["status"].as_u64(), answered["span"]["id"].to_string()), (Some(404), id.to_owned()));
    let spans = answered["spans"].as_array().expect("spans");
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str()).collect();
    assert_eq!(names, [Some("connection"), Some("request")], "{answered}");
}
