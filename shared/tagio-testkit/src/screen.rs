//! One X display as a person has it: a picture to look at, a keyboard and a mouse (XTEST).

use std::time::Duration;

use anyhow::{Context as _, Result};
use x11rb::{
    CURRENT_TIME, NONE,
    connection::Connection as _,
    protocol::{
        randr::{ConnectionExt as _, MonitorInfo},
        xproto::{
            Atom, AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, ImageFormat,
            InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, MapState, Window,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use crate::{Picture, eventually, picture::Area};

/// Keys that are no characters, as X keysyms.
pub mod keysym {
    /// Return.
    pub const RETURN: u32 = 0xff0d;
    /// The left shift key.
    pub const SHIFT_LEFT: u32 = 0xffe1;
    /// The left control key.
    pub const CONTROL_LEFT: u32 = 0xffe3;
    /// The left alt key.
    pub const ALT_LEFT: u32 = 0xffe9;
    /// Home.
    pub const HOME: u32 = 0xff50;
    /// Tab.
    pub const TAB: u32 = 0xff09;
    /// Escape.
    pub const ESCAPE: u32 = 0xff1b;
}

/// A person's pace; programs that remap keys need some time between two.
const KEY_PAUSE: Duration = Duration::from_millis(8);

/// A connection to a display.
pub struct Screen {
    pub(crate) connection: RustConnection,
    pub(crate) root: Window,
    width: u16,
    height: u16,
}

impl Screen {
    /// Connects to `:N`.
    pub fn open(display: &str) -> Result<Self> {
        let (connection, number) =
            x11rb::connect(Some(display)).with_context(|| format!("no X display {display}"))?;
        let screen = &connection.setup().roots[number];
        let (root, width, height) = (screen.root, screen.width_in_pixels, screen.height_in_pixels);
        Ok(Self { connection, root, width, height })
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// Says that this part of it is a monitor, as `xrandr --setmonitor` does.
    ///
    /// # Panics
    /// When there is one of this name, or the server knows no monitors (RANDR before 1.5).
    pub fn set_monitor(&self, name: &str, (x, y): (i16, i16), (width, height): (u16, u16)) {
        let name = self.atom(name);
        let monitor = MonitorInfo { name, x, y, width, height, ..MonitorInfo::default() };
        let set = self.connection.randr_set_monitor(self.root, monitor).expect("a living display");
        set.check().expect("a monitor on the screen");
    }

    /// Takes a monitor away that [`Self::set_monitor`] made.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn delete_monitor(&self, name: &str) {
        let name = self.atom(name);
        let deleted = self.connection.randr_delete_monitor(self.root, name).expect("a living display");
        deleted.check().expect("a monitor of this name");
    }

    /// What is on it now, without the mouse pointer.
    ///
    /// # Panics
    /// When the display is gone, as everything below.
    pub fn grab(&self) -> Picture {
        let (width, height) = self.size();
        self.grab_part(Area { x: 0, y: 0, width: width.into(), height: height.into() })
    }

    /// The same of a part of it, which costs less.
    ///
    /// # Panics
    /// When it is not all on the screen.
    pub fn grab_part(&self, Area { x, y, width, height }: Area) -> Picture {
        let pixels = |length: usize| u16::try_from(length).expect("no more than the screen has");
        let at = |offset: usize| i16::try_from(offset).expect("on the screen");
        let (x, y) = (at(x), at(y));
        let format = ImageFormat::Z_PIXMAP;
        let image = self.connection.get_image(format, self.root, x, y, pixels(width), pixels(height), !0);
        let data = image.expect("a living display").reply().expect("a picture of the screen").data;
        let pixels = data.chunks_exact(4).map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]]).collect();
        Picture { width, height, pixels }
    }

    /// Waits until the screen shows exactly this.
    ///
    /// # Panics
    /// When it does not within the limit, with the difference.
    #[track_caller]
    pub fn wait_for_picture(&self, expected: &Picture, limit: Duration) {
        let mut difference = String::new();
        let shown = eventually(limit, || match self.grab().difference(expected) {
            None => Some(()),
            Some(text) => {
                difference = text;
                None
            }
        });
        assert!(shown.is_some(), "after {limit:?} on the screen: {difference}");
    }

    /// The pointer to this pixel.
    pub fn move_pointer(&self, x: i16, y: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
    }

    /// A click there: 1 left, 2 middle, 3 right, 4 and 5 the wheel.
    pub fn click(&self, x: i16, y: i16, button: u8) {
        self.move_pointer(x, y);
        self.fake(BUTTON_PRESS_EVENT, button, 0, 0);
        self.fake(BUTTON_RELEASE_EVENT, button, 0, 0);
    }

    /// A key goes down and stays there.
    pub fn hold_key(&self, keysym: u32) {
        self.fake(KEY_PRESS_EVENT, self.keycode(keysym).0, 0, 0);
    }

    /// A key goes up.
    pub fn release_key(&self, keysym: u32) {
        self.fake(KEY_RELEASE_EVENT, self.keycode(keysym).0, 0, 0);
    }

    /// Down and up, with shift where the character needs it.
    pub fn press_key(&self, keysym: u32) {
        let (code, shifted) = self.keycode(keysym);
        if shifted {
            self.hold_key(keysym::SHIFT_LEFT);
        }
        self.fake(KEY_PRESS_EVENT, code, 0, 0);
        self.fake(KEY_RELEASE_EVENT, code, 0, 0);
        if shifted {
            self.release_key(keysym::SHIFT_LEFT);
        }
        std::thread::sleep(KEY_PAUSE);
    }

    /// Types Latin-1 text; a line feed is the return key.
    pub fn type_text(&self, text: &str) {
        for character in text.chars() {
            self.press_key(if character == '\n' { keysym::RETURN } else { character.into() });
        }
    }

    /// How many keys the display believes to be down.
    pub fn keys_down(&self) -> u32 {
        let reply = self.connection.query_keymap().expect("a living display").reply().expect("the keys");
        reply.keys.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether a window manager says that it is there.
    pub fn has_window_manager(&self) -> bool {
        self.property(self.root, "_NET_SUPPORTING_WM_CHECK").is_some()
    }

    /// A visible window whose title has this part.
    pub fn find_window(&self, title_part: &str) -> Option<Window> {
        let mut unseen = vec![self.root];
        while let Some(window) = unseen.pop() {
            if self.title(window).is_some_and(|title| title.contains(title_part)) && self.is_visible(window) {
                return Some(window);
            }
            // A window may be gone between two questions.
            if let Ok(tree) = self.connection.query_tree(window).expect("a living display").reply() {
                unseen.extend(tree.children);
            }
        }
        None
    }

    /// Waits for a window, and gives it the keyboard.
    ///
    /// # Panics
    /// When it does not come within the limit.
    #[track_caller]
    pub fn focus(&self, title_part: &str, limit: Duration) -> Window {
        let Some(window) = eventually(limit, || self.find_window(title_part)) else {
            panic!("no window with `{title_part}` in its title after {limit:?}");
        };
        self.connection
            .set_input_focus(InputFocus::PARENT, window, CURRENT_TIME)
            .expect("a living display")
            .check()
            .expect("a visible window takes the focus");
        window
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
        self.connection.xtest_fake_input(kind, detail, CURRENT_TIME, self.root, x, y, 0).expect("XTEST");
        // `sync` also keeps the order towards other connections.
        self.connection.sync().expect("a living display");
    }

    /// The key for a keysym, and whether it needs shift.
    fn keycode(&self, keysym: u32) -> (u8, bool) {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping =
            self.connection.get_keyboard_mapping(first, last - first + 1).expect("a living display");
        let mapping = mapping.reply().expect("the keyboard's map");
        let per_key = usize::from(mapping.keysyms_per_keycode);
        let position = |column: usize| {
            mapping.keysyms.chunks_exact(per_key).position(|keysyms| keysyms.get(column) == Some(&keysym))
        };
        let (key, shifted) = position(0)
            .map(|key| (key, false))
            .or_else(|| position(1).map(|key| (key, true)))
            .unwrap_or_else(|| panic!("no key types keysym {keysym:#x}"));
        (first + u8::try_from(key).expect("a keyboard has fewer than 256 keys"), shifted)
    }

    fn title(&self, window: Window) -> Option<String> {
        let bytes = self.property(window, "_NET_WM_NAME").or_else(|| self.property(window, "WM_NAME"))?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn is_visible(&self, window: Window) -> bool {
        let reply = self.connection.get_window_attributes(window).expect("a living display").reply();
        reply.is_ok_and(|attributes| attributes.map_state == MapState::VIEWABLE)
    }

    fn atom(&self, name: &str) -> Atom {
        let reply = self.connection.intern_atom(false, name.as_bytes()).expect("a living display").reply();
        reply.expect("an atom").atom
    }

    /// A property's bytes; `None` when it is not there, or the window is gone.
    fn property(&self, window: Window, name: &str) -> Option<Vec<u8>> {
        let request = self.connection.get_property(false, window, self.atom(name), AtomEnum::ANY, 0, 1024);
        let reply = request.expect("a living display").reply().ok()?;
        (reply.type_ != NONE).then_some(reply.value)
    }
}
