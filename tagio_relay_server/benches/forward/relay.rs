//! The relay's program with a forward tunnel to this machine, open to everybody.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use tempfile::TempDir;

use crate::process::Process;

/// See the module.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
    /// Of its certificate.
    pub(crate) pin: [u8; 32],
    _dir: TempDir,
}

impl Relay {
    /// On any of these cores.
    pub(crate) fn start(cores: &[usize]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let arguments = [
            &["--bind", "127.0.0.1:0", "--metrics-bind", "off"][..],
            &["--forward", "open", "--forward-allow", "127.0.0.0/8"],
            &["--data-dir", dir.path().to_str().unwrap()],
        ];
        let program = env!("CARGO_BIN_EXE_tagio_relay_server");
        let mut process = Process::start_on(cores, program, &arguments.concat());
        let line = process.line_with("forward ");
        let words: Vec<_> = line.split_whitespace().collect();
        let pin = HEXLOWER.decode(words[3].as_bytes()).unwrap();
        Self { process, addr: words[1].parse().unwrap(), pin: pin.try_into().unwrap(), _dir: dir }
    }
}
