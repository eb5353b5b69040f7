//! Samples into a file, a fragment at a time.

use std::{
    io::{self, Write},
    time::Duration,
};

use mp4_atom::{Encode as _, FragmentInfo, Mfra, Mfro, Tfra};
use tagio_wire::Size;
use thiserror::Error;

use super::{TRACK_ID, fragment::Fragment, header, ticks};
use crate::recording::nal::ParameterSets;

/// What a crash may cost, and how often the disk is written to.
const FRAGMENT_TIME: Duration = Duration::from_secs(2);
/// A fragment ends when it holds more than this, whatever its time: it waits in memory.
const FRAGMENT_BYTES_MAX: usize = 8 << 20;

/// Why nothing more can be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be written has no form in this format.
    #[error("this picture does not fit into an MP4 file: {0}")]
    Format(#[from] mp4_atom::Error),
}

/// Writes one file from its start to its end.
pub struct Mp4Writer<W> {
    out: W,
    fragment: Fragment,
    fragments: u32,
    written_bytes: u64,
    /// Where players can start: the table at the end, which spares them a search.
    keys: Vec<FragmentInfo>,
}

impl<W: Write> Mp4Writer<W> {
    /// Begins a file of pictures of `size`, whose sides are even.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut out: W, size: Size, sets: &ParameterSets) -> Result<Self, WriteError> {
        let header = header::encode(size, sets)?;
        out.write_all(&header)?;
        let written_bytes = header.len() as u64;
        Ok(Self { out, fragment: Fragment::default(), fragments: 0, written_bytes, keys: Vec::new() })
    }

    /// Takes a sample, which is shown from `at` on; not before the one before it.
    ///
    /// # Errors
    /// A finished fragment cannot be written.
    pub fn sample(&mut self, at: Duration, is_key: bool, sample: &[u8]) -> Result<(), WriteError> {
        let mut time = ticks(at);
        if !self.fragment.is_empty() {
            // Two at the same time would be one too many for a player.
            time = time.max(self.fragment.last() + 1);
            let is_due = time - self.fragment.start() >= ticks(FRAGMENT_TIME);
            if is_key || is_due || self.fragment.len() > FRAGMENT_BYTES_MAX {
                self.end_fragment(time)?;
            }
        }
        self.fragment.push(time, is_key, sample);
        Ok(())
    }

    /// Ends the file; the last sample is shown until `at`.
    ///
    /// # Errors
    /// The last fragment cannot be written.
    pub fn finish(mut self, at: Duration) -> Result<W, WriteError> {
        if !self.fragment.is_empty() {
            self.end_fragment(ticks(at).max(self.fragment.last() + 1))?;
        }
        let table = self.table_of_keys()?;
        self.out.write_all(&table)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_fragment(&mut self, end: u64) -> Result<(), WriteError> {
        let fragment = std::mem::take(&mut self.fragment);
        self.fragments += 1;
        let bytes = fragment.encode(self.fragments, end)?;
        if fragment.starts_with_key() {
            let (time, moof_offset) = (fragment.start(), self.written_bytes);
            let place = FragmentInfo { time, moof_offset, traf_number: 1, trun_number: 1, sample_delta: 1 };
            self.keys.push(place);
        }
        self.out.write_all(&bytes)?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// The last box, which says its own length at its end.
    fn table_of_keys(&self) -> Result<Vec<u8>, WriteError> {
        let tfra = Tfra { track_id: TRACK_ID, entries: self.keys.clone() };
        let mut mfra = Mfra { tfra: vec![tfra], mfro: Mfro::default() };
        let mut bytes = Vec::new();
        mfra.encode(&mut bytes)?;
        mfra.mfro.parent_size = u32::try_from(bytes.len()).map_err(|_| mp4_atom::Error::InvalidSize)?;
        bytes.clear();
        mfra.encode(&mut bytes)?;
        Ok(bytes)
    }
}
