//! One band through zstd and back.
//!
//! A frame's header is the same for every band, so it is not sent.

use zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, SafeResult, get_error_name};

/// The header of every frame: the magic number, a descriptor that announces neither length, dictionary nor
/// checksum, and the exponent of the window less 10, shifted by 3 (RFC 8878, section 3.1.1.1). A decoder that
/// has all of the prefix and the output in memory needs no window, so one that is always large enough does.
const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, ((WINDOW_LOG - 10) << 3) as u8];

/// zstd finds matches as far back as 2 to this power bytes. More than the largest band with its prefix on the
/// widest screen; zstd lowers it by itself where less will do.
const WINDOW_LOG: u32 = 25;

/// The same for parts without a prefix: one block.
const PARTS_WINDOW_LOG: u32 = 17;

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
    set_up(context, level, WINDOW_LOG, prefix.len() + data.len())?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix)?;
    }
    context.compress2(out, data)
}

/// Like [`compress`] without a prefix, of parts that have little to do with each other: each gets blocks of its own,
/// and so statistics of its own.
pub(super) fn compress_parts<'a>(
    parts: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut frame = Vec::new();
    stream_parts(parts, &mut frame).map_err(get_error_name)?;
    out.extend_from_slice(&frame[HEADER.len()..]);
    debug_assert!(frame[..5] == HEADER[..5]);
    Ok(())
}

fn stream_parts<'a>(parts: impl Iterator<Item = &'a [u8]>, frame: &mut Vec<u8>) -> SafeResult {
    let mut context = CCtx::create();
    // Nothing is to be found far away, and a stream keeps a copy of its window. A decoder that allows for more
    // takes no harm.
    set_up(&mut context, 1, PARTS_WINDOW_LOG, 0)?;
    for part in parts {
        // The library writes into a vector's spare room; what a flush needs beyond the data is little.
        frame.reserve(
            zstd_safe::compress_bound(part.len()) + HEADER.len() + 3 * (part.len() >> PARTS_WINDOW_LOG),
        );
        let (mut input, from) = (InBuffer::around(part), frame.len());
        let mut output = OutBuffer::around_pos(frame, from);
        while input.pos() < part.len() {
            context.compress_stream(&mut output, &mut input)?;
        }
        let left = context.flush_stream(&mut output)?;
        debug_assert_eq!(left, 0, "there is room for all of it");
    }
    frame.reserve(HEADER.len());
    let from = frame.len();
    context.end_stream(&mut OutBuffer::around_pos(frame, from))
}

fn set_up(context: &mut CCtx<'_>, level: i32, window_log: u32, len: usize) -> SafeResult {
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(window_log))?;
    context.set_parameter(CParameter::HashLog(hash_log(len)))?;
    context.set_parameter(CParameter::DictIdFlag(false))?;
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    context.set_parameter(CParameter::ChecksumFlag(false))
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
