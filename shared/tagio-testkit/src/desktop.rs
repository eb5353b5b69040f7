//! What more a person's display has: monitors, windows that can be put away, and parts to look at.

use x11rb::{
    protocol::{
        randr::{ConnectionExt as _, ModeInfo, MonitorInfo, Rotation},
        xproto::{ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat, Window},
    },
    wrapper::ConnectionExt as _,
};

use crate::{Picture, Screen, picture::Area};

/// ICCCM, section 4.1.4: a client asks for this state to be minimised.
const ICONIC_STATE: u32 = 3;

/// Dots per millimetre do not matter here; the protocol wants some.
const PIXELS_PER_MILLIMETRE: usize = 4;

impl Screen {
    /// What is in a part of the screen now.
    ///
    /// # Panics
    /// When the display is gone, as everything below.
    pub fn grab_area(&self, area: Area) -> Picture {
        let (x, y) = (area.x as i16, area.y as i16);
        let (width, height) = (area.width as u16, area.height as u16);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, !0);
        let data = image.expect("a living display").reply().expect("a picture of the screen").data;
        let pixels = data.chunks_exact(4).map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]]).collect();
        Picture { width: area.width, height: area.height, pixels }
    }

    /// Asks the window manager to minimise a window.
    pub fn minimise(&self, window: Window) {
        let connection = &self.connection;
        let atom = connection.intern_atom(false, b"WM_CHANGE_STATE").expect("a living display");
        let atom = atom.reply().expect("an atom").atom;
        let event = ClientMessageEvent::new(32, window, atom, [ICONIC_STATE, 0, 0, 0, 0]);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        connection.send_event(false, self.root, mask, event).expect("a living display");
        connection.sync().expect("a living display");
    }

    /// Shows a minimised window again.
    pub fn restore(&self, window: Window) {
        self.connection.map_window(window).expect("a living display");
        self.connection.sync().expect("a living display");
    }

    /// Divides the screen into monitors called `part-0` and so on, and says where they are in the system's order.
    pub fn divide(&self, monitors: &[Area]) -> Vec<Area> {
        let connection = &self.connection;
        let resources = connection.randr_get_screen_resources(self.root).expect("a living display");
        let outputs = resources.reply().expect("RandR").outputs;
        for (index, area) in monitors.iter().enumerate() {
            let name = format!("part-{index}");
            let atom = connection.intern_atom(false, name.as_bytes()).expect("a living display");
            let monitor = MonitorInfo {
                name: atom.reply().expect("an atom").atom,
                primary: index == 0,
                automatic: false,
                x: area.x as i16,
                y: area.y as i16,
                width: area.width as u16,
                height: area.height as u16,
                width_in_millimeters: (area.width / PIXELS_PER_MILLIMETRE) as u32,
                height_in_millimeters: (area.height / PIXELS_PER_MILLIMETRE) as u32,
                // The first one takes the real outputs, else the system adds one that shows them all.
                outputs: if index == 0 { outputs.clone() } else { Vec::new() },
            };
            connection.randr_set_monitor(self.root, monitor).expect("a living display").check().expect("set");
        }
        self.monitors()
    }

    /// Gives the whole screen another size, as a person does in the display settings. What was outside is lost.
    ///
    /// # Panics
    /// When it is larger than the server was started with.
    pub fn resize(&self, width: u16, height: u16) {
        let connection = &self.connection;
        let resources = connection.randr_get_screen_resources_current(self.root).expect("a living display");
        let resources = resources.reply().expect("RandR");
        let (crtc, output) = (resources.crtcs[0], resources.outputs[0]);
        let known = resources.modes.iter().find(|mode| (mode.width, mode.height) == (width, height));
        let mode = known.map_or_else(|| self.add_mode(output, width, height), |mode| mode.id);
        let set = |mode: u32, outputs: &[u32]| {
            let time = (x11rb::CURRENT_TIME, resources.config_timestamp);
            connection
                .randr_set_crtc_config(crtc, time.0, time.1, 0, 0, mode, Rotation::ROTATE0, outputs)
                .expect("a living display")
                .reply()
                .expect("the mode is set");
        };
        // The screen may not be smaller than what an output shows of it.
        set(x11rb::NONE, &[]);
        let millimetres = |pixels: u16| u32::from(pixels) / PIXELS_PER_MILLIMETRE as u32;
        connection
            .randr_set_screen_size(self.root, width, height, millimetres(width), millimetres(height))
            .expect("a living display")
            .check()
            .expect("a size that fits");
        set(mode, &[output]);
    }

    fn add_mode(&self, output: u32, width: u16, height: u16) -> u32 {
        let name = format!("{width}x{height}");
        let info = ModeInfo { width, height, name_len: name.len() as u16, ..ModeInfo::default() };
        let mode = self.connection.randr_create_mode(self.root, info, name.as_bytes());
        let mode = mode.expect("a living display").reply().expect("a mode").mode;
        let added = self.connection.randr_add_output_mode(output, mode).expect("a living display");
        added.check().expect("the output takes it");
        mode
    }

    /// Where the monitors are, in the system's order.
    pub fn monitors(&self) -> Vec<Area> {
        let reply = self.connection.randr_get_monitors(self.root, true).expect("a living display").reply();
        let area = |monitor: &MonitorInfo| Area {
            x: monitor.x as usize,
            y: monitor.y as usize,
            width: monitor.width.into(),
            height: monitor.height.into(),
        };
        reply.expect("RandR").monitors.iter().map(area).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Canvas, Xvfb};

    #[test]
    fn a_screen_can_be_divided_and_looked_at_in_part() {
        let Some(display) = Xvfb::start(640, 480) else { return };
        let canvas = Canvas::cover(display.screen(), 3);
        let screen = display.screen();
        let halves = [0, 320].map(|x| Area { x, y: 0, width: 320, height: 480 });
        let mut monitors = screen.divide(&halves);
        monitors.sort_by_key(|area| area.x);
        assert_eq!(monitors, halves);
        for half in halves {
            assert_eq!(screen.grab_area(half), canvas.picture().part(half));
        }
    }

    #[test]
    fn a_screen_changes_its_size_there_and_back() {
        let Some(display) = Xvfb::start(640, 480) else { return };
        let screen = display.screen();
        for size in [(400, 300), (640, 480), (400, 300)] {
            screen.resize(size.0, size.1);
            assert_eq!(display.screen().size(), size);
        }
    }
}
