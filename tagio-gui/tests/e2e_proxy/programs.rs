//! Programs that others wrote, through the tunnel.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use tagio_testkit::{Program, Seeded, TempDir, eventually, program::run, skipped};

use crate::{
    lab::{BACK, LIMIT, Lab},
    web::{Web, free_port},
};

/// For transfers on a busy machine.
const LONG: &str = "120";
const BYTES: usize = 4 << 20;

/// Whether all of them are installed; says so where they are not.
fn are_there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|name| run("sh", &["-c", &format!("command -v {name}")]).is_err());
    if let Some(name) = missing {
        skipped(&format!("{name} is missing; scripts/setup.sh installs it"));
    }
    missing.is_none()
}

#[test]
fn ssh_goes_through_socks() {
    if !are_there(&["/usr/sbin/sshd", "ssh", "nc"]) {
        return;
    }
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for key in ["host", "user"] {
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).unwrap();
    }
    let port = free_port();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPasswordAuthentication no\nUsePAM no\n\
         StrictModes no\nPidFile none\n",
        path("host"),
        path("user.pub"),
    );
    fs::write(dir.path().join("config"), config).unwrap();
    // Its folder, which the system's own service would make; where that is not allowed, it is not wanted either.
    let _ = fs::create_dir("/run/sshd");
    let sshd =
        Program::start("sshd", Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &path("config")]));
    let lab = Lab::start();

    let bytes = Seeded::new(7).bytes(BYTES);
    fs::write(dir.path().join("said"), &bytes).unwrap();
    let name = run("id", &["-un"]).unwrap();
    let proxy = format!("ProxyCommand=nc -X 5 -x {} %h %p", lab.socks5);
    let echo = || {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-i", &path("user"), "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", &proxy]);
        ssh.args(["-p", &port.to_string(), &format!("{}@localhost", name.trim()), "cat"]);
        ssh.stdin(File::open(dir.path().join("said")).unwrap()).stderr(Stdio::inherit());
        let output = ssh.output().unwrap();
        output.status.success().then_some(output.stdout)
    };
    let heard = eventually(LIMIT, echo);
    assert!(heard.as_deref() == Some(&bytes[..]), "{sshd:?} {:?}", lab.client);
}

#[test]
fn http_2_goes_through_connect_and_large_files_both_ways() {
    let Some(web) = Web::start() else { return };
    let lab = Lab::start();
    let bytes = Seeded::new(8).bytes(BYTES);
    fs::write(web.file("page"), &bytes).unwrap();
    let dir = TempDir::new();
    let (got, version) = (dir.path().join("got"), "%{http_version} %{response_code}");
    let curl = |more: &[&str]| {
        let usual = ["-sSk", "-m", LONG, "--noproxy", "", "--http2", "-w", version];
        run("curl", &[&usual[..], more].concat()).unwrap()
    };
    let http = format!("http://{}", lab.http);
    let url = format!("https://localhost:{}", web.tls_port);
    let got_path = got.display().to_string();
    let page = curl(&["--proxy", &http, "-o", &got_path, &format!("{url}/page")]);
    assert_eq!(page, "2 200");
    assert!(fs::read(&got).unwrap() == bytes);
    // Sixteen of them on one connection, and one up.
    let many = format!("{url}/page?[1-16]");
    let socks = format!("socks5h://{}", lab.socks5);
    let pages = curl(&["--proxy", &socks, "--parallel", "--parallel-max", "16", "-o", "/dev/null", &many]);
    assert_eq!(pages, "2 200".repeat(16));
    let put = curl(&["--proxy", &http, "-T", &got_path, &format!("{url}/put")]);
    assert_eq!(put, "2 201");
    assert!(fs::read(web.file("put")).unwrap() == bytes);
}

#[test]
fn a_name_server_answers_by_socks() {
    if !are_there(&["dnsmasq", "python3"]) {
        return;
    }
    let port = free_port();
    let mut command = Command::new("dnsmasq");
    command.args([
        "-k",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file",
        "--log-facility=-",
    ]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--address=/tagio.test/192.0.2.7"]);
    command.arg(format!("--port={port}"));
    // It would become somebody else, which is not everybody's right.
    command.arg(format!("--user={}", run("id", &["-un"]).unwrap().trim()));
    let dnsmasq = Program::start("dnsmasq", &mut command);
    let lab = Lab::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e_proxy/dns.py");
    let script = script.display().to_string();
    let asked = run("timeout", &["60", "python3", &script, &lab.socks5, &port.to_string()]);
    assert_eq!(asked.unwrap(), "ok\n", "{dnsmasq:?} {:?}", lab.client);
}

#[test]
fn whoever_of_the_two_is_killed_and_started_again_serves_at_once() {
    let Some(web) = Web::start() else { return };
    let mut lab = Lab::start();
    // More than everything that may be under way holds.
    fs::write(web.file("large"), vec![7; 64 << 20]).unwrap();
    fs::write(web.file("page"), "a page").unwrap();
    let proxy = format!("socks5h://{}", lab.socks5);
    let url = |name: &str| format!("http://localhost:{}/{name}", web.port);
    let mut slow = Command::new("curl");
    slow.args(["-s", "--noproxy", "", "--limit-rate", "100k", "--proxy", &proxy, "-o", "/dev/null"]);
    slow.args(["-w", "%{size_download}", &url("large")]);
    let mut slow = Program::start("curl", &mut slow);
    let page = || run("curl", &["-sf", "-m", "10", "--noproxy", "", "--proxy", &proxy, &url("page")]).ok();
    assert_eq!(eventually(LIMIT, page).as_deref(), Some("a page"));
    lab.replace_client();
    // What was under way does not look complete.
    assert!(!slow.wait_exit(LIMIT).status.success());
    let back = |who: &str| {
        let since = Instant::now();
        assert_eq!(eventually(LIMIT, page).as_deref(), Some("a page"), "{who}");
        assert!(since.elapsed() < BACK, "{who} {:?}", since.elapsed());
    };
    back("client");
    lab.replace_relay();
    back("relay");
}
