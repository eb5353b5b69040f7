//! An open recording: the index, and samples on demand.

use std::io::{Read, Seek, SeekFrom};

use super::{Index, ReadError, Sample};
use crate::recording::nal;

/// A recording that is being played.
#[derive(Debug)]
pub struct Reader<R> {
    file: R,
    index: Index,
}

impl<R: Read + Seek> Reader<R> {
    /// Finds out what the file holds.
    ///
    /// # Errors
    /// See [`Index::read`].
    pub fn open(mut file: R) -> Result<Self, ReadError> {
        let index = Index::read(&mut file)?;
        Ok(Self { file, index })
    }

    /// What it holds.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The bytes of a sample for a decoder; those of a key begin with the parameter sets.
    ///
    /// # Errors
    /// The file cannot be read, or the sample is damaged.
    pub fn stream(&mut self, sample: &Sample) -> Result<Vec<u8>, ReadError> {
        self.file.seek(SeekFrom::Start(sample.offset))?;
        let mut bytes = vec![0; sample.size as usize];
        self.file.read_exact(&mut bytes)?;
        let before = if sample.is_key { self.index.sets.to_stream() } else { Vec::new() };
        nal::stream_of(&bytes, &before).ok_or(ReadError::NotOurs("a picture in it is damaged"))
    }
}
