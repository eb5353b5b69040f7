//! Fine turns of a wheel, gathered to the whole notches that enigo can inject.

/// What a notch is on the wire.
const NOTCH: i32 = 120;

/// Most notches of one event: a flick of a free-running wheel. Each is a click of its own on X11, so a hostile
/// number would keep the thread busy for hours.
const NOTCHES_MAX: i32 = 50;

/// One axis of a wheel.
#[derive(Default)]
pub(super) struct Wheel {
    /// Turned since the last whole notch; less than one.
    rest: i32,
}

impl Wheel {
    /// Turns by `delta` and says how many notches that makes.
    pub(super) fn turn(&mut self, delta: i32) -> i32 {
        let turned = self.rest.saturating_add(delta);
        self.rest = turned % NOTCH;
        (turned / NOTCH).clamp(-NOTCHES_MAX, NOTCHES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_turns_add_up_and_cancel_out() {
        let mut wheel = Wheel::default();
        let turns = [30, 30, 30, 30, -60, -70, 10, 360];
        assert_eq!(turns.map(|delta| wheel.turn(delta)), [0, 0, 0, 1, 0, -1, 0, 3]);
    }

    #[test]
    fn an_absurd_turn_is_bounded() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.turn(i32::MAX), NOTCHES_MAX);
        assert_eq!(wheel.turn(i32::MIN), -NOTCHES_MAX);
    }
}
