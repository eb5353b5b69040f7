//! Pixels in memory: the rows of a rectangle, and the way between 4-byte BGRX and 3-byte RGB.
//!
//! Packing works on four pixels as whole words. A loop over single pixels is three times slower, since
//! without SSSE3 (which plain x86-64 lacks) no compiler can turn it into shuffles.

use tagio_wire::Rect;

/// Bytes of one pixel of a framebuffer: blue, green, red, and one that is ignored.
pub const BYTES_PER_PIXEL: usize = 4;

/// Bytes of one pixel on the wire: red, green, blue.
pub(crate) const RGB_BYTES: usize = 3;

/// Where a rectangle lies in rows without padding.
pub(crate) struct Span {
    /// First byte of the top row of the screen that the rectangle touches.
    from: usize,
    /// End of the bottom row.
    to: usize,
    /// Bytes from row to row.
    stride: usize,
    /// The rectangle's bytes within a row.
    within: std::ops::Range<usize>,
}

impl Span {
    /// The place of `rect` on a screen of `width` columns with `pixel_bytes` each. It must fit.
    pub(crate) fn new(rect: Rect, width: u32, pixel_bytes: usize) -> Self {
        let stride = width as usize * pixel_bytes;
        let (left, right) = (rect.x as usize * pixel_bytes, rect.right() as usize * pixel_bytes);
        let (from, to) = (rect.y as usize * stride, rect.bottom() as usize * stride);
        // A stride of 0 would panic in `chunks_exact`; there are no rows then.
        Self { from, to, stride: stride.max(1), within: left..right }
    }

    /// Its rows, from the top.
    pub(crate) fn rows(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let within = self.within;
        bytes[self.from..self.to].chunks_exact(self.stride).map(move |row| &row[within.clone()])
    }

    /// Like [`Self::rows`], to be written.
    pub(crate) fn rows_mut(self, bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
        let within = self.within;
        bytes[self.from..self.to].chunks_exact_mut(self.stride).map(move |row| &mut row[within.clone()])
    }
}

/// Packs pixels to RGB. Both slices hold the same number of pixels.
pub(crate) fn rgb_from_bgrx(rgb: &mut [u8], bgrx: &[u8]) {
    let (quads, last) = bgrx.as_chunks::<{ 4 * BYTES_PER_PIXEL }>();
    let (packed, packed_last) = rgb.as_chunks_mut::<{ 4 * RGB_BYTES }>();
    for (from, to) in quads.iter().zip(packed) {
        let [a, b, c, d] = [0, 4, 8, 12].map(|at| packed_pixel([from[at], from[at + 1], from[at + 2]]));
        let words = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8];
        for (to, word) in to.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
    }
    for (from, to) in last.chunks_exact(BYTES_PER_PIXEL).zip(packed_last.chunks_exact_mut(RGB_BYTES)) {
        to.copy_from_slice(&[from[2], from[1], from[0]]);
    }
}

/// Unpacks pixels from RGB; the ignored byte becomes 0. Both slices hold the same number of pixels.
pub(crate) fn bgrx_from_rgb(bgrx: &mut [u8], rgb: &[u8]) {
    let (quads, last) = rgb.as_chunks::<{ 4 * RGB_BYTES }>();
    let (wide, wide_last) = bgrx.as_chunks_mut::<{ 4 * BYTES_PER_PIXEL }>();
    for (from, to) in quads.iter().zip(wide) {
        let [a, b, c] =
            [0, 4, 8].map(|at| u32::from_le_bytes([from[at], from[at + 1], from[at + 2], from[at + 3]]));
        // The pixel stands in the low three bytes; what lies above is shifted out.
        let pixels = [a, a >> 24 | b << 8, b >> 16 | c << 16, c >> 8];
        for (to, pixel) in to.as_chunks_mut().0.iter_mut().zip(pixels) {
            *to = (pixel << 8).to_be_bytes();
        }
    }
    for (from, to) in last.chunks_exact(RGB_BYTES).zip(wide_last.chunks_exact_mut(BYTES_PER_PIXEL)) {
        to.copy_from_slice(&[from[2], from[1], from[0], 0]);
    }
}

/// One pixel as a number whose low bytes are, in order, red, green and blue.
fn packed_pixel([blue, green, red]: [u8; 3]) -> u32 {
    u32::from_le_bytes([red, green, blue, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_there_and_back_keeps_colours_and_clears_the_ignored_byte() {
        for pixels in 0..23 {
            let bgrx: Vec<u8> = (0..pixels * 4).map(|i| (i * 37 + 11) as u8).collect();
            let mut rgb = vec![0; pixels * 3];
            rgb_from_bgrx(&mut rgb, &bgrx);
            let expected: Vec<u8> = bgrx.chunks(4).flat_map(|p| [p[2], p[1], p[0]]).collect();
            assert_eq!(rgb, expected);
            let mut back = vec![0xaa; pixels * 4];
            bgrx_from_rgb(&mut back, &rgb);
            let expected: Vec<u8> = bgrx.chunks(4).flat_map(|p| [p[0], p[1], p[2], 0]).collect();
            assert_eq!(back, expected);
        }
    }
}
