//! Finds what really changed inside damage, which is often only a box around it.

use tagio_wire::Rect;

use super::{PREFIX_MARGIN_ROWS, plane::RgbPlane};
use crate::pixels::RGB_BYTES;

/// Unchanged rows beyond which a changed area is cut in two. From here on the prefixes of the two halves do
/// not overlap, so cutting never makes the encoder read more; fewer unchanged rows cost next to nothing.
const SPLIT_ROWS: u32 = 2 * PREFIX_MARGIN_ROWS;

/// Bytes compared at once to find the ends of a change within a row.
const STEP: usize = 32;

/// Appends to `changed` tight rectangles around the pixels of `rect` in which the planes differ, from the top.
pub(super) fn find_changes(old: &RgbPlane, new: &RgbPlane, rect: Rect, changed: &mut Vec<Rect>) {
    let mut open: Option<Rect> = None;
    for (y, (old, new)) in (rect.y..).zip(old.rows(rect).zip(new.rows(rect))) {
        let Some((first, last)) = differing(old, new) else { continue };
        let (left, right) = (first / RGB_BYTES, last / RGB_BYTES + 1);
        let row = Rect::new(rect.x + left as u32, y, (right - left) as u32, 1);
        open = Some(match open {
            Some(above) if y - above.bottom() <= SPLIT_ROWS => above.union(row),
            Some(above) => {
                changed.push(above);
                row
            }
            None => row,
        });
    }
    changed.extend(open);
}

/// The first and the last byte in which two rows of equal length differ.
fn differing(old: &[u8], new: &[u8]) -> Option<(usize, usize)> {
    if old == new {
        return None;
    }
    let (old_steps, new_steps) = (old.chunks(STEP), new.chunks(STEP));
    let step = old_steps.zip(new_steps).position(|(old, new)| old != new)?;
    let pairs = || old.iter().zip(new);
    let first = step * STEP + pairs().skip(step * STEP).position(|(old, new)| old != new)?;
    let (old_steps, new_steps) = (old.rchunks(STEP), new.rchunks(STEP));
    let step = old_steps.zip(new_steps).position(|(old, new)| old != new)?;
    let same = step * STEP + pairs().rev().skip(step * STEP).position(|(old, new)| old != new)?;
    Some((first, old.len() - 1 - same))
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;
    use crate::{Framebuffer, View};

    const SCREEN: Size = Size::new(100, 400);

    /// What is found when exactly `pixels` change on a black screen.
    fn found(pixels: &[(u32, u32)]) -> Vec<Rect> {
        let mut screen = Framebuffer::new(SCREEN);
        for &(x, y) in pixels {
            screen.rows_mut(Rect::new(x, y, 1, 1)).for_each(|pixel| pixel[0] = 1);
        }
        let (mut old, mut new) = (RgbPlane::default(), RgbPlane::default());
        old.reset(SCREEN);
        new.reset(SCREEN);
        new.pack(&View::whole(&screen), SCREEN.rect());
        let mut changed = Vec::new();
        find_changes(&old, &new, SCREEN.rect(), &mut changed);
        changed
    }

    #[test]
    fn a_box_shrinks_to_what_changed() {
        assert_eq!(found(&[]), []);
        assert_eq!(found(&[(99, 399)]), [Rect::new(99, 399, 1, 1)]);
        assert_eq!(found(&[(20, 7), (40, 9), (5, 10)]), [Rect::new(5, 7, 36, 4)]);
    }

    #[test]
    fn long_unchanged_runs_split() {
        let below = 1 + SPLIT_ROWS;
        assert_eq!(found(&[(3, 0), (50, below)]), [Rect::new(3, 0, 48, below + 1)]);
        assert_eq!(
            found(&[(3, 0), (50, below + 1)]),
            [Rect::new(3, 0, 1, 1), Rect::new(50, below + 1, 1, 1)]
        );
    }
}
