//! How TagIO looks: the only place with colours, and every size that more than one view uses.

pub mod icons;
mod palette;
mod style;

pub use palette::{Palette, Tone};
pub use style::{TextKind, apply, set_choice};

use eframe::egui;

/// Distances between things, in points.
pub mod space {
    /// Between parts of one thing.
    pub const XS: f32 = 4.0;
    /// Between things of one group.
    pub const S: f32 = 8.0;
    /// Between groups.
    pub const M: f32 = 16.0;
    /// Around the contents of a card.
    pub const L: f32 = 24.0;
}

/// Roundness of corners, in points.
pub mod radius {
    /// Buttons and fields.
    pub const CONTROL: u8 = 8;
    /// Cards and windows.
    pub const CARD: u8 = 14;
    /// Toolbars and chips.
    pub const PILL: u8 = 20;
}

/// Height of buttons and fields, in points.
pub const CONTROL_HEIGHT: f32 = 38.0;

/// The colours in use.
pub fn palette(ui: &egui::Ui) -> &'static Palette {
    Palette::of(ui.visuals().dark_mode)
}
