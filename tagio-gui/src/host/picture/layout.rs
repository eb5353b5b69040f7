//! How a host's screen is made up, and which part of it a viewer looks at.

use tagio_media::Look;
use tagio_wire::{
    Rect, Size, limits,
    session::{Monitor, Quality, ViewArea, ViewWish},
};

/// A screen and its monitors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScreenLayout {
    /// Size of the whole screen.
    pub size: Size,
    /// At most [`limits::MONITORS_MAX`], each within the screen.
    pub monitors: Vec<Monitor>,
}

impl ScreenLayout {
    /// A screen of `size`; of `monitors` those that can be looked at.
    pub fn new(size: Size, mut monitors: Vec<Monitor>) -> Self {
        monitors.retain(|monitor| !monitor.rect.is_empty() && monitor.rect.fits(size));
        monitors.truncate(limits::MONITORS_MAX);
        for monitor in &mut monitors {
            let end = monitor.name.floor_char_boundary(limits::PEER_NAME_BYTES_MAX);
            monitor.name.truncate(end);
        }
        Self { size, monitors }
    }

    /// The part of the screen that is wanted; all of it if the monitor is gone.
    pub fn area(&self, wanted: ViewArea) -> Rect {
        let monitor = match wanted {
            ViewArea::All => None,
            ViewArea::Monitor(index) => self.monitors.get(usize::from(index)),
        };
        monitor.map_or_else(|| self.size.rect(), |monitor| monitor.rect)
    }

    /// How the screen is to be shown.
    pub fn look(&self, wish: &ViewWish) -> Look {
        let (grey, half) = match wish.quality {
            Quality::Saver { grey, half } => (grey, half),
            Quality::Auto | Quality::Sharp | Quality::Smooth => (false, false),
        };
        Look { area: self.area(wish.area), scale: if half { 2 } else { 1 }, grey }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(name: &str, rect: Rect) -> Monitor {
        Monitor { name: name.to_owned(), rect, is_primary: false }
    }

    #[test]
    fn a_monitor_that_is_gone_gives_way_to_the_whole_screen() {
        let (left, right) = (Rect::new(0, 0, 800, 600), Rect::new(800, 0, 400, 600));
        let layout = ScreenLayout::new(Size::new(1200, 600), vec![monitor("l", left), monitor("r", right)]);
        assert_eq!(layout.area(ViewArea::Monitor(1)), right);
        assert_eq!(layout.area(ViewArea::Monitor(2)), layout.size.rect());
        assert_eq!(layout.area(ViewArea::All), layout.size.rect());
    }

    #[test]
    fn what_a_viewer_could_not_look_at_is_not_offered() {
        let beyond = monitor("beyond", Rect::new(1000, 0, 400, 600));
        let long = monitor(&"ü".repeat(60), Rect::new(0, 0, 10, 10));
        let layout =
            ScreenLayout::new(Size::new(1200, 600), vec![beyond, monitor("", Rect::default()), long]);
        assert_eq!(layout.monitors.len(), 1);
        assert!(layout.monitors[0].name.len() <= limits::PEER_NAME_BYTES_MAX);
    }
}
