//! A relay with a forward tunnel to this machine, and `tagio-gui proxy` with both doors.

use std::{process::Command, time::Duration};

use tagio_testkit::{TempDir, binaries, program::Program};

use crate::web::free_port;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// A tunnel that was cut off has to be back after this.
pub(crate) const BACK: Duration = Duration::from_secs(5);
pub(crate) const TOKEN: &str = "open sesame";

/// See the module.
pub(crate) struct Lab {
    pub(crate) client: Program,
    /// Addresses of the doors.
    pub(crate) socks5: String,
    pub(crate) http: String,
    pub(crate) relay: Program,
    arguments: Vec<String>,
    port: u16,
    relay_dir: TempDir,
    gui_dir: TempDir,
}

impl Lab {
    pub(crate) fn start() -> Self {
        let (relay_dir, gui_dir, port) = (TempDir::new(), TempDir::new(), free_port());
        let (relay, pin) = relay(&relay_dir, port);
        let (socks5, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let server = format!("127.0.0.1:{port}");
        let arguments =
            ["--server", &server, "--token", TOKEN, "--pin", &pin, "--socks5", &socks5, "--http", &http];
        let arguments = arguments.map(str::to_owned).to_vec();
        let client = gui(&gui_dir, &arguments);
        client.word("tunnel", LIMIT);
        Self { client, socks5, http, relay, arguments, port, relay_dir, gui_dir }
    }

    /// Without a word, and another one in its place.
    pub(crate) fn replace_relay(&mut self) {
        self.relay.kill();
        self.relay = relay(&self.relay_dir, self.port).0;
    }

    /// Without a word, and another one in its place.
    pub(crate) fn replace_client(&mut self) {
        self.client.kill();
        self.client = gui(&self.gui_dir, &self.arguments);
    }
}

/// A relay with a forward tunnel to this machine, and its certificate's fingerprint.
pub(crate) fn relay(dir: &TempDir, port: u16) -> (Program, String) {
    let mut command = relay_command(dir, port);
    command.args(["--forward-allow", "127.0.0.1"]);
    let relay = Program::start("relay", &mut command);
    let pin = pin(&relay);
    (relay, pin)
}

/// A relay whose forward tunnel leads to public addresses only.
pub(crate) fn relay_command(dir: &TempDir, port: u16) -> Command {
    let mut command = Command::new(binaries::relay_server());
    command.env("TAGIO_DATA_DIR", dir.path()).env("TAGIO_FORWARD", format!("token:{TOKEN}"));
    command.args(["-b", &format!("127.0.0.1:{port}"), "--metrics-bind", "off"]);
    command
}

pub(crate) fn pin(relay: &Program) -> String {
    relay.word("forward", LIMIT).rsplit(' ').next().unwrap().to_owned()
}

pub(crate) fn gui(dir: &TempDir, arguments: &[impl AsRef<str>]) -> Program {
    Program::start("proxy", &mut gui_command(dir, arguments))
}

pub(crate) fn gui_command(dir: &TempDir, arguments: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(binaries::gui());
    command.env("TAGIO_DATA_DIR", dir.path()).arg("proxy").args(arguments.iter().map(AsRef::as_ref));
    command
}
