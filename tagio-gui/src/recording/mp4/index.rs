//! Where the samples of a file are, found without reading them. The file may come from anybody.

use std::{
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use mp4_atom::{Header, ReadFrom as _};
use tagio_wire::Size;
use thiserror::Error;

use super::tables::{Track, read_fragment};
use crate::recording::nal::ParameterSets;

/// Larger headers and tables are not ours: a table has 20 bytes for each of the samples of a few seconds.
const TABLE_BYTES_MAX: usize = 1 << 20;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else than a film.
    #[error("this is no MP4 file")]
    NotMp4,
    /// A film of somebody else; holds what is missing or strange.
    #[error("this is no recording of TagIO ({0}); another player may show it")]
    NotOurs(&'static str),
    /// It ended before the first picture was in the file.
    #[error("this recording ended before its first picture")]
    Empty,
}

/// One picture's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of its first byte in the file.
    pub offset: u64,
    /// In bytes.
    pub size: u32,
    /// When it is shown, since the recording's start.
    pub start: Duration,
    /// Until when.
    pub end: Duration,
    /// Whether it can be decoded without the ones before it.
    pub is_key: bool,
}

/// All that is known of a file before a picture is decoded.
#[derive(Clone, Debug)]
pub struct Index {
    /// Of the pictures.
    pub size: Size,
    /// What the decoder needs first.
    pub sets: ParameterSets,
    /// In the order of time. INVARIANT: at least one, and the first one is a key.
    pub samples: Vec<Sample>,
    /// Whether there is more behind the last whole fragment that could not be read.
    pub is_cut: bool,
}

impl Index {
    /// Walks through a file.
    ///
    /// # Errors
    /// It cannot be read, or it is not one of ours. A damaged or missing end is none: see [`Self::is_cut`].
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, ReadError> {
        let file_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut walk = Walk::default();
        let is_cut = loop {
            let start = file.stream_position()?;
            if start == file_bytes {
                break !walk.announced.is_empty();
            }
            let Some(atom) = next_atom(file, start, file_bytes) else { break true };
            if start == 0 && &atom.kind != b"ftyp" {
                return Err(ReadError::NotMp4);
            }
            if walk.visit(file, &atom)?.is_none() {
                break true;
            }
            file.seek(SeekFrom::Start(atom.end))?;
        };
        let track = walk.track.ok_or(if file_bytes == 0 { ReadError::Empty } else { ReadError::NotMp4 })?;
        let samples = walk.samples;
        match samples.first() {
            Some(first) if !first.is_key => Err(ReadError::NotOurs("it starts in the middle")),
            Some(_) => Ok(Self { size: track.size, sets: track.sets, samples, is_cut }),
            None => Err(ReadError::Empty),
        }
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.samples.last().map_or(Duration::ZERO, |last| last.end)
    }

    /// The number of the picture that is shown at `time`.
    pub fn at(&self, time: Duration) -> usize {
        self.samples.partition_point(|sample| sample.start <= time).saturating_sub(1)
    }

    /// The last one at or before `sample` that can be decoded by itself.
    pub fn key_for(&self, sample: usize) -> usize {
        let before = &self.samples[..self.samples.len().min(sample + 1)];
        before.iter().rposition(|sample| sample.is_key).unwrap_or(0)
    }
}

/// A box of the file that is there as a whole.
struct AtomPlace {
    kind: [u8; 4],
    start: u64,
    body: usize,
    end: u64,
}

/// The box at `start`; `None` unless all of it is in the file.
fn next_atom(file: &mut (impl Read + Seek), start: u64, file_bytes: u64) -> Option<AtomPlace> {
    let header = Header::read_from(file).ok()?;
    let body_start = file.stream_position().ok()?;
    let body = header.size?;
    let end = body_start.checked_add(body as u64)?;
    (end <= file_bytes).then_some(AtomPlace { kind: header.kind.into(), start, body, end })
}

#[derive(Default)]
struct Walk {
    track: Option<Track>,
    /// Those of the last table, until their bytes have come by.
    announced: Vec<Sample>,
    samples: Vec<Sample>,
}

impl Walk {
    /// Takes in one box of the file; `None` when nothing behind it can be trusted.
    fn visit(&mut self, file: &mut impl Read, atom: &AtomPlace) -> Result<Option<()>, ReadError> {
        match (&atom.kind, &self.track) {
            (b"moov", None) => self.track = Some(Track::read(&read_table(file, atom)?)?),
            (b"moof", Some(track)) => {
                let from = self.samples.last().map_or(Duration::ZERO, |last| last.end);
                let Some(samples) = read_fragment(&read_table(file, atom)?, track, atom.start, from) else {
                    return Ok(None);
                };
                self.announced = samples;
            }
            (b"mdat", _) => {
                let inside = atom.end - atom.body as u64..=atom.end;
                let is_inside = |s: &Sample| {
                    inside.contains(&s.offset) && inside.contains(&(s.offset + u64::from(s.size)))
                };
                if !self.announced.iter().all(is_inside) {
                    return Ok(None);
                }
                self.samples.append(&mut self.announced);
            }
            _ => {}
        }
        Ok(Some(()))
    }
}

fn read_table(file: &mut impl Read, atom: &AtomPlace) -> Result<Vec<u8>, ReadError> {
    if atom.body > TABLE_BYTES_MAX {
        return Err(ReadError::NotOurs("its tables are too large"));
    }
    let mut body = vec![0; atom.body];
    file.read_exact(&mut body)?;
    Ok(body)
}
