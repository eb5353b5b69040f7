//! The Windows programs, tried under Wine: they start, register, show and share exact pixels.
//!
//! Needs what `scripts/windows.sh` builds; `TAGIO_WINDOWS_DIR` names another folder with the programs.
#![cfg(target_os = "linux")]

use std::{
    env,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tagio_testkit::{
    Canvas, Lab, Program,
    binaries::{self, workspace},
    lab::{Host, LIMIT, PASSWORD, Relay},
    picture::{Area, assert_same},
    skipped, wait_until,
};
use x11rb::{connection::Connection as _, protocol::xproto::ConnectionExt as _};

/// What `tagio-gui.exe` may take to begin: Wine starts services of its own first.
const WINE_LIMIT: Duration = Duration::from_secs(90);

/// Making a prefix, once per checkout.
const PREFIX_LIMIT: Duration = Duration::from_secs(300);

/// Where Wine keeps how it speaks with the X server.
const X11_SETTINGS: &str = r"HKCU\Software\Wine\X11 Driver";

/// One prefix has one desktop, on one display.
static PREFIX: Mutex<()> = Mutex::new(());

/// Wine with our programs, for one test at a time.
struct Wine {
    exe: PathBuf,
    _prefix: MutexGuard<'static, ()>,
}

impl Wine {
    /// `None`, loudly, where Wine or the programs are missing.
    fn new() -> Option<Self> {
        if Command::new("wine").arg("--version").output().is_err() {
            skipped("Wine is not installed (scripts/setup.sh windows does that)");
            return None;
        }
        let Some(exe) = newest_exe() else {
            skipped("there is no tagio-gui.exe (scripts/windows.sh builds it)");
            return None;
        };
        let prefix = PREFIX.lock().unwrap_or_else(PoisonError::into_inner);
        let made = Program::start("wine.sh", &mut script(&[])).wait_exit(PREFIX_LIMIT);
        assert!(made.status.success(), "no Wine prefix: {made:?}");
        stop();
        Some(Self { exe, _prefix: prefix })
    }

    /// How to start `tagio-gui.exe` on a display, with a folder of its own.
    fn gui(&self, lab: &Lab, display: &str, args: &[&str]) -> Command {
        let mut command = script(&["run"]);
        command.arg(&self.exe).args(args);
        command.env("TAGIO_DATA_DIR", windows_path(&lab.file("wine")));
        command.env("DISPLAY", display).env("LIBGL_ALWAYS_SOFTWARE", "1").env_remove("TAGIO_RELAY");
        command
    }
}

/// While it lives, Wine takes the monitors of RANDR, which a test can make, for displays, instead of its outputs.
struct MonitorsAsDisplays {
    display: String,
}

impl MonitorsAsDisplays {
    fn set(display: &str) -> Self {
        registry(display, &["add", X11_SETTINGS, "/v", "UseXRandR", "/d", "N", "/f"]);
        // It is read when a desktop begins.
        stop();
        Self { display: display.to_owned() }
    }
}

impl Drop for MonitorsAsDisplays {
    fn drop(&mut self) {
        registry(&self.display, &["delete", X11_SETTINGS, "/v", "UseXRandR", "/f"]);
    }
}

fn registry(display: &str, args: &[&str]) {
    let changed = script(&["run", "reg"]).args(args).env("DISPLAY", display).output();
    assert!(changed.is_ok_and(|output| output.status.success()), "Wine's registry refused {args:?}");
}

impl Drop for Wine {
    fn drop(&mut self) {
        stop();
    }
}

/// Ends everything in the prefix: Wine's own services stay behind, with the size of a display that is gone.
fn stop() {
    let stopped = script(&["stop"]).output();
    assert!(stopped.is_ok_and(|output| output.status.success()), "wine.sh stop failed");
}

fn script(args: &[&str]) -> Command {
    let mut command = Command::new(workspace().join("scripts/wine.sh"));
    command.args(args);
    command
}

/// The debug or the release build, whichever was made last.
fn newest_exe() -> Option<PathBuf> {
    let built = workspace().join("target/x86_64-pc-windows-gnu");
    let told = env::var_os("TAGIO_WINDOWS_DIR").map(|dir| vec![PathBuf::from(dir)]);
    let folders = told.unwrap_or_else(|| vec![built.join("debug"), built.join("release")]);
    let exes = folders.iter().map(|folder| folder.join("tagio-gui.exe"));
    exes.filter_map(|exe| Some((exe.metadata().ok()?.modified().ok()?, exe))).max().map(|(_, exe)| exe)
}

/// Wine shows the file system of Linux as drive Z.
fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display())
}

#[test]
fn a_double_click_opens_the_window_and_registers() {
    let (Some(lab), Some(wine)) = (Lab::new(), Wine::new()) else { return };
    let metrics = free_address();
    let relay = Relay::start(&mut relay_with_metrics(&lab, metrics));
    let mut command = wine.gui(&lab, lab.viewer_display.name(), &[]);
    let mut window = Program::start("tagio-gui.exe", command.env("TAGIO_RELAY", relay.flag()));
    lab.viewer_display.screen().focus("TagIO", WINE_LIMIT);
    wait_until("a client at the relay", WINE_LIMIT, || metric(metrics, "tagio_relay_clients") == Some(1));
    assert!(window.is_running());
}

#[test]
fn a_viewer_on_windows_shows_the_exact_pixels() {
    let (Some(lab), Some(wine)) = (Lab::new(), Wine::new()) else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 21);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let id = host.id();
    let flag = relay.flag();
    let client = ["client", &id, "--password", PASSWORD, "--relay", &flag];
    let seen = lab.take(&mut wine.gui(&lab, lab.viewer_display.name(), &client)).expect("a screenshot");
    assert_same(&seen, canvas.picture());

    let viewer = Program::start("viewer", &mut wine.gui(&lab, lab.viewer_display.name(), &client));
    viewer.word("first-frame", WINE_LIMIT);
    lab.viewer_display.screen().focus("TagIO", LIMIT);
}

#[test]
fn a_host_on_windows_shares_the_exact_pixels() {
    let (Some(lab), Some(wine)) = (Lab::new(), Wine::new()) else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 22);
    let relay = lab.relay();
    let flag = relay.flag();
    let server = ["server", "--password", PASSWORD, "--relay", &flag];
    let host = Host::start(&mut wine.gui(&lab, lab.host_display.name(), &server));
    let id = host.program.word("id", WINE_LIMIT);
    for seed in [22, 23] {
        canvas.repaint(seed);
        let seen = lab.screenshot(Some(&relay), &id, PASSWORD).expect("a screenshot");
        assert_same(&seen, canvas.picture());
    }
}

#[test]
fn displays_are_one_canvas_wherever_the_primary_one_stands() {
    let (Some(lab), Some(wine)) = (Lab::new(), Wine::new()) else { return };
    let canvas = Canvas::cover(lab.host_display.screen(), 24);
    let (width, height) = (canvas.picture().width / 2, canvas.picture().height);
    let [left, right] = [0, width].map(|x| Area { x, y: 0, width, height });
    // The first one is the primary: Windows counts from its corner, so the other one's is negative.
    lab.host_display.screen().divide(&[right, left]);
    let _displays = MonitorsAsDisplays::set(lab.host_display.name());
    let relay = lab.relay();
    let flag = relay.flag();
    let server = ["server", "--password", PASSWORD, "--relay", &flag];
    let host = Host::start(&mut wine.gui(&lab, lab.host_display.name(), &server));
    let id = host.program.word("id", WINE_LIMIT);
    let viewer = lab.viewer(Some(&relay), &id, &["--fullscreen"]);
    viewer.word("first-frame", WINE_LIMIT);
    let screen = lab.viewer_display.screen();
    screen.focus("TagIO", LIMIT);
    screen.wait_for_picture(canvas.picture(), LIMIT);
    for at in [(7, 5), (639, 400), (640, 400), (1270, 790), (321, 123)] {
        screen.move_pointer(at.0, at.1);
        wait_until("the host's pointer at the same pixel", LIMIT, || pointer(lab.host_display.name()) == at);
    }
}

/// Where the pointer of a display is.
fn pointer(display: &str) -> (i16, i16) {
    let (connection, number) = x11rb::connect(Some(display)).expect("a living display");
    let root = connection.setup().roots[number].root;
    let pointer = connection.query_pointer(root).expect("a living display").reply().expect("a pointer");
    (pointer.root_x, pointer.root_y)
}

fn relay_with_metrics(lab: &Lab, metrics: SocketAddr) -> Command {
    let mut command = Command::new(binaries::relay_server());
    command.args(["--bind", "127.0.0.1:0", "--public-ip", "127.0.0.1", "--metrics-bind"]);
    command.arg(metrics.to_string());
    command.arg("--data-dir").arg(lab.file("relay"));
    command
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener.local_addr().expect("a bound socket has an address")
}

/// A number among the relay's metrics; `None` while it does not answer.
fn metric(at: SocketAddr, name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
