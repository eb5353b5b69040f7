//! The tables of a file, read one leaf at a time: a box inside a box inside a box cannot exhaust the stack.

use std::time::Duration;

use mp4_atom::{Avcc, Decode, Header, Mdhd, Tfdt, Tfhd, Trun, Visual};
use tagio_wire::Size;

use super::{FLAG_NO_SYNC, ReadError, Sample, TRACK_ID, time_of};
use crate::recording::nal::{LENGTH_BYTES, ParameterSets};

/// A sample of the largest screen that can be recorded is smaller, even without any compression.
const SAMPLE_BYTES_MAX: u32 = 16 << 20;
/// Version, flags and number of entries before the first one of a sample description box.
const STSD_HEADER_BYTES: usize = 8;

/// What the header says of the only track.
pub(super) struct Track {
    pub(super) size: Size,
    pub(super) sets: ParameterSets,
    timescale: u32,
}

impl Track {
    /// Reads the body of a `moov`.
    pub(super) fn read(moov: &[u8]) -> Result<Self, ReadError> {
        let not_ours = ReadError::NotOurs;
        child(moov, b"mvex").ok_or_else(|| not_ours("it has no fragments"))?;
        if children(moov).filter(|(kind, _)| kind == b"trak").count() != 1 {
            return Err(not_ours("it has not exactly one track"));
        }
        let mdia = child(moov, b"trak").and_then(|trak| child(trak, b"mdia"));
        let mdia = mdia.ok_or_else(|| not_ours("its track is empty"))?;
        let timescale = leaf::<Mdhd>(mdia).filter(|mdhd| mdhd.timescale > 0);
        let stbl = child(mdia, b"minf").and_then(|minf| child(minf, b"stbl"));
        let entries =
            stbl.and_then(|stbl| child(stbl, b"stsd")).and_then(|stsd| stsd.get(STSD_HEADER_BYTES..));
        let mut entry =
            entries.and_then(|entries| child(entries, b"avc1")).ok_or_else(|| not_ours("it is not H.264"))?;
        let visual = Visual::decode(&mut entry).map_err(|_| not_ours("its picture has no size"))?;
        let avcc = leaf::<Avcc>(entry).filter(|avcc| usize::from(avcc.length_size) == LENGTH_BYTES);
        let sets = avcc.and_then(|mut avcc| {
            let (sequence, picture) = (avcc.sequence_parameter_sets.pop(), avcc.picture_parameter_sets.pop());
            Some(ParameterSets { sequence: sequence?, picture: picture? })
        });
        Ok(Self {
            size: Size::new(visual.width.into(), visual.height.into()),
            sets: sets.ok_or_else(|| not_ours("its H.264 is of another kind"))?,
            timescale: timescale.ok_or_else(|| not_ours("its clock stands still"))?.timescale,
        })
    }
}

/// Reads the body of a `moof` that starts at `moof_start`, whose samples are not shown before `from`.
/// `None` when it is damaged or of another kind than ours.
pub(super) fn read_fragment(
    moof: &[u8],
    track: &Track,
    moof_start: u64,
    from: Duration,
) -> Option<Vec<Sample>> {
    let traf = child(moof, b"traf")?;
    let tfhd = leaf::<Tfhd>(traf)?;
    let trun = leaf::<Trun>(traf)?;
    if tfhd.track_id != TRACK_ID || !tfhd.default_base_is_moof {
        return None;
    }
    let mut offset = moof_start.checked_add(u64::try_from(trun.data_offset?).ok()?)?;
    let mut time = leaf::<Tfdt>(traf)?.base_media_decode_time;
    if time_of(time, track.timescale) < from {
        return None;
    }
    let mp4_atom::TrunSamples::Explicit(entries) = &trun.samples else { return None };
    let samples = entries.iter().map(|entry| {
        let (size, end) = (entry.size?, time.checked_add(entry.duration?.into())?);
        let sample = Sample {
            offset,
            size: Some(size).filter(|size| *size <= SAMPLE_BYTES_MAX)?,
            start: time_of(time, track.timescale),
            end: time_of(end, track.timescale),
            is_key: entry.flags? & FLAG_NO_SYNC == 0,
        };
        offset = offset.checked_add(size.into())?;
        time = end;
        Some(sample)
    });
    samples.collect()
}

/// The boxes in a box. Ends where one is damaged.
fn children(body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let mut behind = rest;
        let header = Header::decode(&mut behind).ok()?;
        let (body, next) = behind.split_at_checked(header.size?)?;
        rest = next;
        Some((header.kind.into(), body))
    })
}

fn child<'a>(body: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    children(body).find(|(kind, _)| kind == wanted).map(|(_, body)| body)
}

/// The box of this kind, which has none inside it.
fn leaf<T: mp4_atom::Atom>(body: &[u8]) -> Option<T> {
    let kind: [u8; 4] = T::KIND.into();
    T::decode_body(&mut child(body, &kind)?).ok()
}
