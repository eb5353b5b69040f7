//! The picture's own window on a real X server: exact pixels where they should be, and clicks pass through.
#![cfg(target_os = "linux")]

mod xvfb;

use std::{
    thread,
    time::{Duration, Instant},
};

use tagio_gui::viewer::presenter::{Placement, PresentError, Presenter, x11::X11Presenter};
use tagio_media::{Framebuffer, Region};
use tagio_wire::{Rect, Size};
use x11rb::{
    connection::Connection as _,
    protocol::{
        Event,
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
    picture: Framebuffer,
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
        Self { conn, window, picture }
    }

    fn present_in(&self, server: &Xvfb, placement: Placement) -> X11Presenter {
        let mut presenter = X11Presenter::open(Some(&server.display), self.window).expect("a child window");
        presenter.place(placement, &self.picture).expect("it is placed");
        presenter
    }

    /// The presenter has a connection of its own, so its pixels come when they come.
    fn expect_pixel(&self, x: i16, y: i16, expected: u32) {
        let start = Instant::now();
        loop {
            let image = self.conn.get_image(ImageFormat::Z_PIXMAP, self.window, x, y, 1, 1, 0x00ff_ffff);
            let data = image.expect("sent").reply().expect("an image").data;
            let seen = u32::from_le_bytes([data[0], data[1], data[2], 0]);
            if seen == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{x},{y} is {seen:06x}, not {expected:06x}");
            thread::sleep(Duration::from_millis(2));
        }
    }
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

fn placed(x: u32, y: u32, width: u32, height: u32, scrolled: (u32, u32)) -> Placement {
    let area = Rect::new(x, y, width, height);
    Placement { area, scrolled_x: scrolled.0, scrolled_y: scrolled.1 }
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
    presenter.place(Placement::default(), &session.picture).expect("it hides");
    session.expect_pixel(50, 60, BACKGROUND);
}

#[test]
fn damage_is_shown_even_where_another_window_covers_it() {
    let Some(server) = Xvfb::start(24) else { return };
    let mut session = Session::new(&server);
    let mut presenter = session.present_in(&server, placed(0, 0, 500, 500, (100, 100)));
    let mut region = Region::new();
    for (i, rect) in
        [Rect::new(110, 120, 8, 8), Rect::new(90, 300, 20, 20), Rect::new(0, 0, 50, 50)].iter().enumerate()
    {
        session.picture.rows_mut(*rect).for_each(|row| row.fill(i as u8 + 1));
        region.add(*rect);
    }
    presenter.present(&session.picture, &region).expect("it is shown");
    session.expect_pixel(10, 20, 0x01_0101);
    session.expect_pixel(17, 27, 0x01_0101);
    session.expect_pixel(18, 27, colour(118, 127));
    session.expect_pixel(9, 219, 0x02_0202);
    let cover = open_window(&session.conn, session.window, 0x77);
    session.expect_pixel(10, 20, 0x77);
    session.picture.rows_mut(Rect::new(110, 120, 8, 8)).for_each(|row| row.fill(5));
    presenter.present(&session.picture, &region).expect("it is shown");
    thread::sleep(Duration::from_millis(50));
    session.conn.destroy_window(cover).expect("sent");
    session.expect_pixel(10, 20, 0x05_0505);
    session.expect_pixel(400, 400, colour(500, 500));
}

#[test]
fn clicks_reach_the_parent() {
    let Some(server) = Xvfb::start(24) else { return };
    let session = Session::new(&server);
    let _presenter = session.present_in(&server, placed(0, 0, 500, 500, (0, 0)));
    session.expect_pixel(0, 0, colour(0, 0));
    let conn = &session.conn;
    conn.warp_pointer(x11rb::NONE, session.window, 0, 0, 0, 0, 100, 90).expect("sent");
    for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
        conn.xtest_fake_input(kind, 1, 0, x11rb::NONE, 0, 0, 0).expect("sent");
    }
    conn.sync().expect("the server answers");
    let click = std::iter::from_fn(|| conn.poll_for_event().expect("the server is there"))
        .find_map(|event| if let Event::ButtonPress(click) = event { Some(click) } else { None })
        .expect("the parent gets the click");
    assert_eq!((click.event, click.event_x, click.event_y), (session.window, 100, 90));
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
    assert!(X11Presenter::open(Some(&server.display), session.window).is_err());
}
