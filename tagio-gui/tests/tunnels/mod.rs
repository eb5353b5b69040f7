//! Both programs with a reverse tunnel between them.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

pub(crate) mod nginx;

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tagio_testkit::{TempDir, binaries, eventually, program, program::Program, skipped};

/// For one step on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// A tunnel that was cut off has to be back after this.
pub(crate) const BACK: Duration = Duration::from_secs(5);
/// What a client can be told to travel in.
pub(crate) const CARRIERS: [&str; 3] = ["quic", "tls", "tcp"];
pub(crate) const TOKEN: &str = "open sesame";

/// A relay with tunnels, which may be killed and started again at the same ports.
pub(crate) struct Relay {
    pub(crate) program: Program,
    pub(crate) control: u16,
    pub(crate) ingress: u16,
    /// The only one that a tunnel may have for itself, by TCP and by UDP.
    pub(crate) port: u16,
    dir: TempDir,
    client_dir: TempDir,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let [control, ingress, port] = [free_port(), free_port(), free_port()];
        let dir = TempDir::new();
        let program = start(&dir, control, ingress, port);
        Self { program, control, ingress, port, dir, client_dir: TempDir::new() }
    }

    /// As after a crash.
    pub(crate) fn kill_and_restart(&mut self) {
        self.program.kill();
        self.program = start(&self.dir, self.control, self.ingress, self.port);
    }

    /// A client for one local service, and where its visitors come.
    pub(crate) fn tunnel(&self, local: u16, more: &[&str]) -> (Program, String) {
        let tunnel = self.client(TOKEN, local, more);
        let forwarding = tunnel.word("forwarding", LIMIT);
        let (public, target) = forwarding.split_once(" -> ").unwrap();
        assert_eq!(target, format!("127.0.0.1:{local}"));
        (tunnel, public.to_owned())
    }

    pub(crate) fn client(&self, token: &str, local: u16, more: &[&str]) -> Program {
        self.start_client(Command::new(binaries::gui()), token, local, more)
    }

    /// A client that is given so few open files at first, as by a shell.
    pub(crate) fn tunnel_with_few_files(&self, files: u32, local: u16, more: &[&str]) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -Sn {files}; exec \"$0\" \"$@\"")]).arg(binaries::gui());
        let tunnel = self.start_client(command, TOKEN, local, more);
        tunnel.word("forwarding", LIMIT);
        tunnel
    }

    fn start_client(&self, mut command: Command, token: &str, local: u16, more: &[&str]) -> Program {
        command.env("TAGIO_DATA_DIR", self.client_dir.path());
        command.args(["tunnel", "--server", &format!("127.0.0.1:{}", self.control), "--token", token]);
        command.args(["--local-port", &local.to_string()]).args(more);
        Program::start("tunnel", &mut command)
    }
}

fn start(dir: &TempDir, control: u16, ingress: u16, port: u16) -> Program {
    let [control, ingress] = [control, ingress].map(|port| format!("127.0.0.1:{port}"));
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", dir.path()).env_remove("PORT");
    command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off", "--tunnel-token", TOKEN]);
    command.args(["--tunnel-control", &control, "--tunnel-ingress", &ingress]);
    command.args(["--tunnel-domain", "tunnel.test", "--tunnel-ports", &format!("{port}-{port}")]);
    let relay = Program::start("relay", &mut command);
    assert_eq!(relay.word("tunnels", LIMIT), format!("{control} ingress {ingress}"));
    relay
}

/// A port that nobody has, neither by TCP nor by UDP.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn wait_port(port: u16, service: &Program) {
    let there = eventually(LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(there.is_some(), "nothing listens on {port}\n{service:?}");
}

/// Where these programs are; the test is left out where one is missing.
pub(crate) fn programs<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let found = names.map(|name| program::find(name).ok_or(name));
    if let Some(missing) = found.iter().find_map(|found| found.as_ref().err()) {
        skipped(&format!(
            "{missing} is not installed (scripts/setup.sh does that; for sshd: scripts/setup.sh ssh)"
        ));
        return None;
    }
    Some(found.map(|found| found.expect("none is missing")))
}

/// Bytes that do not repeat soon, so that a piece in the wrong place shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let words = (0..u32::MAX).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(len).collect()
}
