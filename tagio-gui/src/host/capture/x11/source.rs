//! The source itself: asks the server what changed, and for those pixels. Runs on the picture thread.

use std::time::Duration;

use tagio_media::{
    Framebuffer, Region,
    capture::{CaptureError, CaptureSource, Wake},
};
use tagio_wire::{Rect, Size, picture::CursorUpdate, session::Monitor};
use x11rb::{
    NONE,
    connection::Connection as _,
    errors::{ConnectionError, ReplyError},
    protocol::{
        damage::{self, ConnectionExt as _},
        xfixes::{self, ConnectionExt as _},
        xproto::{ConnectionExt as _, Rectangle},
    },
};

use super::{
    connect::{XScreen, lost},
    cursor::CursorReader,
    events::Watcher,
    grab::{GrabError, Grabber},
};
use crate::host::capture::desktop::{Area, Placed, monitors_on};

/// How often a grab is tried anew when the screen's size changes between the question and the answer. A
/// screen that keeps changing faster than that is not one to share.
const RESIZES_MAX: u32 = 5;

/// Reads an X screen.
pub(super) struct X11Source {
    screen: XScreen,
    watcher: Watcher,
    /// Gathers in the server what changed; owned by the watcher's connection.
    damage: damage::Damage,
    /// In the server: what `damage` held when it was last emptied.
    changed: xfixes::Region,
    grabber: Grabber,
    cursor: CursorReader,
    cursor_told: bool,
    size: Size,
    /// As RANDR tells of them: perhaps beyond the screen, while a change is under way.
    monitors: Vec<Placed>,
    /// The frame lacks more than the damage says.
    needs_whole: bool,
}

impl X11Source {
    /// Connects and starts to watch.
    pub(super) fn open(name: Option<&str>, wake: Wake) -> Result<Self, CaptureError> {
        let screen = XScreen::open(name)?;
        screen.check()?;
        let (watcher, damage) = Watcher::start(name, wake)?;
        let changed = screen.conn.generate_id().map_err(lost)?;
        screen.conn.xfixes_create_region(changed, &[]).map_err(lost)?.check().map_err(lost)?;
        let geometry = screen.conn.get_geometry(screen.root).map_err(lost)?.reply().map_err(lost)?;
        let size = Size::new(geometry.width.into(), geometry.height.into());
        let grabber = Grabber::new(&screen, size);
        let cursor = CursorReader::default();
        let monitors = watcher.take_monitors().unwrap_or_default();
        Ok(Self {
            screen,
            watcher,
            damage,
            changed,
            grabber,
            cursor,
            cursor_told: false,
            size,
            monitors,
            needs_whole: true,
        })
    }

    /// Empties the damage and asks for the size, in one round trip.
    fn ask_changes(&self) -> Result<(Size, Vec<Rectangle>), ReplyError> {
        let conn = &self.screen.conn;
        conn.damage_subtract(self.damage, NONE, self.changed)?;
        let rects = conn.xfixes_fetch_region(self.changed)?;
        let geometry = conn.get_geometry(self.screen.root)?;
        let rects = rects.reply()?.rectangles;
        let geometry = geometry.reply()?;
        // Servers tell every client of keyboard changes; nobody else would take those events off the queue.
        while conn.poll_for_event()?.is_some() {}
        Ok((Size::new(geometry.width.into(), geometry.height.into()), rects))
    }

    fn resize(&mut self, size: Size) -> Result<(), ConnectionError> {
        self.size = size;
        self.needs_whole = true;
        let old = std::mem::replace(&mut self.grabber, Grabber::new(&self.screen, size));
        old.close(&self.screen)
    }
}

impl CaptureSource for X11Source {
    fn name(&self) -> &'static str {
        "x11"
    }

    fn size(&self) -> Size {
        self.size
    }

    fn monitors(&self) -> Vec<Monitor> {
        monitors_on(Area { size: self.size, ..Area::default() }, &self.monitors)
    }

    fn poll_interval(&self) -> Option<Duration> {
        None
    }

    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError> {
        self.watcher.check()?;
        self.needs_whole |= frame.size() != self.size;
        if !self.watcher.take_picture() && !self.needs_whole {
            return Ok(Region::new());
        }
        if let Some(monitors) = self.watcher.take_monitors() {
            self.monitors = monitors;
        }
        for _ in 0..RESIZES_MAX {
            let (size, changed) = self.ask_changes().map_err(lost)?;
            if size != self.size {
                self.resize(size).map_err(lost)?;
            }
            frame.resize(size);
            let region = if self.needs_whole { Region::whole(size) } else { region_of(&changed, size) };
            match self.grabber.grab(&self.screen, region.rects(), frame) {
                Ok(()) => {
                    self.needs_whole = false;
                    return Ok(region);
                }
                // The damage is spent, so only everything will do.
                Err(GrabError::Resized) => self.needs_whole = true,
                Err(GrabError::Lost(why)) => return Err(CaptureError::Lost(why)),
            }
        }
        Err(CaptureError::Lost("its size keeps changing".to_owned()))
    }

    fn cursor(&mut self) -> Result<Vec<CursorUpdate>, CaptureError> {
        self.watcher.check()?;
        let first = !std::mem::replace(&mut self.cursor_told, true);
        let shape = self.watcher.take_cursor_shape() || first;
        if !self.watcher.take_pointer() && !shape {
            return Ok(Vec::new());
        }
        self.cursor.read(&self.screen, shape).map_err(lost)
    }
}

/// The server's rectangles, cut to the screen.
fn region_of(rects: &[Rectangle], size: Size) -> Region {
    let mut region = Region::new();
    for rect in rects {
        // The damage of the root window starts at its corner, so nothing is negative.
        let (x, y) = (rect.x.max(0) as u32, rect.y.max(0) as u32);
        region.add(Rect::new(x, y, rect.width.into(), rect.height.into()));
    }
    region.clip(size);
    region
}
