//! Capturing a real X server: exact pixels, honest damage, silence when nothing happens.
#![cfg(target_os = "linux")]

mod xvfb;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tagio_gui::host::capture::x11::open_display;
use tagio_media::{
    Framebuffer, Region,
    capture::{CaptureError, CaptureSource, Wake},
};
use tagio_testkit::Screen;
use tagio_wire::{Point, Rect, Size, picture::CursorUpdate, session::Monitor};
use x11rb::{
    connection::Connection as _,
    protocol::{
        randr::{ConnectionExt as _, ModeInfo, Rotation},
        xproto::{
            ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Gcontext, ImageFormat, Rectangle,
            Window, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};
use xvfb::Xvfb;

/// How long a change may take to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing must happen to count as silence.
const SILENCE: Duration = Duration::from_millis(500);

/// A source, and how often it woke us.
struct Watched {
    source: Box<dyn CaptureSource>,
    wakes: Arc<AtomicU32>,
    frame: Framebuffer,
}

impl Watched {
    fn open(server: &Xvfb) -> Self {
        let wakes = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let source = open_display(Some(&server.display), wake).expect("the screen can be read");
        Self { source, wakes, frame: Framebuffer::default() }
    }

    fn update(&mut self) -> Region {
        self.source.update(&mut self.frame).expect("the screen is there")
    }

    fn wait_for_wake(&self) {
        let start = Instant::now();
        while self.wakes.load(Ordering::SeqCst) == 0 {
            assert!(start.elapsed() < PATIENCE, "nothing woke us");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes everything that is still under way, until nothing wakes us any more.
    fn settle(&mut self) {
        loop {
            thread::sleep(Duration::from_millis(100));
            // Before the look: a wake after it would be lost, and the source says nothing twice.
            self.wakes.store(0, Ordering::SeqCst);
            self.update();
            self.source.cursor().expect("the cursor");
            if self.wakes.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }
}

/// Somebody who draws.
struct Painter {
    conn: RustConnection,
    root: Window,
    window: Window,
    gc: Gcontext,
}

impl Painter {
    fn new(server: &Xvfb) -> Self {
        let (conn, number) = server.connect();
        let screen = conn.setup().roots[number].clone();
        let window = conn.generate_id().expect("an id");
        let aux = CreateWindowAux::new().override_redirect(1).background_pixel(0x0020_4060);
        let (width, height) = (xvfb::WIDTH, xvfb::HEIGHT);
        let class = WindowClass::INPUT_OUTPUT;
        conn.create_window(screen.root_depth, window, screen.root, 0, 0, width, height, 0, class, 0, &aux)
            .expect("sent");
        conn.map_window(window).expect("sent");
        let gc = conn.generate_id().expect("an id");
        conn.create_gc(gc, window, &CreateGCAux::new()).expect("sent");
        conn.sync().expect("the server answers");
        Self { conn, root: screen.root, window, gc }
    }

    fn fill(&self, rect: Rectangle, pixel: u32) {
        self.conn.change_gc(self.gc, &ChangeGCAux::new().foreground(pixel)).expect("sent");
        self.conn.poly_fill_rectangle(self.window, self.gc, &[rect]).expect("sent");
        self.conn.sync().expect("the server answers");
    }

    /// What is on the screen, asked for in the plainest way.
    fn truth(&self, size: Size) -> Framebuffer {
        let (width, height) = (size.width as u16, size.height as u16);
        let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        let mut truth = Framebuffer::new(size);
        truth.bytes_mut().copy_from_slice(&image.expect("sent").reply().expect("an image").data);
        truth.bytes_mut().chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        truth
    }
}

fn holds(region: &Region, x: u32, y: u32) -> bool {
    region.rects().iter().any(|rect| rect.contains(Rect::new(x, y, 1, 1)))
}

/// Every pixel that differs is in the damage.
fn assert_covered(region: &Region, before: &Framebuffer, after: &Framebuffer) {
    let stride = after.stride();
    let rows = before.bytes().chunks_exact(stride).zip(after.bytes().chunks_exact(stride)).enumerate();
    for (y, (old, new)) in rows.filter(|(_, (old, new))| old != new) {
        let pixels = old.chunks_exact(4).zip(new.chunks_exact(4)).enumerate();
        for (x, _) in pixels.filter(|(_, (old, new))| old != new) {
            assert!(holds(region, x as u32, y as u32), "{x},{y} changed outside of the damage");
        }
    }
}

#[test]
fn every_random_drawing_arrives_exactly_and_within_its_damage() {
    let Some(server) = Xvfb::start(24) else { return };
    check_random_drawings(&server);
}

#[test]
fn every_random_drawing_arrives_exactly_without_shared_memory() {
    let Some(server) = Xvfb::start_with(24, &xvfb::NO_SHM) else { return };
    check_random_drawings(&server);
}

fn check_random_drawings(server: &Xvfb) {
    let painter = Painter::new(server);
    let mut watched = Watched::open(server);
    let whole = watched.update();
    let size = Size::new(xvfb::WIDTH.into(), xvfb::HEIGHT.into());
    assert_eq!(whole, Region::whole(size), "the first update fills the frame");
    assert_eq!(watched.frame, painter.truth(size));
    watched.settle();
    let mut rng = SmallRng::seed_from_u64(7);
    for _ in 0..30 {
        let mut drawn = 0;
        for _ in 0..rng.random_range(1..8) {
            let (x, y) = (rng.random_range(0..1200), rng.random_range(0..700));
            let (width, height) = (rng.random_range(1..300), rng.random_range(1..200));
            painter.fill(Rectangle { x, y, width, height }, rng.random::<u32>() & 0x00ff_ffff);
            drawn += u64::from(width) * u64::from(height);
        }
        watched.wait_for_wake();
        let before = watched.frame.clone();
        let region = watched.update();
        assert_eq!(watched.frame, painter.truth(size));
        assert_covered(&region, &before, &watched.frame);
        assert!(region.area() <= drawn * 4 + 4096, "{} pixels of damage for {drawn}", region.area());
        watched.wakes.store(0, Ordering::SeqCst);
    }
}

#[test]
fn nothing_happens_while_nothing_changes() {
    let Some(server) = Xvfb::start(24) else { return };
    let _painter = Painter::new(&server);
    let mut watched = Watched::open(&server);
    watched.settle();
    thread::sleep(SILENCE);
    assert_eq!(watched.wakes.load(Ordering::SeqCst), 0);
    assert!(watched.update().is_empty());
    assert_eq!(watched.source.cursor().expect("the cursor"), []);
}

#[test]
fn damage_gathers_silently_while_nobody_asks() {
    let Some(server) = Xvfb::start(24) else { return };
    let painter = Painter::new(&server);
    let mut watched = Watched::open(&server);
    watched.settle();
    for i in 0..100 {
        painter.fill(Rectangle { x: i * 10, y: i * 5, width: 8, height: 8 }, 0x00ff_0000);
    }
    watched.wait_for_wake();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(watched.wakes.load(Ordering::SeqCst), 1);
    let region = watched.update();
    assert!((0..100).all(|i| holds(&region, i * 10 + 7, i * 5 + 7)));
}

#[test]
fn the_cursor_tells_its_shape_first_and_then_only_moves() {
    let Some(server) = Xvfb::start(24) else { return };
    let painter = Painter::new(&server);
    let mut watched = Watched::open(&server);
    let first = watched.source.cursor().expect("the cursor");
    let [CursorUpdate::Shape(shape), CursorUpdate::Moved(_)] = first.as_slice() else {
        panic!("shape and position, not {first:?}");
    };
    assert!(shape.is_sound());
    watched.settle();
    for x in 0..1000 {
        let motion = x11rb::protocol::xproto::MOTION_NOTIFY_EVENT;
        painter.conn.xtest_fake_input(motion, 0, 0, painter.root, x, 33, 0).expect("sent");
    }
    painter.conn.sync().expect("the server answers");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(watched.wakes.load(Ordering::SeqCst), 1, "a flood of moves wakes once");
    assert_eq!(watched.source.cursor().expect("the cursor"), [CursorUpdate::Moved(Point::new(999, 33))]);
    assert_eq!(watched.source.cursor().expect("the cursor"), []);
}

#[test]
fn a_changed_size_fills_everything_again() {
    let Some(server) = Xvfb::start(24) else { return };
    let painter = Painter::new(&server);
    let mut watched = Watched::open(&server);
    watched.settle();
    let smaller = Size::new(800, 600);
    shrink(&painter, smaller);
    watched.wait_for_wake();
    assert_eq!(watched.update(), Region::whole(smaller));
    assert_eq!(watched.source.size(), smaller);
    assert_eq!(watched.frame, painter.truth(smaller));
}

/// Takes updates until the monitors are these, and returns what the last one changed.
fn wait_for_monitors(watched: &mut Watched, expected: &[(&str, Rect)]) -> Region {
    let start = Instant::now();
    loop {
        let monitors = watched.source.monitors();
        while watched.wakes.swap(0, Ordering::SeqCst) == 0 {
            assert!(start.elapsed() < PATIENCE, "{monitors:?} instead of {expected:?}");
            thread::sleep(Duration::from_millis(1));
        }
        let region = watched.update();
        if named(&watched.source.monitors()) == expected {
            return region;
        }
    }
}

fn named(monitors: &[Monitor]) -> Vec<(&str, Rect)> {
    monitors.iter().map(|monitor| (monitor.name.as_str(), monitor.rect)).collect()
}

#[test]
fn monitors_come_move_and_go_with_an_update_and_without_a_pixel() {
    let Some(server) = Xvfb::start(24) else { return };
    let _painter = Painter::new(&server);
    let screen = Screen::open(&server.display).expect("the server answers");
    let mut watched = Watched::open(&server);
    let whole = ("screen", Rect::new(0, 0, 1280, 800));
    let monitors = watched.source.monitors();
    assert_eq!(named(&monitors), [whole]);
    watched.settle();

    screen.set_monitor("right", (640, 0), (640, 800));
    watched.wait_for_wake();
    assert_eq!(watched.source.monitors(), monitors, "they change with an update");
    let right = ("right", Rect::new(640, 0, 640, 800));
    assert!(wait_for_monitors(&mut watched, &[whole, right]).is_empty(), "no pixel changed");
    screen.set_monitor("left", (0, 100), (640, 700));
    wait_for_monitors(&mut watched, &[whole, ("left", Rect::new(0, 100, 640, 700)), right]);
    screen.delete_monitor("left");
    screen.set_monitor("left", (0, 0), (640, 700));
    wait_for_monitors(&mut watched, &[("left", Rect::new(0, 0, 640, 700)), whole, right]);
    screen.delete_monitor("right");
    wait_for_monitors(&mut watched, &[("left", Rect::new(0, 0, 640, 700)), whole]);
}

#[test]
fn monitors_are_cut_to_a_screen_that_shrinks() {
    let Some(server) = Xvfb::start(24) else { return };
    let painter = Painter::new(&server);
    let screen = Screen::open(&server.display).expect("the server answers");
    screen.set_monitor("corner", (600, 400), (680, 400));
    screen.set_monitor("outside", (900, 0), (380, 400));
    let mut watched = Watched::open(&server);
    watched.settle();
    shrink(&painter, Size::new(800, 600));
    let expected = [("screen", Rect::new(0, 0, 800, 600)), ("corner", Rect::new(600, 400, 200, 200))];
    wait_for_monitors(&mut watched, &expected);
    assert_eq!(watched.frame.size(), Size::new(800, 600));
}

/// Chooses a smaller mode, as a user does in the display settings.
fn shrink(painter: &Painter, size: Size) {
    let (conn, root) = (&painter.conn, painter.root);
    let (width, height) = (size.width as u16, size.height as u16);
    let screen = conn.randr_get_screen_resources_current(root).expect("sent").reply().expect("RANDR");
    let info = ModeInfo { width, height, name_len: 5, ..Default::default() };
    let mode = conn.randr_create_mode(root, info, b"small").expect("sent").reply().expect("a mode").mode;
    conn.randr_add_output_mode(screen.outputs[0], mode).expect("sent").check().expect("the mode fits");
    let (crtc, output) = (screen.crtcs[0], screen.outputs[0]);
    let set = |mode, outputs: &[u32]| {
        let now = x11rb::CURRENT_TIME;
        conn.randr_set_crtc_config(crtc, now, screen.config_timestamp, 0, 0, mode, Rotation::ROTATE0, outputs)
            .expect("sent")
            .reply()
            .expect("the mode is set")
    };
    set(x11rb::NONE, &[]);
    conn.randr_set_screen_size(root, width, height, 200, 150)
        .expect("sent")
        .check()
        .expect("the size is set");
    set(mode, &[output]);
}

#[test]
fn a_server_that_dies_is_reported_and_wakes_us() {
    let Some(mut server) = Xvfb::start(24) else { return };
    let mut watched = Watched::open(&server);
    watched.settle();
    server.kill();
    watched.wait_for_wake();
    let mut frame = Framebuffer::default();
    assert!(matches!(watched.source.update(&mut frame), Err(CaptureError::Lost(_))));
    assert!(matches!(watched.source.cursor(), Err(CaptureError::Lost(_))));
}

#[test]
fn a_source_leaves_no_thread_behind() {
    let Some(server) = Xvfb::start(24) else { return };
    let mut watched = Watched::open(&server);
    watched.settle();
    let wakes = Arc::clone(&watched.wakes);
    drop(watched);
    // The thread held the only other handle.
    assert_eq!(Arc::strong_count(&wakes), 1);
    assert_eq!(wakes.load(Ordering::SeqCst), 0, "and it went without a word");
}

#[test]
fn screens_that_cannot_be_read_say_why() {
    let wake: Wake = Arc::new(|| {});
    let Some(server) = Xvfb::start(16) else { return };
    let Err(CaptureError::Unavailable(why)) = open_display(Some(&server.display), Arc::clone(&wake)) else {
        panic!("16 bits are not supported");
    };
    assert!(why.contains("24 bits"), "{why}");
    let Err(CaptureError::Unavailable(why)) = open_display(Some(":4095"), wake) else {
        panic!("there is no such display");
    };
    assert!(why.contains("session"), "{why}");
}
