//! Hands on the way: what a viewer sends of them, what a host lets through, and what is held down.

mod held;
mod host;
mod viewer;

pub use host::HostInput;
pub use viewer::{Outgoing, ViewerInput};

use tagio_wire::{
    Point,
    input::{MoveNumber, PointerMove},
};

/// Where the hands of one are that has not moved: nothing but keys can be held then.
const NOWHERE: PointerMove = PointerMove { number: 0, to: Point::new(0, 0) };

/// Whether move `number` comes after `newest`; right as long as they are less than 2^31 apart.
const fn is_newer(number: MoveNumber, newest: MoveNumber) -> bool {
    let ahead = number.wrapping_sub(newest);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap_around() {
        for (number, newest, expected) in
            [(2, 1, true), (1, 1, false), (1, 2, false), (0, u32::MAX, true), (u32::MAX, 0, false)]
        {
            assert_eq!(is_newer(number, newest), expected, "{number} after {newest}");
        }
    }
}
