//! Damage by comparison, for a screen that does not tell what changed. Pure; runs on the picture thread.

use tagio_media::{BYTES_PER_PIXEL, Framebuffer, Region};
use tagio_wire::Rect;

/// Side of a tile. Smaller ones cost more to keep apart than the pixels that they save.
const TILE: u32 = 64;

/// Copies the tiles that differ from `seen`, rows without padding of the frame's size, and tells which.
pub(super) fn adopt(frame: &mut Framebuffer, seen: &[u8]) -> Region {
    let size = frame.size();
    let stride = frame.stride();
    let mut region = Region::new();
    for y in (0..size.height).step_by(TILE as usize) {
        for x in (0..size.width).step_by(TILE as usize) {
            let tile = Rect::new(x, y, TILE.min(size.width - x), TILE.min(size.height - y));
            if !frame.rows(tile).eq(rows(seen, stride, tile)) {
                for (to, from) in frame.rows_mut(tile).zip(rows(seen, stride, tile)) {
                    to.copy_from_slice(from);
                }
                region.add(tile);
            }
        }
    }
    region
}

/// The bytes of each row of a tile.
fn rows(pixels: &[u8], stride: usize, tile: Rect) -> impl Iterator<Item = &[u8]> {
    let within = tile.x as usize * BYTES_PER_PIXEL..tile.right() as usize * BYTES_PER_PIXEL;
    let all = pixels.chunks_exact(stride).skip(tile.y as usize).take(tile.height as usize);
    all.map(move |row| &row[within.clone()])
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;

    #[test]
    fn only_tiles_that_differ_are_copied_and_told() {
        let size = Size::new(150, 70);
        let mut frame = Framebuffer::new(size);
        let mut seen = frame.clone();
        assert!(adopt(&mut frame, seen.bytes()).is_empty());
        let last = seen.bytes().len() - BYTES_PER_PIXEL;
        seen.bytes_mut()[last] = 7;
        assert_eq!(adopt(&mut frame, seen.bytes()).rects(), [Rect::new(128, 64, 22, 6)]);
        assert_eq!(frame, seen);
    }
}
