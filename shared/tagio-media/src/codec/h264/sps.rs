//! What a stream claims to hold, read before the library allocates by it.

use memchr::memmem;
use tagio_wire::Size;

/// What stands before every unit (ITU-T H.264, annex B).
const START_CODE: [u8; 3] = [0, 0, 1];
/// Pictures are made of squares of so many pixels a side; what is over is cut off.
pub(super) const MACROBLOCK: u32 = 16;

/// Kinds of units (table 7-1): slices, parameter sets, and what decoders pass over. Others are for layers and
/// partitions, which the library reads and nobody here sends.
const SLICE: u8 = 1;
const KEYFRAME_SLICE: u8 = 5;
const EXTRA: u8 = 6;
const SEQUENCE: u8 = 7;
const PICTURE: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;

/// Profiles: Baseline, Main and High.
const BASELINE: u32 = 66;
const MAIN: u32 = 77;
const HIGH: u32 = 100;

/// Sizes of the pictures that an access unit's sequence parameter sets announce, in whole macroblocks. An error says
/// what in it is none of an honest host's.
pub(super) fn announced_sizes(access_unit: &[u8]) -> Result<Vec<Size>, &'static str> {
    let mut sizes = Vec::new();
    for at in memmem::find_iter(access_unit, &START_CODE) {
        let Some((first, rest)) = access_unit[at + START_CODE.len()..].split_first() else { continue };
        match first & 0x1f {
            SEQUENCE => sizes.push(size_of(Bits::new(rest)).ok_or("an unusual sequence parameter set")?),
            SLICE | KEYFRAME_SLICE | EXTRA | PICTURE | DELIMITER | FILLER => {}
            _ => return Err("an unusual unit"),
        }
    }
    Ok(sizes)
}

/// Reads a sequence parameter set (7.3.2.1.1) as far as its size. `None` for what is not 8-bit 4:2:0 of whole frames.
fn size_of(mut bits: Bits<'_>) -> Option<Size> {
    let profile = bits.take(8)?;
    // Constraints and the level.
    bits.take(16)?;
    let _id = bits.number()?;
    match profile {
        BASELINE | MAIN => {}
        HIGH => {
            let (chroma, luma_depth, chroma_depth) = (bits.number()?, bits.number()?, bits.number()?);
            let (lossless, scaling_lists) = (bits.take(1)?, bits.take(1)?);
            if (chroma, luma_depth, chroma_depth, lossless, scaling_lists) != (1, 0, 0, 0, 0) {
                return None;
            }
        }
        _ => return None,
    }
    let _frame_numbers = bits.number()?;
    match bits.number()? {
        0 => drop(bits.number()?),
        // Pictures come out in the order in which they went in.
        2 => {}
        _ => return None,
    }
    let _references = bits.number()?;
    let _gaps = bits.take(1)?;
    let (columns, rows) = (bits.number()?.checked_add(1)?, bits.number()?.checked_add(1)?);
    let whole_frames = bits.take(1)? == 1;
    let size = Size::new(columns.checked_mul(MACROBLOCK)?, rows.checked_mul(MACROBLOCK)?);
    whole_frames.then_some(size)
}

/// Bits of a unit, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// `None` at the end, and after two zero bytes: they stand before an escape or the next unit, and not in what is
    /// read here of any honest unit. So nothing has to be unescaped, and nothing can be read in two ways.
    fn bit(&mut self) -> Option<u32> {
        let (byte, shift) = (self.at / 8, 7 - self.at % 8);
        if byte >= 2 && self.bytes[byte - 2..byte] == [0, 0] {
            return None;
        }
        self.at += 1;
        Some(u32::from(self.bytes.get(byte)? >> shift & 1))
    }

    /// So many bits, at most 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | self.bit()?))
    }

    /// A number as Exp-Golomb code (9.1).
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        ((1_u32 << zeros) - 1).checked_add(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exp_golomb_codes() {
        // 1, 010, 011, 00100, 00101.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map_while(|_| bits.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(bits.number(), None, "the end");
        assert_eq!(Bits::new(&[0, 0, 3, 0x80]).number(), None, "an escape");
    }

    #[test]
    fn other_units_are_refused() {
        assert_eq!(announced_sizes(&[0, 0, 1, 0x65, 0x88, 0, 0, 0, 1, 0x41, 0]), Ok(vec![]));
        // Nothing follows the start code.
        assert_eq!(announced_sizes(&[9, 0, 0, 1]), Ok(vec![]));
        for kind in [2, 14, 15, 20] {
            assert!(announced_sizes(&[0, 0, 0, 1, 0x60 | kind, 0x88]).is_err(), "{kind}");
        }
        assert!(announced_sizes(&[0, 0, 1, 0x67, 66, 0, 42]).is_err(), "it ends too soon");
    }
}
