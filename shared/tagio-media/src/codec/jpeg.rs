//! JPEG: photographs that are shown before they are exact, and films where H.264 is off.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use tagio_wire::{Rect, Size};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{EncodeError, VideoError};
use crate::{
    Framebuffer, View,
    pixels::{self, BYTES_PER_PIXEL, RGB_BYTES},
};

const NAME: &str = "JPEG";

/// From this quality on, colour has the full resolution.
const FULL_COLOUR_QUALITY: u8 = 90;

/// Most scans of a file: ours have one. A progressive file repeats all its work with each.
const SCANS_MAX: usize = 4;

/// Encodes `rect` of the view, with a quality of 1 to 100.
///
/// # Errors
/// [`EncodeError::Library`] for an empty rectangle and for one with a side above 65 535 pixels.
pub fn encode(view: &View<'_>, rect: Rect, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let (Ok(width), Ok(height)) = (u16::try_from(rect.width), u16::try_from(rect.height)) else {
        return Err(refused("its sides are too long"));
    };
    let mut file = Vec::with_capacity(rect.area() as usize / 4);
    let mut encoder = Encoder::new(&mut file, quality.clamp(1, 100));
    let sampling = if quality < FULL_COLOUR_QUALITY { SamplingFactor::F_2_2 } else { SamplingFactor::F_1_1 };
    encoder.set_sampling_factor(sampling);
    if let Some(rows) = view.rows(rect) {
        let mut bgrx = Vec::with_capacity(rect.area() as usize * BYTES_PER_PIXEL);
        rows.for_each(|row| bgrx.extend_from_slice(row));
        encoder.encode(&bgrx, width, height, ColorType::Bgra).map_err(refused)?;
    } else {
        let mut rgb = vec![0; rect.area() as usize * RGB_BYTES];
        let row_bytes = (rect.width as usize * RGB_BYTES).max(1);
        for (row, y) in rgb.chunks_exact_mut(row_bytes).zip(rect.y..) {
            view.pack_row(rect.x, y, row);
        }
        encoder.encode(&rgb, width, height, ColorType::Rgb).map_err(refused)?;
    }
    Ok(file)
}

/// Decodes a file that must be as large as `rect` to that place of `shown`. Of one that fails, no pixel is shown.
///
/// # Errors
/// [`VideoError`].
pub fn decode(jpeg: &[u8], rect: Rect, shown: &mut Framebuffer) -> Result<(), VideoError> {
    if rect.is_empty() || !rect.fits(shown.size()) {
        return Err(VideoError::OutOfBounds(NAME));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(rect.width as usize)
        .set_max_height(rect.height as usize)
        .jpeg_set_max_scans(SCANS_MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged("it has no size"))?;
    let size = Size::new(width as u32, height as u32);
    if size != Size::new(rect.width, rect.height) {
        return Err(VideoError::Misfit { codec: NAME, size });
    }
    let mut rgb = vec![0; rect.area() as usize * RGB_BYTES];
    decoder.decode_into(&mut rgb).map_err(damaged)?;
    let row_bytes = rect.width as usize * RGB_BYTES;
    for (to, from) in shown.rows_mut(rect).zip(rgb.chunks_exact(row_bytes)) {
        pixels::bgrx_from_rgb(to, from);
    }
    Ok(())
}

fn refused(reason: impl ToString) -> EncodeError {
    EncodeError::Library { codec: NAME, reason: reason.to_string() }
}

fn damaged(reason: impl ToString) -> VideoError {
    VideoError::Damaged { codec: NAME, reason: reason.to_string() }
}
