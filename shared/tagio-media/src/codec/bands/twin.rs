//! Small changes that look like something already on the screen: most letters that somebody types stand nearby.
//!
//! As a copy a letter costs a tenth of what its pixels do.

use memchr::memmem::Finder;
use tagio_wire::{Point, Rect};

use super::{plane::RgbPlane, rgb_len};
use crate::pixels::RGB_BYTES;

/// Changes of more bytes of RGB are not looked for: no letter is as large.
const TWIN_BYTES_MAX: usize = 12 * 1024;
/// Rows above and below a change in which its twin is looked for. Some lines of text have most letters, and a
/// search through them costs less than a third of a millisecond.
const REACH_ROWS: u32 = 96;

/// Where else in `base` the pixels are that `fresh` has at `rect`.
pub(super) fn find_twin(base: &RgbPlane, fresh: &RgbPlane, rect: Rect) -> Option<Point> {
    if rgb_len(rect) > TWIN_BYTES_MAX {
        return None;
    }
    let (needle_row, needle) = liveliest_row(fresh, rect)?;
    let finder = Finder::new(needle);
    let size = base.size();
    let below = (rect.y..size.height - (rect.height - 1)).take(REACH_ROWS as usize);
    let above = (rect.y.saturating_sub(REACH_ROWS)..rect.y).rev();
    // Nearest first, in turns: the next line of text is as likely as the last one.
    let tops = alternate(below, above);
    tops.into_iter().find_map(|y| {
        let row = base.row(Rect::new(0, y + needle_row, size.width, 1));
        let found = finder.find_iter(row).filter(|at| at % RGB_BYTES == 0);
        let mut places = found.map(|at| Rect { x: (at / RGB_BYTES) as u32, y, ..rect });
        let twin = places.find(|place| base.rows(*place).eq(fresh.rows(rect)))?;
        Some(Point::new(twin.x as i32, twin.y as i32))
    })
}

/// The items of both in turns, and then what is left of the longer one.
fn alternate<T>(a: impl Iterator<Item = T>, b: impl Iterator<Item = T>) -> Vec<T> {
    let (mut a, mut b) = (a.fuse(), b.fuse());
    let turns = std::iter::from_fn(|| match (a.next(), b.next()) {
        (None, None) => None,
        pair => Some(pair),
    });
    turns.flat_map(|(a, b)| a.into_iter().chain(b)).collect()
}

/// The row of `rect` with the most steps from pixel to pixel, and its number: a flat one is found everywhere.
fn liveliest_row(plane: &RgbPlane, rect: Rect) -> Option<(u32, &[u8])> {
    let steps =
        |row: &[u8]| row.as_chunks::<RGB_BYTES>().0.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let (steps, number, row) =
        (0..).zip(plane.rows(rect)).map(|(number, row)| (steps(row), number, row)).max_by_key(|row| row.0)?;
    (steps > 0).then_some((number, row))
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;

    const LETTER: [[u8; 2 * RGB_BYTES]; 2] = [[1, 2, 3, 4, 5, 6], [7, 7, 7, 8, 8, 8]];

    fn plane(letters: &[(u32, u32)]) -> RgbPlane {
        let mut plane = RgbPlane::black(Size::new(40, 400));
        for (x, y) in letters {
            plane.write_rect(Rect::new(*x, *y, 2, 2), LETTER.as_flattened());
        }
        plane
    }

    #[test]
    fn a_letter_is_found_where_it_stands_whole_and_near() {
        let typed = Rect::new(20, 200, 2, 2);
        let fresh = plane(&[(20, 200)]);
        let find = |letters: &[(u32, u32)]| find_twin(&plane(letters), &fresh, typed);
        assert_eq!(find(&[(7, 180)]), Some(Point::new(7, 180)));
        assert_eq!(find(&[(38, 290)]), Some(Point::new(38, 290)));
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[(7, 10)]), None, "too far away");
        let mut half = plane(&[(7, 180)]);
        half.write_rect(Rect::new(7, 181, 2, 1), &[0; 6]);
        assert_eq!(find_twin(&half, &fresh, typed), None);
    }

    #[test]
    fn the_edges_of_the_picture_are_no_obstacle() {
        let fresh = plane(&[(0, 0), (38, 398)]);
        for typed in [Rect::new(0, 0, 2, 2), Rect::new(38, 398, 2, 2)] {
            assert_eq!(find_twin(&plane(&[]), &fresh, typed), None);
            assert_eq!(find_twin(&fresh, &fresh, typed), Some(Point::new(typed.x as i32, typed.y as i32)));
        }
        assert_eq!(find_twin(&fresh, &fresh, Rect::new(10, 10, 5, 5)), None, "flat");
    }
}
