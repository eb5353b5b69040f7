//! A relay, a host and viewers as real processes on X displays of their own.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{Picture, Program, TempDir, Xvfb, binaries, program::Ended};

/// The unattended password of hosts in tests.
pub const PASSWORD: &str = "correct-horse-battery";

/// Width and height of both displays.
pub const DISPLAY_SIZE: (u16, u16) = (1280, 800);

/// Enough for anything that works, in a debug build on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Loopback, any free port.
const ANY_PORT: &str = "127.0.0.1:0";

/// Two displays and a folder for everything that the programs write.
#[derive(Debug)]
pub struct Lab {
    dir: TempDir,
    viewers: AtomicU32,
    /// What is shared.
    pub host_display: Xvfb,
    /// Where viewers open their windows.
    pub viewer_display: Xvfb,
}

impl Lab {
    /// Both displays with a window manager. `None`, loudly, where that is not installed.
    pub fn new() -> Option<Self> {
        let (width, height) = DISPLAY_SIZE;
        let host_display = Xvfb::start(width, height)?.with_window_manager()?;
        let viewer_display = Xvfb::start(width, height)?.with_window_manager()?;
        Some(Self { dir: TempDir::new(), viewers: AtomicU32::new(0), host_display, viewer_display })
    }

    /// A file in the lab's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A relay on loopback.
    pub fn relay(&self) -> Relay {
        Relay::start(&mut self.relay_command(ANY_PORT))
    }

    /// How to start the relay; with the same folder every time.
    pub fn relay_command(&self, bind: &str) -> Command {
        self.public_relay_command(bind, bind.rsplit_once(':').map_or(bind, |(ip, _)| ip))
    }

    /// The same, for a relay that others know by this address: told, because finding it out may ask the internet.
    pub fn public_relay_command(&self, bind: &str, public_ip: &str) -> Command {
        let mut command = Command::new(binaries::relay_server());
        command.args(["--bind", bind, "--metrics-bind", "off", "--data-dir"]).arg(self.file("relay"));
        command.args(["--public-ip", public_ip]);
        command
    }

    /// A host of the host display with [`PASSWORD`], registered at the relay.
    pub fn host(&self, relay: &Relay, args: &[&str]) -> Host {
        Host::start(self.host_command(args).args(["--password", PASSWORD, "--relay", &relay.flag()]))
    }

    /// A host that waits at an address of its own and knows no relay.
    pub fn listening_host(&self, args: &[&str]) -> Host {
        Host::start(self.host_command(args).args(["--password", PASSWORD, "--listen", ANY_PORT]))
    }

    /// How to start the host; with the same folder every time.
    pub fn host_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binaries::gui());
        command.arg("server").args(args).arg("--data-dir").arg(self.file("host"));
        command.env("DISPLAY", self.host_display.name()).env_remove("TAGIO_RELAY");
        command
    }

    /// A viewer's window; `target` is an ID, or an address when there is no relay.
    pub fn viewer(&self, relay: Option<&Relay>, target: &str, args: &[&str]) -> Program {
        let mut command = self.viewer_command(target, args);
        command.args(relay.iter().flat_map(|relay| ["--relay".to_owned(), relay.flag()]));
        command.args(["--password", PASSWORD]);
        Program::start("viewer", &mut command)
    }

    /// How to start a viewer; each has a folder, and so an identity, of its own.
    pub fn viewer_command(&self, target: &str, args: &[&str]) -> Command {
        let number = self.viewers.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(binaries::gui());
        command.args(["client", target]).args(args);
        command.arg("--data-dir").arg(self.file(&format!("viewer-{number}")));
        command.env("DISPLAY", self.viewer_display.name()).env("LIBGL_ALWAYS_SOFTWARE", "1");
        command.env_remove("TAGIO_RELAY");
        command
    }

    /// The remote screen by `--screenshot`, or how that ended. Quiet: stderr holds the failure and nothing else.
    pub fn screenshot(&self, relay: Option<&Relay>, target: &str, secret: &str) -> Result<Picture, Ended> {
        let mut command = self.viewer_command(target, &["--password", secret]);
        command.args(relay.iter().flat_map(|relay| ["--relay".to_owned(), relay.flag()]));
        self.take(&mut command)
    }

    /// Completes a viewer's command by `--screenshot` and runs it.
    ///
    /// # Panics
    /// When it neither ends nor leaves a picture.
    pub fn take(&self, command: &mut Command) -> Result<Picture, Ended> {
        let path = self.file(&format!("screenshot-{}.png", self.viewers.fetch_add(1, Ordering::Relaxed)));
        command.arg("--screenshot").arg(&path).env("RUST_LOG", "off");
        let mut program = Program::start("client --screenshot", command);
        let ended = program.wait_exit(LIMIT * 2);
        if ended.status.success() {
            Ok(Picture::open(&path).unwrap_or_else(|error| panic!("{error:#}\n{ended:?}")))
        } else {
            Err(ended)
        }
    }
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Relay {
    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(command: &mut Command) -> Self {
        let program = Program::start("relay", command);
        let line = program.word("listening", LIMIT);
        let address = line.split(' ').next().and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("`listening {line}` names no address"));
        Self { program, address }
    }

    /// For `--relay`.
    pub fn flag(&self) -> String {
        self.address.to_string()
    }
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    /// The process.
    pub program: Program,
}

impl Host {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self { program: Program::start("host", command) }
    }

    /// The ID that the relay gave it.
    ///
    /// # Panics
    /// When it gets none; likewise below.
    pub fn id(&self) -> String {
        self.program.word("id", LIMIT)
    }

    /// The first one-time code.
    pub fn code(&self) -> String {
        self.program.word("code", LIMIT)
    }

    /// Where it waits for direct viewers.
    pub fn address(&self) -> SocketAddr {
        let text = self.program.word("listening", LIMIT);
        text.parse().unwrap_or_else(|_| panic!("`listening {text}` is no address"))
    }
}

/// Checks that a program failed as the contract says: status 1 and one line for a person on stderr.
///
/// # Panics
/// When it did otherwise.
#[track_caller]
pub fn assert_helpful_failure(ended: &Ended, mentions: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.err.len(), 1, "one line on stderr, not {:?}", ended.err);
    let line = ended.err[0].to_lowercase();
    assert!(mentions.iter().any(|word| line.contains(word)), "none of {mentions:?} in `{line}`");
}
