//! A full-screen window that shows known pictures and keeps a diary of clicks and keys.

use std::time::Duration;

use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    protocol::{
        Event,
        xproto::{
            ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, Gcontext, ImageFormat, Window,
            WindowClass,
        },
    },
    wrapper::ConnectionExt as _,
};

use crate::{Picture, Screen, eventually, picture::Area};

/// Room for the header of a drawing request.
const REQUEST_HEADER_BYTES: usize = 64;

/// Something that happened to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A button went down.
    Click {
        /// Which.
        button: u8,
        /// Where.
        x: i16,
        /// Where.
        y: i16,
    },
    /// A key went down.
    Key {
        /// Its keycode.
        code: u8,
    },
}

/// The window. It covers everything, window managers leave it alone.
pub struct Canvas {
    screen: Screen,
    window: Window,
    gc: Gcontext,
    picture: Picture,
}

impl Canvas {
    /// Covers the screen with the picture that this seed stands for.
    ///
    /// # Panics
    /// When the display is gone, as everything below.
    pub fn cover(screen: Screen, seed: u64) -> Self {
        let (width, height) = screen.size();
        let connection = &screen.connection;
        let window = connection.generate_id().expect("an id for a window");
        let gc = connection.generate_id().expect("an id for drawing");
        let events = EventMask::BUTTON_PRESS | EventMask::KEY_PRESS | EventMask::EXPOSURE;
        let attributes = CreateWindowAux::new().override_redirect(1).event_mask(events);
        let create = connection.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            window,
            screen.root,
            0,
            0,
            width,
            height,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &attributes,
        );
        create.expect("a living display").check().expect("a window");
        connection
            .create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))
            .expect("a living display");
        connection.map_window(window).expect("a living display");
        connection.sync().expect("a living display");
        let picture = Picture::seeded(width.into(), height.into(), seed);
        let mut canvas = Self { screen, window, gc, picture };
        let exposed = canvas
            .await_event(Duration::from_secs(5), |event| matches!(event, Event::Expose(_)).then_some(()));
        exposed.expect("the window becomes visible");
        canvas.draw(canvas.picture.whole());
        canvas
    }

    /// What it shows.
    pub const fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Changes an area and shows it.
    pub fn change(&mut self, area: Area, colour: impl FnMut(usize, usize) -> [u8; 3]) {
        self.picture.fill_with(area, colour);
        self.draw(area);
    }

    /// Shows another picture, out of another seed.
    pub fn repaint(&mut self, seed: u64) {
        self.picture = Picture::seeded(self.picture.width, self.picture.height, seed);
        self.draw(self.picture.whole());
    }

    /// The next thing that happens to the window, from the start of its diary.
    pub fn next_happening(&mut self, limit: Duration) -> Option<Happened> {
        self.await_event(limit, |event| match event {
            Event::ButtonPress(press) => {
                Some(Happened::Click { button: press.detail, x: press.event_x, y: press.event_y })
            }
            Event::KeyPress(press) => Some(Happened::Key { code: press.detail }),
            _ => None,
        })
    }

    /// Takes the keyboard, for [`Happened::Key`].
    pub fn take_keyboard(&self) {
        let focus = x11rb::protocol::xproto::InputFocus::PARENT;
        self.screen
            .connection
            .set_input_focus(focus, self.window, x11rb::CURRENT_TIME)
            .expect("a living display");
        self.screen.connection.sync().expect("a living display");
    }

    fn await_event<T>(&mut self, limit: Duration, mut wanted: impl FnMut(Event) -> Option<T>) -> Option<T> {
        eventually(limit, || {
            while let Some(event) = self.screen.connection.poll_for_event().expect("a living display") {
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            None
        })
    }

    /// In strips, because a request has a largest size.
    fn draw(&self, area: Area) {
        let connection = &self.screen.connection;
        let row_bytes = area.width * 4;
        let rows_max = ((connection.maximum_request_bytes() - REQUEST_HEADER_BYTES) / row_bytes).max(1);
        let depth = connection.setup().roots[0].root_depth;
        for top in (area.y..area.y + area.height).step_by(rows_max) {
            let rows = rows_max.min(area.y + area.height - top);
            let strip = Area { y: top, height: rows, ..area };
            let data = self.bgrx(strip);
            let (width, height) = (area.width as u16, rows as u16);
            let (x, y) = (area.x as i16, top as i16);
            connection
                .put_image(ImageFormat::Z_PIXMAP, self.window, self.gc, width, height, x, y, 0, depth, &data)
                .expect("a living display");
        }
        connection.sync().expect("a living display");
    }

    fn bgrx(&self, area: Area) -> Vec<u8> {
        let rows = self.picture.pixels.chunks_exact(self.picture.width).skip(area.y).take(area.height);
        rows.flat_map(|row| &row[area.x..area.x + area.width]).flat_map(|&[r, g, b]| [b, g, r, 0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seeded, Xvfb, picture::assert_same};

    #[test]
    fn the_screen_shows_the_picture_and_its_changes() {
        let Some(display) = Xvfb::start(640, 480) else { return };
        let mut canvas = Canvas::cover(display.screen(), 5);
        assert_same(&display.screen().grab(), canvas.picture());
        let mut random = Seeded::new(1);
        for _ in 0..20 {
            let area = canvas.picture().some_area(&mut random);
            canvas.change(area, |_, _| [random.byte(), random.byte(), random.byte()]);
        }
        assert_same(&display.screen().grab(), canvas.picture());
    }

    #[test]
    fn clicks_and_keys_are_written_down() {
        let Some(display) = Xvfb::start(320, 200) else { return };
        let mut canvas = Canvas::cover(display.screen(), 5);
        canvas.take_keyboard();
        let person = display.screen();
        person.click(17, 23, 3);
        person.type_text("a");
        let limit = Duration::from_secs(5);
        assert_eq!(canvas.next_happening(limit), Some(Happened::Click { button: 3, x: 17, y: 23 }));
        assert!(matches!(canvas.next_happening(limit), Some(Happened::Key { .. })));
        assert_eq!((canvas.next_happening(Duration::ZERO), person.keys_down()), (None, 0));
    }
}
