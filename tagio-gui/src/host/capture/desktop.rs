//! Where monitors stand on a desktop, in the system's own coordinates, and in those of the picture. Pure.

#[cfg(any(windows, test))]
use tagio_wire::limits::{SCREEN_AREA_MAX, SCREEN_SIDE_MAX};
use tagio_wire::{
    Point, Rect, Size,
    limits::{MONITORS_MAX, PEER_NAME_BYTES_MAX},
    session::Monitor,
};

/// A rectangle in the system's coordinates: what lies left of or above the primary monitor is negative there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::host) struct Area {
    /// Its top left pixel.
    pub(in crate::host) origin: Point,
    pub(in crate::host) size: Size,
}

impl Area {
    pub(super) const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self { origin: Point::new(x, y), size: Size::new(width, height) }
    }

    /// The part of it that lies on `screen`, as a rectangle of the screen's picture.
    pub(super) fn on(self, screen: Self) -> Option<Rect> {
        let (x, width) = overlap(self.origin.x, self.size.width, screen.origin.x, screen.size.width)?;
        let (y, height) = overlap(self.origin.y, self.size.height, screen.origin.y, screen.size.height)?;
        Some(Rect::new(x, y, width, height))
    }

    /// No larger than a screen may be; what is cut off is on the right and at the bottom.
    #[cfg(any(windows, test))]
    pub(super) fn cut(self) -> Self {
        let width = self.size.width.min(SCREEN_SIDE_MAX);
        let rows_max = (SCREEN_AREA_MAX / u64::from(width.max(1))).min(SCREEN_SIDE_MAX.into()) as u32;
        Self { size: Size::new(width, self.size.height.min(rows_max)), ..self }
    }
}

/// What Windows calls a display, for people: `\\.\DISPLAY2` is its own name for what its settings call 2.
#[cfg(any(windows, test))]
pub(super) fn display_name(device: &str) -> String {
    match device.strip_prefix(r"\\.\DISPLAY") {
        Some(number) => format!("Display {number}"),
        None => device.to_owned(),
    }
}

/// What a stretch shares with the stretch of a screen, counted from where the screen's begins.
fn overlap(at: i32, length: u32, screen_at: i32, screen_length: u32) -> Option<(u32, u32)> {
    let from = i64::from(at) - i64::from(screen_at);
    let until = (from + i64::from(length)).min(i64::from(screen_length));
    let from = from.max(0);
    let length = u32::try_from(until - from).ok().filter(|length| *length > 0)?;
    Some((u32::try_from(from).ok()?, length))
}

/// A monitor as the system tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) area: Area,
    pub(super) is_primary: bool,
}

/// The monitors that show a part of `screen`, cut to it, from left to right and then from top to bottom; at most
/// [`MONITORS_MAX`].
pub(super) fn monitors_on(screen: Area, placed: &[Placed]) -> Vec<Monitor> {
    let visible = placed.iter().filter_map(|monitor| {
        let rect = monitor.area.on(screen)?;
        Some(Monitor { name: shown_name(&monitor.name), rect, is_primary: monitor.is_primary })
    });
    let mut monitors: Vec<Monitor> = visible.collect();
    monitors.sort_by(|a, b| (a.rect.x, a.rect.y, &a.name).cmp(&(b.rect.x, b.rect.y, &b.name)));
    monitors.truncate(MONITORS_MAX);
    monitors
}

/// A name that is fit to be shown and sent: on X11 any program can give a monitor any name.
fn shown_name(name: &str) -> String {
    let mut shown: String = name.chars().filter(|char| !char.is_control()).collect();
    shown.truncate(shown.floor_char_boundary(PEER_NAME_BYTES_MAX));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(name: &str, area: Area) -> Placed {
        Placed { name: name.to_owned(), area, is_primary: false }
    }

    #[test]
    fn what_lies_left_of_the_primary_monitor_begins_the_picture() {
        let screen = Area::new(-1920, -200, 3840, 1280);
        let monitors = [
            placed("right", Area::new(0, 0, 1920, 1080)),
            placed("left", Area::new(-1920, -200, 1920, 1080)),
        ];
        let told = monitors_on(screen, &monitors);
        let told: Vec<_> = told.iter().map(|monitor| (monitor.name.as_str(), monitor.rect)).collect();
        let expected = [("left", Rect::new(0, 0, 1920, 1080)), ("right", Rect::new(1920, 200, 1920, 1080))];
        assert_eq!(told, expected);
    }

    #[test]
    fn monitors_are_cut_to_the_screen() {
        let screen = Area::new(0, 0, 100, 100);
        let monitors = [
            placed("beyond", Area::new(100, 0, 50, 50)),
            placed("across", Area::new(80, -10, 50, 50)),
            placed("empty", Area::new(10, 10, 0, 50)),
            placed("absurd", Area::new(i32::MIN, i32::MIN, u32::MAX, u32::MAX)),
        ];
        let told = monitors_on(screen, &monitors);
        let told: Vec<_> = told.iter().map(|monitor| (monitor.name.as_str(), monitor.rect)).collect();
        assert_eq!(told, [("absurd", screen.size.rect()), ("across", Rect::new(80, 0, 20, 40))]);
    }

    #[test]
    fn there_are_no_more_monitors_and_no_longer_names_than_may_be_sent() {
        let name = format!("a\n{}", "ž".repeat(PEER_NAME_BYTES_MAX));
        let many: Vec<_> = (0..40).map(|i| placed(&name, Area::new(i, 0, 1, 1))).collect();
        let told = monitors_on(Area::new(0, 0, 100, 1), &many);
        assert_eq!(told.len(), MONITORS_MAX);
        assert!(told.iter().all(|monitor| monitor.name.len() <= PEER_NAME_BYTES_MAX));
        assert!(told[0].name.starts_with("až"));
    }

    #[test]
    fn a_screen_is_no_larger_than_one_may_be() {
        assert_eq!(Area::new(-5, 0, 1 << 20, 3).cut(), Area::new(-5, 0, SCREEN_SIDE_MAX, 3));
        assert_eq!(Area::new(0, -5, 3, 1 << 20).cut(), Area::new(0, -5, 3, SCREEN_SIDE_MAX));
        let cut = Area::new(0, 0, 16_384, 1 << 20).cut().size;
        assert_eq!(cut.width, 16_384);
        assert!(cut.area() <= SCREEN_AREA_MAX && cut.area() + 16_384 > SCREEN_AREA_MAX);
        assert_eq!(Area::new(0, 0, 0, 600).cut(), Area::new(0, 0, 0, 600));
    }

    #[test]
    fn displays_are_called_as_in_the_settings_of_windows() {
        assert_eq!(display_name(r"\\.\DISPLAY2"), "Display 2");
        assert_eq!(display_name("WinDisc"), "WinDisc");
    }
}
