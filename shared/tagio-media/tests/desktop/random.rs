//! Numbers from a seed: the same on every machine, for ever, so that a failing seed can be run again.

use tagio_wire::{Rect, Size};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, without it.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A rectangle with pixels that fits a screen of `size`, no side longer than `side_max`.
    pub fn rect(&mut self, size: Size, side_max: u32) -> Rect {
        let width = 1 + self.below(u64::from(size.width.min(side_max))) as u32;
        let height = 1 + self.below(u64::from(size.height.min(side_max))) as u32;
        let x = self.below(u64::from(size.width - width) + 1) as u32;
        let y = self.below(u64::from(size.height - height) + 1) as u32;
        Rect::new(x, y, width, height)
    }
}
