//! Photographs exactly: what is left of each pixel after a guess from its neighbours.
//!
//! Grain has no match anywhere, and zstd alone makes a photograph hardly smaller. The differences between the
//! colours of a pixel and between neighbours are small numbers, of which its entropy coder makes a half to a
//! quarter. The guess is the median edge detector of LOCO-I (Weinberger, Seroussi and Sapiro, 2000; ITU-T T.87,
//! section A.4.1); the colours are told apart as there in T.870: green, and red and blue less green.

use crate::pixels::RGB_BYTES;

/// Keeps differences between colours, which are around zero, away from where bytes wrap around.
const MIDDLE: u8 = 128;

/// Appends the three planes of differences of an image of `width` columns to `out`: green, red less green, blue
/// less green.
pub(super) fn predict(rgb: &[u8], width: usize, out: &mut Vec<u8>) {
    let planes: [fn(&[u8; RGB_BYTES]) -> u8; RGB_BYTES] = [
        |[_, green, _]| *green,
        |[red, green, _]| red.wrapping_sub(*green).wrapping_add(MIDDLE),
        |[_, green, blue]| blue.wrapping_sub(*green).wrapping_add(MIDDLE),
    ];
    for plane in planes {
        // Above the image and left of it, all is 0.
        let (mut above, mut row) = (vec![0; width + 1], vec![0; width + 1]);
        for pixels in rgb.chunks_exact(width * RGB_BYTES) {
            for (to, pixel) in row[1..].iter_mut().zip(pixels.as_chunks().0) {
                *to = plane(pixel);
            }
            let neighbours = above.windows(2).zip(&row);
            out.extend(
                row[1..]
                    .iter()
                    .zip(neighbours)
                    .map(|(value, (above, left))| value.wrapping_sub(guess(*left, above[1], above[0]))),
            );
            std::mem::swap(&mut above, &mut row);
        }
    }
}

/// Undoes [`predict`]: `planes` to `rgb`, both of the same length.
pub(super) fn restore(planes: &mut [u8], width: usize, rgb: &mut [u8]) {
    let area = rgb.len() / RGB_BYTES;
    for plane in planes.chunks_exact_mut(area.max(1)) {
        let mut above = vec![0; width];
        for row in plane.chunks_exact_mut(width) {
            let (mut left, mut corner) = (0, 0);
            for (value, above) in row.iter_mut().zip(&mut above) {
                left = value.wrapping_add(guess(left, *above, corner));
                (*value, corner, *above) = (left, *above, left);
            }
        }
    }
    let (green, rest) = planes.split_at(area);
    let (red, blue) = rest.split_at(area);
    let values = green.iter().zip(red).zip(blue);
    for (pixel, ((green, red), blue)) in rgb.as_chunks_mut::<RGB_BYTES>().0.iter_mut().zip(values) {
        let whole = |less: &u8| less.wrapping_add(*green).wrapping_sub(MIDDLE);
        *pixel = [whole(red), *green, whole(blue)];
    }
}

/// The median of left, above, and what a plane through the three neighbours would have.
fn guess(left: u8, above: u8, corner: u8) -> u8 {
    let slope = i16::from(left) + i16::from(above) - i16::from(corner);
    slope.clamp(i16::from(left.min(above)), i16::from(left.max(above))) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(rgb: &[u8], width: usize) -> Vec<u8> {
        let mut planes = Vec::new();
        predict(rgb, width, &mut planes);
        let mut back = vec![0; rgb.len()];
        restore(&mut planes.clone(), width, &mut back);
        assert_eq!(back, rgb);
        planes
    }

    #[test]
    fn any_pixels_come_back() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for (width, height) in [(1, 1), (1, 7), (7, 1), (5, 4), (64, 3)] {
            let rgb: Vec<u8> = (0..width * height * RGB_BYTES).map(|_| random()).collect();
            there_and_back(&rgb, width);
        }
    }

    #[test]
    fn a_slope_leaves_nothing() {
        let (width, height) = (20, 20);
        let rgb: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x + 2 * y) as u8 + 9, (x + 2 * y) as u8, 40]))
            .collect();
        let planes = there_and_back(&rgb, width);
        let inside = planes[..width * height].chunks(width).skip(1).flat_map(|row| &row[1..]);
        // The median of a slope is its steeper neighbour: what is left is the flatter step.
        assert!(inside.clone().all(|rest| *rest == 1), "{:?}", inside.collect::<Vec<_>>());
    }
}
