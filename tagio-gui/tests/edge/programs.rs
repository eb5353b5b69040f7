//! Programs that nobody here wrote, through a POP and a node: a name server, ssh, iperf3.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use tagio_testkit::{
    TempDir, eventually,
    program::{self, Program},
    skipped, wait_until,
};

use super::parts::{LIMIT, LOCAL_TOO, Pop, free_port, pattern};

/// The first of these that is installed.
fn installed(programs: &[&'static str], package: &str) -> Option<&'static str> {
    let found = programs.iter().find(|program| Path::new(program).exists()).copied();
    if found.is_none() {
        skipped(&format!("the Debian package {package} is missing"));
    }
    found
}

#[test]
fn a_name_server_answers_by_datagrams_and_by_tcp_and_flows_end_by_silence() {
    let Some(dnsmasq) = installed(&["/usr/sbin/dnsmasq"], "dnsmasq-base") else { return };
    let port = free_port();
    let mut server = Command::new(dnsmasq);
    server.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file=",
    ]);
    server.args(["--listen-address=127.0.0.1", "--bind-interfaces", &format!("--port={port}")]);
    let server = Program::start("dnsmasq", server.arg("--address=/tagio.test/192.0.2.7"));
    let listens = eventually(LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listens.is_some(), "{server:?}");

    let pop = Pop::without_password();
    pop.set_limits("edge-udp-secs = 1");
    let _relay = pop.relay();
    let _node = pop.node(&[&LOCAL_TOO[..], &["--udp-timeout", "1"]].concat());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/dns.py");
    let mut client = Command::new("python3");
    // Longer than both silences: the second question opens a new flow.
    client.args([script, &pop.socks.to_string(), &port.to_string(), "www.tagio.test", "4"]);
    let mut client = Program::start("dns.py", &mut client);
    assert_eq!(client.word("udp", LIMIT), "192.0.2.7");
    wait_until("the flow ends by silence", LIMIT, || pop.metric("tagio_edge_sessions") == 0);
    assert_eq!(client.lines_so_far(), 1, "while its user is still there");
    assert_eq!(client.word("again", LIMIT), "192.0.2.7");
    assert_eq!(client.word("tcp", LIMIT), "192.0.2.7");
    assert!(client.wait_exit(LIMIT).status.success());
    assert_eq!(pop.metric("tagio_edge_sessions_total"), 3);
    pop.wait_metric("tagio_edge_sessions", 0);
}

#[test]
fn ssh_runs_a_command_and_moves_bytes_both_ways() {
    let Some(sshd) = installed(&["/usr/sbin/sshd"], "openssh-server") else { return };
    let Some(nc) = installed(&["/bin/nc.openbsd", "/usr/bin/nc.openbsd"], "netcat-openbsd") else { return };
    let (dir, port) = (TempDir::new(), free_port());
    let root = dir.path();
    for key in ["host", "user"] {
        let file = root.join(key);
        program::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", file.to_str().unwrap()]).unwrap();
    }
    // Where root's server puts its helper processes; only root needs it.
    let _ = fs::create_dir_all("/run/sshd");
    let shown = root.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    );
    let file = root.join("sshd_config");
    fs::write(&file, config).unwrap();
    let server = Program::start("sshd", Command::new(sshd).args(["-D", "-e", "-f"]).arg(&file));
    let listens = eventually(LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listens.is_some(), "{server:?}");

    let pop = Pop::without_password();
    let (_relay, _node) = (pop.relay(), pop.node(&LOCAL_TOO));
    let user = program::run("id", &["-un"]).unwrap();
    let proxy = format!("ProxyCommand={nc} -X 5 -x 127.0.0.1:{} %h %p", pop.socks);
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-i"]).arg(root.join("user")).args(["-p", &port.to_string(), "-o", &proxy]);
    ssh.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "LogLevel=ERROR",
    ]);
    ssh.args([&format!("{}@127.0.0.1", user.trim()), "cat; exit 7"]);
    let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let sent = pattern(4 << 20, 3);
    let (mut stdin, mut stdout) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stdin.write_all(&sent).unwrap();
            drop(stdin);
        });
        stdout.read_to_end(&mut got).unwrap();
    });
    assert!(got == sent, "{} of {} bytes {server:?}", got.len(), sent.len());
    assert_eq!(ssh.wait().unwrap().code(), Some(7));
    pop.wait_metric("tagio_edge_sessions", 0);
}

/// `cargo test -p tagio-gui --test e2e_edge -- --ignored --nocapture iperf3`
#[test]
#[ignore = "measures for half a minute"]
fn iperf3_measures_a_way_through_a_node() {
    let Some(iperf3) = installed(&["/usr/bin/iperf3"], "iperf3") else { return };
    let Some(nc) = installed(&["/bin/nc.openbsd", "/usr/bin/nc.openbsd"], "netcat-openbsd") else { return };
    let (port, door) = (free_port(), free_port());
    let server = Program::start(
        "iperf3 -s",
        Command::new(iperf3).args(["-s", "-B", "127.0.0.1", "--forceflush", "-p", &port.to_string()]),
    );
    server.wait_line(|line| line.contains("listening"), LIMIT).unwrap();
    let pop = Pop::without_password();
    let (_relay, _node) = (pop.relay(), pop.node(&LOCAL_TOO));
    // It speaks no SOCKS: a connection to this door goes on by netcat, which does.
    let forward = format!("EXEC:{nc} -X 5 -x 127.0.0.1\\:{} 127.0.0.1 {port}", pop.socks);
    let door_listens = format!("TCP-LISTEN:{door},bind=127.0.0.1,reuseaddr,fork");
    let _forwarder = Program::start("socat", Command::new("socat").args([&door_listens, &forward]));
    wait_until("the door is open", LIMIT, || TcpListener::bind(("127.0.0.1", door)).is_err());
    for (name, more) in
        [("up", &[][..]), ("down", &["-R"]), ("up, 8 streams", &["-P", "8"]), ("down, 8", &["-R", "-P", "8"])]
    {
        let usual = ["-c", "127.0.0.1", "-p", &door.to_string(), "-t", "5", "-f", "g"];
        let report = program::run(iperf3, &[&usual[..], more].concat()).unwrap();
        let sum = report.lines().rfind(|line| line.contains("receiver")).unwrap_or(&report);
        eprintln!("{name}: {sum}");
        assert!(sum.contains("Gbits/sec"), "{report}");
    }
}
