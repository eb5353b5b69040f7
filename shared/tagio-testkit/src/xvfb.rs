//! X displays without a screen: Xvfb on a free display number, gone with the test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Program, Screen, skipped, wait_until};

/// How long a window manager may take to be in charge.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// A running X server.
#[derive(Debug)]
pub struct Xvfb {
    // Dropped first: it is a client of the server.
    window_manager: Option<Program>,
    server: Child,
    name: String,
}

impl Xvfb {
    /// Starts a display of this size with 24-bit colour. `None`, loudly, where Xvfb is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub fn start(width: u16, height: u16) -> Option<Self> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0"]);
        command.arg(format!("{width}x{height}x24"));
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut server) = spawned else {
            skipped("Xvfb is not installed (scripts/setup.sh does that)");
            return None;
        };
        let mut number = String::new();
        let stdout = server.stdout.take().expect("stdout is piped");
        // The server writes the number when it accepts connections, and closes on failure.
        BufReader::new(stdout).read_line(&mut number).expect("Xvfb's output is readable");
        let number = number.trim();
        assert!(!number.is_empty(), "Xvfb did not start");
        Some(Self { window_manager: None, name: format!(":{number}"), server })
    }

    /// Adds openbox, without which a window made by winit gets no keyboard focus. `None` as for [`Xvfb::start`].
    pub fn with_window_manager(mut self) -> Option<Self> {
        if Command::new("openbox").arg("--version").output().is_err() {
            skipped("openbox is not installed (scripts/setup.sh does that)");
            return None;
        }
        let mut command = Command::new("openbox");
        // Its own settings, not those of whoever runs the tests.
        command.env("DISPLAY", &self.name).env("XDG_CONFIG_HOME", "/nonexistent");
        self.window_manager = Some(Program::start("openbox", &mut command));
        let screen = self.screen();
        wait_until("openbox in charge", READY_LIMIT, || screen.has_window_manager());
        Some(self)
    }

    /// The name for `DISPLAY`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection to it.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn screen(&self) -> Screen {
        Screen::open(&self.name).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        self.window_manager = None;
        // Already gone is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_displays_live_side_by_side_and_go() {
        let (Some(first), Some(second)) = (Xvfb::start(320, 200), Xvfb::start(640, 480)) else { return };
        assert_ne!(first.name(), second.name());
        assert_eq!(second.screen().size(), (640, 480));
        let name = first.name().to_owned();
        drop(first);
        assert!(Screen::open(&name).is_err());
    }
}
