//! Programs that others wrote, through a reverse tunnel of both real programs: nginx with HTTP/2, WebSocket, OpenSSH,
//! iperf3, DNS and wrk.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod tunnels;

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use tagio_testkit::{TempDir, program, program::Program, skipped};
use tunnels::{LIMIT, Relay, free_port, nginx::Nginx, pattern, programs, wait_port};

/// Debian's, which has the package python3-websockets.
const PYTHON: &str = "/usr/bin/python3";

/// The last number of this name in a JSON document.
fn last_number(json: &str, name: &str) -> f64 {
    let (_, rest) = json.rsplit_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name}: {json}"));
    rest.split([',', '}', '\n']).next().unwrap().trim().parse().unwrap()
}

#[test]
fn nginx_is_reached_by_tls_name_with_http_2_and_nobody_in_between_reads_it() {
    let Some([nginx, curl, _]) = programs(["nginx", "curl", "openssl"]) else { return };
    let page = pattern(3 << 20);
    let service = Nginx::start(&nginx, &page);
    let relay = Relay::start();
    let (_tunnel, public) = relay.tunnel(service.https, &["--hostname", "app"]);
    assert_eq!(public, format!("app.tunnel.test:{}", relay.ingress));
    let (cert, got) = (service.file("cert.pem"), service.file("got"));
    let ask = |name: &str, more: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["-sS", "-m", "20", "--http2", "-w", "%{http_version} %{http_code}\\n", "--cacert"]);
        command.arg(&cert).args(["--resolve", &format!("{name}:{}:127.0.0.1", relay.ingress)]).args(more);
        command.output().unwrap()
    };
    let url = |name: &str, file: &str| format!("https://{name}:{}/{file}", relay.ingress);
    let page_url = url("app.tunnel.test", "page");
    let answer = ask("app.tunnel.test", &["-o", got.to_str().unwrap(), &page_url]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "2 200\n", "{answer:?}");
    assert!(fs::read(&got).unwrap() == page);
    // Twenty requests at once in one connection.
    let many = format!("{}?[1-20]", url("app.tunnel.test", "page"));
    let answer = ask("app.tunnel.test", &["--parallel", "-o", "/dev/null", &many]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "2 200\n".repeat(20), "{answer:?}");
    // An upload, and what was uploaded.
    let upload = service.file("upload");
    fs::write(&upload, pattern(1 << 20)).unwrap();
    let target = url("app.tunnel.test", "uploaded");
    let answer = ask("app.tunnel.test", &["-T", upload.to_str().unwrap(), &target]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "2 201\n", "{answer:?}");
    assert!(fs::read(service.file("files/uploaded")).unwrap() == fs::read(&upload).unwrap());
    // A name that no tunnel has gets no handshake.
    let answer = ask("other.tunnel.test", &[&url("other.tunnel.test", "page")]);
    assert!(!answer.status.success(), "{answer:?}");
}

#[test]
fn nginx_is_reached_by_name_with_http_1_1() {
    let Some([nginx, curl, wrk, _]) = programs(["nginx", "curl", "wrk", "openssl"]) else { return };
    let page = pattern(3 << 20);
    let service = Nginx::start(&nginx, &page);
    let relay = Relay::start();
    let (_tunnel, _) = relay.tunnel(service.http, &["--hostname", "app", "--forwarded"]);
    let (got, upload) = (service.file("got"), service.file("upload"));
    fs::write(&upload, pattern(2 << 20)).unwrap();
    let ask = |more: &[&str]| {
        let mut command = Command::new(&curl);
        command.args([
            "-sS",
            "-m",
            "20",
            "-H",
            "Host: app.tunnel.test",
            "-w",
            "%{http_version} %{http_code}",
        ]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{more:?} {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let url = |file: &str| format!("http://127.0.0.1:{}/{file}", relay.ingress);
    assert_eq!(ask(&["-o", got.to_str().unwrap(), &url("page")]), "1.1 200");
    assert!(fs::read(&got).unwrap() == page);
    // curl waits for `100 Continue` before it sends so much.
    assert_eq!(ask(&["-T", upload.to_str().unwrap(), &url("uploaded")]), "1.1 201");
    assert!(fs::read(service.file("files/uploaded")).unwrap() == fs::read(&upload).unwrap());
    let chunked = ["-H", "Transfer-Encoding: chunked", "-T", upload.to_str().unwrap(), &url("chunked")];
    assert_eq!(ask(&chunked), "1.1 201");
    assert!(fs::read(service.file("files/chunked")).unwrap() == fs::read(&upload).unwrap());
    assert_eq!(ask(&["-r", "100-199", "-o", got.to_str().unwrap(), &url("page")]), "1.1 206");
    assert_eq!(fs::read(&got).unwrap(), page[100..200]);
    let head = ask(&["-I", &url("page")]);
    assert!(head.to_lowercase().contains(&format!("content-length: {}", page.len())), "{head}");
    assert_eq!(ask(&["--http2", &url("word")]), "hello1.1 200", "an upgrade that nginx does not take");
    for kept in [&[] as &[&str], &["-H", "Connection: close"]] {
        let mut command = Command::new(&wrk);
        command.args(["-t", "1", "-c", "16", "-d", "1s", "-H", "Host: app.tunnel.test"]).args(kept);
        let output = command.arg(url("word")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("requests in") && !text.contains(" 0 requests in"), "{text}");
        assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    }
}

#[test]
fn a_websocket_is_open_both_ways_until_either_closes_it() {
    if program::run(PYTHON, &["-c", "import websockets"]).is_err() {
        return skipped("the Debian package python3-websockets is missing");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tunnels/websocket.py");
    let local = free_port();
    let mut command = Command::new(PYTHON);
    command.args([script, "serve", &local.to_string()]);
    let service = Program::start("websocket.py", &mut command);
    service.word("serving", LIMIT);
    let relay = Relay::start();
    for (word, more) in [
        ("plain", &["--carrier", "tcp"][..]),
        ("rewritten", &["--forwarded", "--host-header", "localhost"][..]),
        ("inspected", &["--inspect", "127.0.0.1:0"][..]),
    ] {
        let (_tunnel, public) = relay.tunnel(local, &[&["--hostname", word][..], more].concat());
        let (name, port) = public.split_once(':').unwrap();
        let talked = program::run(PYTHON, &[script, "talk", name, port]);
        assert_eq!(talked.unwrap(), "4001 as you like\n", "{word}");
    }
}

#[test]
fn ssh_and_scp_by_a_port_of_their_own() {
    let Some([sshd, ssh, scp, keygen]) = programs(["sshd", "ssh", "scp", "ssh-keygen"]) else { return };
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for key in ["host", "user"] {
        let made = Command::new(&keygen).args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).status();
        assert!(made.unwrap().success());
    }
    let local = free_port();
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {local}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
        path("host"),
        path("user.pub"),
    );
    fs::write(path("sshd_config"), config).unwrap();
    let user = program::run("id", &["-un"]).unwrap().trim().to_owned();
    if user == "root" {
        // It insists on this folder, which its service unit makes.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let mut command = Command::new(&sshd);
    command.args(["-D", "-e", "-f", &path("sshd_config")]);
    let service = Program::start("sshd", &mut command);
    wait_port(local, &service);

    let relay = Relay::start();
    let port = relay.port.to_string();
    let (_tunnel, public) = relay.tunnel(local, &["--remote-port", &port]);
    assert_eq!(public, format!("127.0.0.1:{port}"));
    let known = format!("UserKnownHostsFile={}", path("known"));
    let key = path("user");
    let options = ["-F", "none", "-i", &key, "-o", &known, "-o", "BatchMode=yes"];
    let options = [&options[..], &["-o", "StrictHostKeyChecking=accept-new"]].concat();
    let (sent, host) = (path("sent"), format!("{user}@127.0.0.1"));
    fs::write(&sent, pattern(4 << 20)).unwrap();
    // `cat` ends when the end of its input has come through.
    let mut command = Command::new(&ssh);
    command.args(&options).args(["-p", &port, &host, "cat"]);
    let echoed = command.stdin(Stdio::from(File::open(&sent).unwrap())).output().unwrap();
    assert!(echoed.status.success(), "{}\n{service:?}", String::from_utf8_lossy(&echoed.stderr));
    assert!(echoed.stdout == fs::read(&sent).unwrap());
    let copy = |from: &str, to: &str| {
        let output = Command::new(&scp).args(&options).args(["-q", "-P", &port, from, to]).output().unwrap();
        assert!(output.status.success(), "{}\n{service:?}", String::from_utf8_lossy(&output.stderr));
    };
    copy(&sent, &format!("{host}:{}", path("there")));
    copy(&format!("{host}:{}", path("there")), &path("back"));
    assert!(fs::read(path("back")).unwrap() == fs::read(&sent).unwrap());
}

#[test]
fn iperf3_by_tcp_and_udp_ports_of_one_number() {
    let Some([iperf3]) = programs(["iperf3"]) else { return };
    let local = free_port();
    let mut command = Command::new(&iperf3);
    command.args(["-s", "--forceflush", "-B", "127.0.0.1", "-p", &local.to_string()]);
    let service = Program::start("iperf3", &mut command);
    let relay = Relay::start();
    let port = relay.port.to_string();
    let measure = |number: usize, more: &[&str]| {
        // The service listens anew for each test, and resets whoever calls in between.
        let ready = format!("(test #{number})");
        service
            .wait_line(|line| line.starts_with("Server listening") && line.ends_with(&ready), LIMIT)
            .unwrap();
        let mut command = Command::new(&iperf3);
        let output = command.args(["-J", "-c", "127.0.0.1", "-p", &port]).args(more).output().unwrap();
        let json = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{more:?} {json} {service:?}");
        json
    };
    let (_tcp, _) = relay.tunnel(local, &["--remote-port", &port]);
    // What it measures by UDP is agreed upon by TCP.
    let (_udp, _) = relay.tunnel(local, &["--remote-port", &port, "--udp"]);
    for (first, direction) in [(1, &[] as &[&str]), (3, &["-R"])] {
        // The last `bytes` are those that were received, by all four.
        let json = measure(first, &[&["-t", "1", "-P", "4"], direction].concat());
        assert!(last_number(&json, "bytes") >= f64::from(8 << 20), "{json}");
        let json = measure(
            first + 1,
            &[&["-u", "-b", "8M", "-l", "1200", "-t", "1", "-P", "2"], direction].concat(),
        );
        assert!(last_number(&json, "packets") > 100.0, "{json}");
        assert!(last_number(&json, "lost_percent") < 10.0, "{json}");
    }
}

#[test]
fn names_are_resolved_by_a_udp_port() {
    let Some([dnsmasq, dig]) = programs(["dnsmasq", "dig"]) else { return };
    let (dir, local) = (TempDir::new(), free_port());
    let user = program::run("id", &["-un"]).unwrap();
    let long = ["a", "b", "c", "d"].map(|letter| letter.repeat(250)).join(",");
    let mut command = Command::new(&dnsmasq);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"]);
    command.args([format!("--port={local}"), format!("--user={}", user.trim())]);
    command.arg(format!("--pid-file={}", dir.path().join("pid").display()));
    command.args(["--address=/host.tunnel.test/192.0.2.7", &format!("--txt-record=long.tunnel.test,{long}")]);
    let service = Program::start("dnsmasq", &mut command);
    wait_port(local, &service);
    let relay = Relay::start();
    let port = relay.port.to_string();
    let (_udp, _) = relay.tunnel(local, &["--remote-port", &port, "--udp"]);
    let (_tcp, _) = relay.tunnel(local, &["--remote-port", &port]);
    let names = dir.path().join("names");
    fs::write(&names, (1..=100).map(|number| format!("{number}.host.tunnel.test\n")).collect::<String>())
        .unwrap();
    let ask = |more: &[&str]| {
        let usual = ["@127.0.0.1", "-p", &port, "+short", "+tries=5", "+time=3"];
        program::run(dig.to_str().unwrap(), &[&usual[..], more].concat()).unwrap()
    };
    assert_eq!(ask(&["-f", names.to_str().unwrap()]), "192.0.2.7\n".repeat(100), "{service:?}");
    for way in ["+notcp", "+tcp"] {
        let text = ask(&[way, "+bufsize=1232", "long.tunnel.test", "TXT"]);
        assert_eq!(text.matches(|letter: char| letter.is_ascii_lowercase()).count(), 1000, "{way} {text}");
    }
}
