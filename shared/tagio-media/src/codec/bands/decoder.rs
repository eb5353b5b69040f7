//! The viewer's half: bands back to pixels. Trusts nothing that it is given.

use tagio_wire::{
    Rect, Size, limits,
    picture::{Band, Codec},
};
use thiserror::Error;

use super::{plane::RgbPlane, predict, prefix_rect, rgb_len, zstd};
use crate::{Framebuffer, Region, pixels};

/// Why bands could not be applied. The stream is broken then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BandError {
    /// Sizes or places that cannot be.
    #[error("a size or a band is out of bounds")]
    Unsound,
    /// Not an exact codec.
    #[error("a band is not exact")]
    Foreign,
    /// The payload is not what it should be.
    #[error("a band is damaged: {0}")]
    Damaged(&'static str),
}

/// Decodes exact bands, and owns the viewer's base.
#[derive(Default)]
pub struct BandDecoder {
    /// What every prefix and copy refers to.
    base: RgbPlane,
    /// One band's prefix.
    prefix: Vec<u8>,
    /// One band's payload as zstd wants it.
    frame: Vec<u8>,
    /// One band's differences.
    planes: Vec<u8>,
    /// The pixels of all bands of an update for the base, back to back.
    rgb: Vec<u8>,
    /// The pixels of all copies of an update for what is shown, back to back.
    bgrx: Vec<u8>,
}

impl BandDecoder {
    /// A decoder for a viewer that has no picture yet; its size is 0 by 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the exact bands of one update, each with its payload, to the base and to `shown`, and returns
    /// what changed in `shown`. Both start black when `picture` is not their size, and then all of `shown` has changed.
    /// Nothing changes on an error.
    pub fn apply(
        &mut self,
        picture: Size,
        bands: &[(Band, &[u8])],
        shown: &mut Framebuffer,
    ) -> Result<Region, BandError> {
        check(picture, bands)?;
        let starts = self.base.size() != picture || shown.size() != picture;
        let black = starts.then(|| RgbPlane::black(picture));
        self.read(bands, black.as_ref())?;
        if let Some(black) = black {
            self.base = black;
            *shown = Framebuffer::new(picture);
        }
        self.write(bands, shown);
        let mut changed = if starts { Region::whole(picture) } else { Region::new() };
        bands.iter().for_each(|(band, _)| changed.add(band.rect));
        Ok(changed)
    }

    /// Fills `rgb` with the new pixels of all bands: all is read before anything is written.
    fn read(&mut self, bands: &[(Band, &[u8])], black: Option<&RgbPlane>) -> Result<(), BandError> {
        let base = black.unwrap_or(&self.base);
        self.rgb.resize(bands.iter().map(|(band, _)| rgb_len(band.rect)).sum(), 0);
        let mut rgb = self.rgb.as_mut_slice();
        for (band, payload) in bands {
            let (pixels, rest) = rgb.split_at_mut(rgb_len(band.rect));
            match band.codec {
                Codec::ZstdPrefix => {
                    self.prefix.clear();
                    base.append_rect(prefix_rect(band.rect, base.size()), &mut self.prefix);
                    zstd::decompress(&self.prefix, payload, pixels, &mut self.frame)
                        .map_err(BandError::Damaged)?;
                }
                Codec::ZstdPredicted => {
                    self.planes.resize(pixels.len(), 0);
                    zstd::decompress(&[], payload, &mut self.planes, &mut self.frame)
                        .map_err(BandError::Damaged)?;
                    predict::restore(&mut self.planes, band.rect.width as usize, pixels);
                }
                Codec::Copy { x, y } => base.read_rect(Rect { x, y, ..band.rect }, pixels),
                Codec::Jpeg => return Err(BandError::Foreign),
            }
            rgb = rest;
        }
        Ok(())
    }

    /// Writes what was read.
    fn write(&mut self, bands: &[(Band, &[u8])], shown: &mut Framebuffer) {
        self.bgrx.clear();
        for (band, _) in bands {
            if let Codec::Copy { x, y } = band.codec {
                shown.rows(Rect { x, y, ..band.rect }).for_each(|row| self.bgrx.extend_from_slice(row));
            }
        }
        let (mut rgb, mut bgrx) = (self.rgb.as_slice(), self.bgrx.as_slice());
        for (band, _) in bands {
            let (new, rest) = rgb.split_at(rgb_len(band.rect));
            rgb = rest;
            self.base.write_rect(band.rect, new);
            if let Codec::Copy { .. } = band.codec {
                for row in shown.rows_mut(band.rect) {
                    let (new, rest) = bgrx.split_at(row.len());
                    row.copy_from_slice(new);
                    bgrx = rest;
                }
            } else {
                let row_bytes = band.rect.width as usize * pixels::RGB_BYTES;
                for (row, new) in shown.rows_mut(band.rect).zip(new.chunks_exact(row_bytes)) {
                    pixels::bgrx_from_rgb(row, new);
                }
            }
        }
    }
}

/// Refuses sizes and places that cannot be. The bands together may hold no more pixels than the picture, as
/// an encoder's never overlap: that bounds the memory and the time that one update can ask for.
fn check(picture: Size, bands: &[(Band, &[u8])]) -> Result<(), BandError> {
    let side_max = picture.width.max(picture.height);
    let area = bands.iter().map(|(band, _)| band.rect.area()).fold(0, u64::saturating_add);
    let sound = side_max <= limits::SCREEN_SIDE_MAX
        && picture.area() <= limits::SCREEN_AREA_MAX
        && bands.len() <= limits::BANDS_MAX
        && area <= picture.area()
        && bands.iter().all(|(band, payload)| is_sound(*band, payload, picture));
    if sound { Ok(()) } else { Err(BandError::Unsound) }
}

fn is_sound(band: Band, payload: &[u8], picture: Size) -> bool {
    let codec_ok = match band.codec {
        Codec::Copy { x, y } => payload.is_empty() && Rect { x, y, ..band.rect }.fits(picture),
        Codec::ZstdPrefix | Codec::Jpeg | Codec::ZstdPredicted => true,
    };
    codec_ok && !band.rect.is_empty() && band.rect.fits(picture) && band.len as usize == payload.len()
}
