//! The relay's program, which may be killed and started again.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tagio_wire::PublicKey;
use tempfile::TempDir;

/// The kernel's unit of processor time.
const TICKS_PER_SECOND: f64 = 100.0;

/// See the module.
pub(crate) struct Relay {
    child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) key: PublicKey,
    config: PathBuf,
    dir: TempDir,
}

impl Relay {
    /// On a free port, with the defaults but for `limits`.
    pub(crate) fn start(limits: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relay.toml");
        fs::write(&config, format!("metrics-bind = \"off\"\nstun-port = 0\n[limits]\n{limits}")).unwrap();
        let (child, addr, key) = spawn(&config, dir.path(), "127.0.0.1:0");
        Self { child, addr, key, config, dir }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port, after a kill.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.addr, self.key) = spawn(&self.config, self.dir.path(), &self.addr.to_string());
    }

    /// Processor time since its start, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // proc(5). Behind the program's name, which may hold spaces: utime and stime are the 14th and 15th of all.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / TICKS_PER_SECOND
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path, dir: &Path, bind: &str) -> (Child, SocketAddr, PublicKey) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagio_relay_server"));
    command.arg("--config").arg(config).arg("--data-dir").arg(dir).args(["--bind", bind]);
    for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET"] {
        command.env_remove(variable);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    let ["listening", addr, "key", key] = words[..] else { panic!("it does not serve: {line:?}") };
    (child, addr.parse().unwrap(), key.parse().unwrap())
}
