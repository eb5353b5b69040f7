//! The viewer's half: bands back to pixels. Trusts nothing in header or payload.

use tagio_wire::picture::{Codec, UpdateHeader};
use zstd_safe::{DCtx, SafeResult};

use super::{
    plane::{pack_rect, unpack_rect},
    prefix_rect, rgb_len,
};
use crate::{
    Framebuffer, Region,
    codec::{PictureError, VideoDecoder},
};

/// Decodes [`Codec::ZstdPrefix`]. An update that fails changes no pixel.
#[derive(Default)]
pub struct BandDecoder {
    /// One band's prefix.
    prefix: Vec<u8>,
    /// The pixels of all bands of an update, back to back.
    rgb: Vec<u8>,
}

impl BandDecoder {
    /// A decoder for a session that begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills `rgb` with the pixels of all bands.
    fn decompress(
        &mut self,
        header: &UpdateHeader,
        mut payload: &[u8],
        picture: &Framebuffer,
    ) -> Result<(), PictureError> {
        let damaged = |reason: String| PictureError::Damaged { number: header.number, reason };
        let mut rgb = self.rgb.as_mut_slice();
        for band in &header.bands {
            if band.codec != Codec::ZstdPrefix {
                return Err(damaged("its codec is not known".into()));
            }
            let (packed, later) = payload
                .split_at_checked(band.len as usize)
                .ok_or_else(|| damaged("a band ends beyond the payload".into()))?;
            let (pixels, rest) = rgb
                .split_at_mut_checked(rgb_len(band.rect))
                .ok_or_else(|| damaged("its bands hold too many pixels".into()))?;
            let prefix_at = prefix_rect(band.rect, header.screen);
            self.prefix.resize(rgb_len(prefix_at), 0);
            pack_rect(picture, prefix_at, &mut self.prefix);
            let len = decompress(&self.prefix, packed, pixels)
                .map_err(|code| damaged(zstd_safe::get_error_name(code).to_owned()))?;
            if len != pixels.len() {
                return Err(damaged("a band holds too few pixels".into()));
            }
            (payload, rgb) = (later, rest);
        }
        Ok(())
    }
}

impl VideoDecoder for BandDecoder {
    fn decode(
        &mut self,
        header: &UpdateHeader,
        payload: &[u8],
        picture: &mut Framebuffer,
    ) -> Result<Region, PictureError> {
        if !header.is_sound() || !bands_may_be_disjoint(header) {
            return Err(PictureError::Unsound(header.number));
        }
        if payload.len() != header.payload_len() {
            let reason = format!("{} bytes instead of {}", payload.len(), header.payload_len());
            return Err(PictureError::Damaged { number: header.number, reason });
        }
        let starts = picture.size() != header.screen;
        picture.resize(header.screen);
        self.rgb.resize(header.bands.iter().map(|band| rgb_len(band.rect)).sum(), 0);
        self.decompress(header, payload, picture)?;
        let mut changed = if starts { Region::whole(header.screen) } else { Region::new() };
        let mut rgb = self.rgb.as_slice();
        for band in &header.bands {
            let (pixels, rest) = rgb.split_at(rgb_len(band.rect));
            unpack_rect(picture, band.rect, pixels);
            changed.add(band.rect);
            rgb = rest;
        }
        Ok(changed)
    }
}

/// Whether the bands together hold no more pixels than the screen, as an encoder's never overlap. Bounds the
/// memory and the time that one header can ask for.
fn bands_may_be_disjoint(header: &UpdateHeader) -> bool {
    header.bands.iter().map(|band| band.rect.area()).sum::<u64>() <= header.screen.area()
}

/// Undoes one zstd frame. Its context lives for this call only, as the encoder's does.
fn decompress(prefix: &[u8], packed: &[u8], pixels: &mut [u8]) -> SafeResult {
    let mut context = DCtx::create();
    context.ref_prefix(prefix)?;
    context.decompress(pixels, packed)
}
