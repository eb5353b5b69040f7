//! The unit in which Windows takes absolute positions. Pure.

/// How many steps Windows divides each side of the desktop into.
const STEPS: i64 = 1 << 16;

/// The step in the middle of pixel `at` of a side of `length` pixels; of the nearest pixel, where there is none.
/// The middle is far from where rounding could lead to its neighbours.
pub(super) fn step_of(at: i32, length: u32) -> i32 {
    let length = i64::from(length.max(1));
    let at = i64::from(at).clamp(0, length - 1);
    i32::try_from((2 * at + 1) * STEPS / (2 * length)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_met_whichever_way_it_is_rounded() {
        for length in [1, 2, 3, 800, 1080, 1366, 3840, 7680, 32_767] {
            for at in 0..length as i32 {
                let step = i64::from(step_of(at, length));
                for steps in [STEPS - 1, STEPS] {
                    assert_eq!(step * i64::from(length) / steps, i64::from(at), "{at} of {length}");
                }
            }
        }
    }

    #[test]
    fn what_lies_outside_is_the_edge() {
        assert_eq!(step_of(i32::MIN, 800), step_of(0, 800));
        assert_eq!(step_of(i32::MAX, 800), step_of(799, 800));
        assert_eq!(step_of(5, 0), step_of(0, 1));
    }
}
