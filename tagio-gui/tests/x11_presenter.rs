//! The picture's own window on a real X server: exact pixels where they should be, holes where the window
//! around it shows its own, and the pointer told to whom it concerns.
#![cfg(target_os = "linux")]

mod xvfb;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use tagio_gui::{
    viewer::presenter::{Lender, PointerAct, PresentError, Presenter, WindowEvents, x11::X11Presenter},
    views::session::{Cover, CursorLook, CursorState, PictureView},
};
use tagio_media::{Framebuffer, Region};
use tagio_wire::{Point, Rect, Size, input::Button, picture::CursorShape};
use x11rb::{
    connection::Connection as _,
    protocol::{
        Event,
        xfixes::ConnectionExt as _,
        xproto::{
            BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, CreateWindowAux, EventMask,
            ImageFormat, Window, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};
use xvfb::Xvfb;

/// How long pixels may take to appear on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the session's window shows where there is no picture.
const BACKGROUND: u32 = 0x00c0_4020;

/// Larger than the window in both directions.
const PICTURE: Size = Size::new(1500, 900);

/// The session's window, and a picture in which no two pixels are alike.
struct Session {
    conn: RustConnection,
    window: Window,
    picture: Picture,
    told: mpsc::Receiver<Told>,
    events: Arc<dyn WindowEvents>,
}

/// What the picture's window told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Pointer(i32, i32, PointerAct),
    Seen(bool),
}

struct Teller(mpsc::Sender<Told>);

impl WindowEvents for Teller {
    fn pointer(&self, x: i32, y: i32, act: PointerAct) {
        self.0.send(Told::Pointer(x, y, act)).ok();
    }
    fn flush(&self) {}
    fn seen(&self, is_seen: bool) {
        self.0.send(Told::Seen(is_seen)).ok();
    }
}

struct Picture(Mutex<Framebuffer>);

impl Lender for Picture {
    fn lend(&self, read: &mut dyn FnMut(&Framebuffer)) {
        read(&self.0.lock().expect("no test thread panics with it"));
    }
    fn cursor(&self) -> CursorState {
        CursorState::default()
    }
}

impl Picture {
    fn fill(&self, rect: Rect, byte: u8) {
        self.0.lock().expect("no test thread panics with it").rows_mut(rect).for_each(|row| row.fill(byte));
    }
}

impl Session {
    fn new(server: &Xvfb) -> Self {
        let (conn, number) = server.connect();
        let root = conn.setup().roots[number].root;
        let mut picture = Framebuffer::new(PICTURE);
        for (i, pixel) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
            let (x, y) = (i as u32 % PICTURE.width, i as u32 / PICTURE.width);
            pixel.copy_from_slice(&colour(x, y).to_le_bytes());
        }
        let window = open_window(&conn, root, BACKGROUND);
        let (tell, told) = mpsc::channel();
        Self { conn, window, picture: Picture(Mutex::new(picture)), told, events: Arc::new(Teller(tell)) }
    }

    fn open(&self, server: &Xvfb) -> Result<X11Presenter, PresentError> {
        X11Presenter::open(Some(&server.display), self.window, Arc::clone(&self.events))
    }

    fn present_in(&self, server: &Xvfb, view: PictureView) -> X11Presenter {
        let mut presenter = self.open(server).expect("a child window");
        presenter.place(view, &self.picture).expect("it is placed");
        presenter
    }

    /// The presenter has a connection of its own, so its pixels come when they come.
    fn expect_pixel(&self, x: i16, y: i16, expected: u32) {
        let start = Instant::now();
        loop {
            let seen = self.pixel(x, y);
            if seen == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{x},{y} is {seen:06x}, not {expected:06x}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn pixel(&self, x: i16, y: i16) -> u32 {
        let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.window, x, y, 1, 1, 0x00ff_ffff);
        let data = image.expect("sent").reply().expect("an image").data;
        u32::from_le_bytes([data[0], data[1], data[2], 0])
    }

    fn move_to(&self, x: i16, y: i16) {
        self.conn.warp_pointer(x11rb::NONE, self.window, 0, 0, 0, 0, x, y).expect("sent");
        self.conn.sync().expect("the server answers");
    }

    fn button(&self, kind: u8, button: u8) {
        self.conn.xtest_fake_input(kind, button, 0, x11rb::NONE, 0, 0, 0).expect("sent");
        self.conn.sync().expect("the server answers");
    }

    fn click(&self, x: i16, y: i16) {
        self.move_to(x, y);
        self.button(BUTTON_PRESS_EVENT, 1);
        self.button(BUTTON_RELEASE_EVENT, 1);
    }

    /// Where the parent was clicked, if it was.
    fn parents_click(&self) -> Option<(i16, i16)> {
        let events = std::iter::from_fn(|| self.conn.poll_for_event().expect("the server is there"));
        let clicks = events.filter_map(|event| match event {
            Event::ButtonPress(click) if click.event == self.window => Some((click.event_x, click.event_y)),
            _ => None,
        });
        clicks.last()
    }

    /// Waits until the picture's window has told this.
    fn expect_told(&self, expected: Told) {
        let start = Instant::now();
        let mut others = Vec::new();
        while let Ok(told) = self.told.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            if told == expected {
                return;
            }
            others.push(told);
        }
        panic!("{expected:?} was not told, but {others:?}");
    }
}

fn press(x: i32, y: i32, button: Button, down: bool) -> Told {
    let modifiers = eframe::egui::Modifiers::NONE;
    Told::Pointer(x, y, PointerAct::Button { button, down, modifiers })
}

fn colour(x: u32, y: u32) -> u32 {
    y << 12 | x
}

fn open_window(conn: &RustConnection, parent: Window, background: u32) -> Window {
    let window = conn.generate_id().expect("an id");
    let aux = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixel(background)
        .event_mask(EventMask::BUTTON_PRESS);
    let class = WindowClass::INPUT_OUTPUT;
    conn.create_window(0, window, parent, 0, 0, 1000, 700, 0, class, 0, &aux).expect("sent");
    conn.map_window(window).expect("sent");
    conn.sync().expect("the server answers");
    window
}

fn placed(x: u32, y: u32, width: u32, height: u32, scrolled: (u32, u32)) -> PictureView {
    PictureView {
        area: Rect::new(x, y, width, height),
        picture: PICTURE,
        scaled: PICTURE,
        scrolled_x: scrolled.0,
        scrolled_y: scrolled.1,
        ..PictureView::default()
    }
}

#[test]
fn the_picture_is_where_it_was_placed_and_nowhere_else() {
    let Some(server) = Xvfb::start(24) else { return };
    check_placement(&server);
}

#[test]
fn the_picture_is_where_it_was_placed_without_shared_memory() {
    let Some(server) = Xvfb::start_with(24, &xvfb::NO_SHM) else { return };
    check_placement(&server);
}

fn check_placement(server: &Xvfb) {
    let session = Session::new(server);
    let mut presenter = session.present_in(server, placed(50, 60, 600, 400, (300, 200)));
    session.expect_pixel(50, 60, colour(300, 200));
    session.expect_pixel(649, 459, colour(899, 599));
    session.expect_pixel(49, 60, BACKGROUND);
    session.expect_pixel(650, 459, BACKGROUND);
    presenter.place(placed(50, 60, 700, 500, (300, 200)), &session.picture).expect("it grows");
    session.expect_pixel(749, 559, colour(999, 699));
    session.expect_pixel(50, 60, colour(300, 200));
    presenter.place(placed(50, 60, 700, 500, (310, 333)), &session.picture).expect("it scrolls");
    session.expect_pixel(50, 60, colour(310, 333));
    presenter.place(placed(50, 60, 700, 500, (1400, 800)), &session.picture).expect("it scrolls");
    session.expect_pixel(50 + 99, 60 + 99, colour(1499, 899));
    session.expect_pixel(50 + 100, 60 + 100, 0);
    presenter.place(PictureView::default(), &session.picture).expect("it hides");
    session.expect_pixel(50, 60, BACKGROUND);
}

#[test]
fn damage_is_shown_even_where_another_window_covers_it() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let mut presenter = session.present_in(&server, placed(0, 0, 500, 500, (100, 100)));
    let mut region = Region::new();
    for (i, rect) in
        [Rect::new(110, 120, 8, 8), Rect::new(90, 300, 20, 20), Rect::new(0, 0, 50, 50)].iter().enumerate()
    {
        session.picture.fill(*rect, i as u8 + 1);
        region.add(*rect);
    }
    presenter.present(&session.picture, &region).expect("it is shown");
    session.expect_pixel(10, 20, 0x01_0101);
    session.expect_pixel(17, 27, 0x01_0101);
    session.expect_pixel(18, 27, colour(118, 127));
    session.expect_pixel(9, 219, 0x02_0202);
    let cover = open_window(&session.conn, session.window, 0x77);
    session.expect_pixel(10, 20, 0x77);
    session.picture.fill(Rect::new(110, 120, 8, 8), 5);
    presenter.present(&session.picture, &region).expect("it is shown");
    thread::sleep(Duration::from_millis(50));
    session.conn.destroy_window(cover).expect("sent");
    session.expect_pixel(10, 20, 0x05_0505);
    session.expect_pixel(400, 400, colour(500, 500));
}

#[test]
fn a_scaled_picture_follows_its_damage() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    session.picture.fill(PICTURE.rect(), 0x40);
    let scaled = Size::new(750, 450);
    let half = PictureView { scaled, ..placed(20, 10, 750, 450, (0, 0)) };
    let mut presenter = session.present_in(&server, half);
    session.expect_pixel(20, 10, 0x40_4040);
    session.expect_pixel(769, 459, 0x40_4040);
    session.expect_pixel(770, 459, BACKGROUND);
    let mut region = Region::new();
    region.add(Rect::new(200, 100, 100, 50));
    session.picture.fill(Rect::new(200, 100, 100, 50), 0x90);
    presenter.present(&session.picture, &region).expect("it is shown");
    session.expect_pixel(20 + 125, 10 + 62, 0x90_9090);
    session.expect_pixel(20 + 95, 10 + 62, 0x40_4040);
    let double = PictureView { scaled: Size::new(3000, 1800), ..placed(0, 0, 700, 500, (401, 200)) };
    presenter.place(double, &session.picture).expect("it grows");
    session.expect_pixel(0, 0, 0x90_9090);
    session.expect_pixel(600 - 402, 99, 0x90_9090);
    session.expect_pixel(600 - 401, 99, 0x40_4040);
}

#[test]
fn through_holes_the_window_around_it_is_seen_and_clicked() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let covered = vec![Cover { rect: Rect::new(200, 0, 100, 40), radius: 8 }];
    let view = PictureView { covered, ..placed(0, 0, 500, 500, (0, 0)) };
    let mut presenter = session.present_in(&server, view.clone());
    session.expect_pixel(199, 20, colour(199, 20));
    session.expect_pixel(200, 20, BACKGROUND);
    session.expect_pixel(200, 0, colour(200, 0));
    session.click(250, 20);
    assert_eq!(session.parents_click(), Some((250, 20)));
    session.click(100, 90);
    session.expect_told(press(100, 90, Button::Left, true));
    session.expect_told(press(100, 90, Button::Left, false));
    assert_eq!(session.parents_click(), None, "a click on the picture is not the window's");
    let closed = PictureView { covered: Vec::new(), ..view };
    presenter.place(closed, &session.picture).expect("it closes");
    session.expect_pixel(250, 20, colour(250, 20));
    let menu = PictureView { pointer_is_windows: true, ..view };
    presenter.place(menu, &session.picture).expect("it opens, and lets the pointer through");
    session.expect_pixel(250, 20, BACKGROUND);
    session.click(100, 90);
    assert_eq!(session.parents_click(), Some((100, 90)));
}

#[test]
fn a_drag_is_followed_out_of_the_picture_up_to_its_release() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let _presenter = session.present_in(&server, placed(50, 60, 300, 200, (0, 0)));
    session.expect_pixel(50, 60, colour(0, 0));
    session.move_to(100, 100);
    session.expect_told(Told::Pointer(50, 40, PointerAct::Moved));
    session.button(BUTTON_PRESS_EVENT, 9);
    session.expect_told(press(50, 40, Button::Forward, true));
    session.move_to(700, 20);
    session.expect_told(Told::Pointer(650, -40, PointerAct::Moved));
    session.button(BUTTON_RELEASE_EVENT, 9);
    session.expect_told(press(650, -40, Button::Forward, false));
    session.move_to(100, 100);
    session.button(BUTTON_PRESS_EVENT, 5);
    let modifiers = eframe::egui::Modifiers::NONE;
    session.expect_told(Told::Pointer(50, 40, PointerAct::Wheel { x: 0, y: 1, modifiers }));
}

#[test]
fn the_hosts_cursor_is_the_pointer_or_is_drawn_where_the_host_has_it() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let (size, hotspot) = (Size::new(4, 4), Point::new(1, 2));
    let shape = Arc::new(CursorShape { size, hotspot, rgba: [200, 100, 50, 255].repeat(16) });
    let view = PictureView {
        scaled: Size::new(3000, 1800),
        has_control: true,
        draws_pointer: true,
        ..placed(0, 0, 500, 500, (0, 0))
    };
    let mut presenter = session.present_in(&server, view);
    session.move_to(50, 50);
    let look = CursorLook::Shape(shape);
    let leads = CursorState { look: look.clone(), moved_to: None };
    presenter.set_cursor(leads.clone()).expect("it is shown");
    session.conn.xfixes_query_version(2, 0).expect("sent").reply().expect("a version");
    let start = Instant::now();
    loop {
        let cursor = session.conn.xfixes_get_cursor_image().expect("sent").reply().expect("a cursor");
        if (cursor.width, cursor.height, cursor.xhot, cursor.yhot) == (8, 8, 2, 4) {
            assert!(cursor.cursor_image.iter().all(|pixel| *pixel == 0xffc8_6432));
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the cursor is {} wide", cursor.width);
    }
    let moved = CursorState { look, moved_to: Some(Point::new(100, 60)) };
    presenter.set_cursor(moved).expect("it is drawn");
    session.expect_pixel(198, 116, 0xc8_6432);
    session.expect_pixel(205, 123, 0xc8_6432);
    session.expect_pixel(206, 123, colour(103, 61));
    presenter.set_cursor(leads).expect("it is gone");
    session.expect_pixel(198, 116, colour(99, 58));
}

#[test]
fn it_tells_when_nobody_sees_it() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let _presenter = session.present_in(&server, placed(0, 0, 500, 500, (0, 0)));
    session.expect_pixel(0, 0, colour(0, 0));
    session.conn.unmap_window(session.window).expect("sent");
    session.conn.flush().expect("sent");
    session.expect_told(Told::Seen(false));
    session.conn.map_window(session.window).expect("sent");
    session.conn.flush().expect("sent");
    session.expect_told(Told::Seen(true));
    let root = session.conn.setup().roots[0].root;
    let cover = open_window(&session.conn, root, 0x77);
    session.expect_told(Told::Seen(false));
    session.conn.destroy_window(cover).expect("sent");
    session.conn.flush().expect("sent");
    session.expect_told(Told::Seen(true));
}

#[test]
fn a_window_that_goes_is_reported() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let mut presenter = session.present_in(&server, placed(0, 0, 500, 500, (0, 0)));
    session.conn.destroy_window(session.window).expect("sent");
    session.conn.sync().expect("the server answers");
    let start = Instant::now();
    let outcome = loop {
        let outcome = presenter.present(&session.picture, &Region::whole(PICTURE));
        if outcome.is_err() || start.elapsed() > PATIENCE {
            break outcome;
        }
    };
    assert!(matches!(outcome, Err(PresentError::Lost(_))), "{outcome:?}");
    assert!(session.open(&server).is_err());
}
