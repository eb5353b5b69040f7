//! One fragment: a table of samples, and their bytes.

use mp4_atom::{Encode as _, FourCC, Header, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::{FLAGS_DELTA, FLAGS_KEY, TRACK_ID};

/// Samples that wait for the end of their fragment.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    entries: Vec<Entry>,
    /// The samples' bytes, back to back.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// In ticks since the start of the recording.
    time: u64,
    size: usize,
    is_key: bool,
}

impl Fragment {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all samples.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// When its first sample is shown.
    pub(super) fn start(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.time)
    }

    /// When its last sample is shown.
    pub(super) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.time)
    }

    /// Whether players can start with it.
    pub(super) fn starts_with_key(&self) -> bool {
        self.entries.first().is_some_and(|entry| entry.is_key)
    }

    /// Takes a sample, which is shown from `time` on.
    pub(super) fn push(&mut self, time: u64, is_key: bool, sample: &[u8]) {
        self.entries.push(Entry { time, size: sample.len(), is_key });
        self.bytes.extend_from_slice(sample);
    }

    /// Its form in the file; the last sample is shown until `end`.
    pub(super) fn encode(&self, sequence_number: u32, end: u64) -> mp4_atom::Result<Vec<u8>> {
        let mut moof = self.moof(sequence_number, end)?;
        let mut table = Vec::new();
        moof.encode(&mut table)?;
        let offset = table.len() + MDAT_HEADER_BYTES;
        if let Some(trun) = moof.traf.first_mut().and_then(|traf| traf.trun.first_mut()) {
            trun.data_offset = Some(i32::try_from(offset).map_err(|_| mp4_atom::Error::InvalidSize)?);
        }
        let mut bytes = Vec::with_capacity(offset + self.bytes.len());
        moof.encode(&mut bytes)?;
        Header { kind: FourCC::new(b"mdat"), size: Some(self.bytes.len()) }.encode(&mut bytes)?;
        bytes.extend_from_slice(&self.bytes);
        Ok(bytes)
    }

    /// The table, with a place for where the bytes start.
    fn moof(&self, sequence_number: u32, end: u64) -> mp4_atom::Result<Moof> {
        let ends = self.entries.iter().skip(1).map(|entry| entry.time).chain([end]);
        let samples = self.entries.iter().zip(ends).map(|(entry, end)| trun_entry(entry, end));
        let samples = samples.collect::<mp4_atom::Result<Vec<_>>>()?;
        Ok(Moof {
            mfhd: Mfhd { sequence_number },
            traf: vec![Traf {
                tfhd: Tfhd { track_id: TRACK_ID, default_base_is_moof: true, ..Tfhd::default() },
                tfdt: Some(Tfdt { base_media_decode_time: self.start() }),
                trun: vec![Trun { data_offset: Some(0), samples: samples.into() }],
                ..Traf::default()
            }],
        })
    }
}

fn trun_entry(entry: &Entry, end: u64) -> mp4_atom::Result<TrunEntry> {
    let too_long = |_| mp4_atom::Error::InvalidSize;
    Ok(TrunEntry {
        duration: Some(u32::try_from(end.saturating_sub(entry.time)).map_err(too_long)?),
        size: Some(u32::try_from(entry.size).map_err(too_long)?),
        flags: Some(if entry.is_key { FLAGS_KEY } else { FLAGS_DELTA }),
        cts: None,
    })
}

/// Size and kind.
const MDAT_HEADER_BYTES: usize = 8;
