//! One band through zstd and back.
//!
//! A frame's header is the same for every band, so it is not sent.

use zstd_safe::{CCtx, CParameter, DCtx, SafeResult, get_error_name};

/// The header of every frame: the magic number, a descriptor that announces neither length, dictionary nor
/// checksum, and the exponent of the window less 10, shifted by 3 (RFC 8878, section 3.1.1.1). A decoder that
/// has all of the prefix and the output in memory needs no window, so one that is always large enough does.
const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, ((WINDOW_LOG - 10) << 3) as u8];

/// zstd finds matches as far back as 2 to this power bytes. More than the largest band with its prefix on the
/// widest screen; zstd lowers it by itself where less will do.
const WINDOW_LOG: u32 = 25;

/// Bounds of the match table: 2 to this power entries of 4 bytes. A small one keeps a typed letter cheap, as
/// it is cleared for each band.
const HASH_LOGS: std::ops::RangeInclusive<u32> = 10..=17;

/// Appends the blocks of one zstd frame of `data` to `out`. Its context lives for this call only, since
/// `zstd-safe` ties a context to every prefix that it ever borrows; that costs one allocation a band.
pub(super) fn compress(
    level: i32,
    prefix: &[u8],
    data: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut context = CCtx::create();
    let from = out.len();
    // `compress2` fills a vector from its start, so the frame gets one of its own.
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
    compress_frame(&mut context, level, prefix, data, &mut frame).map_err(get_error_name)?;
    out.extend_from_slice(&frame[HEADER.len()..]);
    debug_assert!(frame[..5] == HEADER[..5] && out.len() > from);
    Ok(())
}

fn compress_frame<'a>(
    context: &mut CCtx<'a>,
    level: i32,
    prefix: &'a [u8],
    data: &[u8],
    out: &mut Vec<u8>,
) -> SafeResult {
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    context.set_parameter(CParameter::HashLog(hash_log(prefix.len() + data.len())))?;
    context.set_parameter(CParameter::DictIdFlag(false))?;
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix)?;
    }
    context.compress2(out, data)
}

/// Size of a match table for `len` bytes of prefix and data: one entry for four to eight of them.
fn hash_log(len: usize) -> u32 {
    let log = len.max(1).ilog2().saturating_sub(2);
    log.clamp(*HASH_LOGS.start(), *HASH_LOGS.end())
}

/// Undoes [`compress`] into `pixels`, which has exactly their length. `frame` is scratch.
pub(super) fn decompress(
    prefix: &[u8],
    blocks: &[u8],
    pixels: &mut [u8],
    frame: &mut Vec<u8>,
) -> Result<(), &'static str> {
    frame.clear();
    frame.extend_from_slice(&HEADER);
    frame.extend_from_slice(blocks);
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(get_error_name)?;
    let len = context.decompress(pixels, frame).map_err(get_error_name)?;
    if len == pixels.len() { Ok(()) } else { Err("too few pixels") }
}
