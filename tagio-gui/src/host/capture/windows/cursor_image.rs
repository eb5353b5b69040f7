//! From the bitmaps of a Windows cursor to an image with transparency. Pure; runs on the picture thread.
//!
//! A cursor has a mask, and colours unless it is monochrome. Per pixel, the screen is first "anded" with the
//! mask and then "xored" with the colour, so that a pixel can be the screen's own, inverted. Newer colours
//! have an alpha channel, which then counts alone.

use tagio_wire::{Point, Size, limits, picture::CursorShape};

const BLACK: [u8; 4] = [0, 0, 0, 255];
const WHITE: [u8; 4] = [255, 255, 255, 255];
const CLEAR: [u8; 4] = [0; 4];

/// The blue, green and red of a pixel.
const COLOUR: u32 = 0x00ff_ffff;

/// A bitmap: 0xAARRGGBB, from the top left.
pub(super) struct Bits {
    pub(super) size: Size,
    pub(super) pixels: Vec<u32>,
}

/// What a pixel of a cursor without alpha does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pixel {
    Clear,
    Inverts,
    Shows([u8; 4]),
}

/// The image of a cursor. Without colours, the lower half of the mask stands for them.
pub(super) fn shape(mask: &Bits, colour: Option<&Bits>, hotspot: Point) -> CursorShape {
    let (size, rgba) = match colour {
        Some(colour) if colour.pixels.iter().any(|pixel| pixel >> 24 != 0) => {
            (colour.size, colour.pixels.iter().copied().map(rgba).collect())
        }
        Some(colour) => (colour.size, drawn(colour.size, &mask.pixels, &colour.pixels)),
        None => {
            let size = Size::new(mask.size.width, mask.size.height / 2);
            let (and, xor) = mask.pixels.split_at(size.area() as usize);
            (size, drawn(size, and, xor))
        }
    };
    cut(size, hotspot, &rgba)
}

fn drawn(size: Size, and: &[u32], xor: &[u32]) -> Vec<[u8; 4]> {
    let pixels: Vec<Pixel> = and.iter().zip(xor).map(|(and, xor)| pixel(*and, *xor)).collect();
    let shown = pixels.iter().enumerate().map(|(i, pixel)| match pixel {
        Pixel::Shows(colour) => *colour,
        // No viewer can invert what is below; black with a white seam is seen on every ground.
        Pixel::Inverts => BLACK,
        Pixel::Clear if touches_inverted(&pixels, size, i) => WHITE,
        Pixel::Clear => CLEAR,
    });
    shown.collect()
}

fn pixel(and: u32, xor: u32) -> Pixel {
    match (and & COLOUR != 0, xor & COLOUR != 0) {
        (true, true) => Pixel::Inverts,
        (true, false) => Pixel::Clear,
        (false, _) => Pixel::Shows(rgba(xor | !COLOUR)),
    }
}

fn touches_inverted(pixels: &[Pixel], size: Size, at: usize) -> bool {
    let (width, height) = (size.width as usize, size.height as usize);
    let (x, y) = (at % width, at / width);
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    rows.flat_map(|row| &pixels[row * width..][x.saturating_sub(1)..(x + 2).min(width)])
        .any(|pixel| *pixel == Pixel::Inverts)
}

fn rgba(argb: u32) -> [u8; 4] {
    let [blue, green, red, alpha] = argb.to_le_bytes();
    [red, green, blue, alpha]
}

/// The image in the wire's form, cut to the largest size that may be sent.
fn cut(size: Size, hotspot: Point, rgba: &[[u8; 4]]) -> CursorShape {
    let kept = Size::new(size.width.min(limits::CURSOR_SIDE_MAX), size.height.min(limits::CURSOR_SIDE_MAX));
    let rows = rgba.chunks_exact((size.width as usize).max(1)).take(kept.height as usize);
    let pixels = rows.flat_map(|row| &row[..kept.width as usize]);
    let inside = |at: i32, side: u32| at.clamp(0, (side as i32 - 1).max(0));
    CursorShape {
        size: kept,
        hotspot: Point::new(inside(hotspot.x, kept.width), inside(hotspot.y, kept.height)),
        rgba: pixels.flatten().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: u32 = COLOUR;

    fn bits(width: u32, pixels: &[u32]) -> Bits {
        Bits { size: Size::new(width, pixels.len() as u32 / width), pixels: pixels.to_vec() }
    }

    #[test]
    fn a_monochrome_cursor_has_black_white_clear_and_inverted_pixels() {
        let mask = bits(5, &[0, 0, SET, SET, SET, /* xor */ 0, SET, 0, 0, SET]);
        let shape = shape(&mask, None, Point::new(4, 0));
        assert_eq!(shape.size, Size::new(5, 1));
        assert_eq!(shape.rgba.as_chunks().0, [BLACK, WHITE, CLEAR, WHITE, BLACK]);
        assert!(shape.is_sound());
    }

    #[test]
    fn alpha_counts_alone_where_there_is_one() {
        let colour = bits(2, &[0x8010_2030, 0x0000_0000]);
        let shape = shape(&bits(2, &[0, 0]), Some(&colour), Point::default());
        assert_eq!(shape.rgba, [0x10, 0x20, 0x30, 0x80, 0, 0, 0, 0]);
    }

    #[test]
    fn colours_without_alpha_are_cut_out_by_the_mask() {
        let colour = bits(2, &[0x0010_2030, 0]);
        let shape = shape(&bits(2, &[0, SET]), Some(&colour), Point::default());
        assert_eq!(shape.rgba, [0x10, 0x20, 0x30, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn a_huge_cursor_is_cut_to_what_may_be_sent() {
        let side = limits::CURSOR_SIDE_MAX + 10;
        let colour = bits(side, &vec![0xff00_0000; (side * side) as usize]);
        let mask = bits(side, &vec![0; (side * side) as usize]);
        let shape = shape(&mask, Some(&colour), Point::new(side as i32, 3));
        assert!(shape.is_sound());
        assert_eq!(shape.hotspot, Point::new(limits::CURSOR_SIDE_MAX as i32 - 1, 3));
    }
}
