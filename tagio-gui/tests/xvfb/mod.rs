//! An X server of a test's own, without a screen. Ends with the value.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use x11rb::rust_connection::RustConnection;

/// The size of its screen.
pub(crate) const WIDTH: u16 = 1280;
pub(crate) const HEIGHT: u16 = 800;

/// Makes a server that shares no memory, like one on another machine.
#[allow(dead_code, reason = "not every test that includes this module needs it")]
pub(crate) const NO_SHM: [&str; 2] = ["-extension", "MIT-SHM"];

pub(crate) struct Xvfb {
    server: Child,
    pub(crate) display: String,
}

impl Xvfb {
    /// `None`, said loudly, when Xvfb is not installed.
    pub(crate) fn start(depth: u8) -> Option<Self> {
        Self::start_with(depth, &[])
    }

    /// Like [`Self::start`], with more arguments.
    pub(crate) fn start_with(depth: u8, arguments: &[&str]) -> Option<Self> {
        let screen = format!("{WIDTH}x{HEIGHT}x{depth}");
        let started = Command::new("Xvfb")
            .args(arguments)
            // `-noreset`: else the server starts over whenever its last client leaves.
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0", &screen])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut server) = started else {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: Xvfb is not installed");
            }
            return None;
        };
        let mut number = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut number).expect("Xvfb says its number");
        assert!(!number.trim().is_empty(), "Xvfb ended at once");
        Some(Self { server, display: format!(":{}", number.trim()) })
    }

    pub(crate) fn connect(&self) -> (RustConnection, usize) {
        x11rb::connect(Some(&self.display)).expect("the server answers")
    }

    /// Ends it before its time.
    pub(crate) fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        self.kill();
    }
}
