//! Pictures with their times into one file. No thread and no clock: whoever calls decides when.

use std::{io::Write, time::Duration};

use tagio_media::{
    Framebuffer,
    codec::{
        EncodeError,
        h264::{FrameTarget, H264Encoder},
    },
};
use tagio_wire::Size;
use thiserror::Error;

use super::{
    mp4::{Mp4Writer, WriteError},
    nal::{ParameterSets, sample_of},
};

/// Constant quality, whatever it costs: letters keep their edges, and films look as they did.
const QUALITY: FrameTarget = FrameTarget { bytes: usize::MAX / 64, qp_min: QP, qp_max: QP };
/// Of 1 to 51, finest first.
const QP: u8 = 20;
/// Between two places to seek to, while the picture changes.
const KEY_INTERVAL: Duration = Duration::from_secs(5);
/// The same on a still screen, where a key costs as much but what lies between costs nothing.
const KEY_INTERVAL_STILL: Duration = Duration::from_secs(60);

/// Why a recording ends before it should.
#[derive(Debug, Error)]
pub enum FilmError {
    /// Larger than the encoder takes, or hardly there.
    #[error("a screen of {} x {} pixels cannot be recorded; the largest is 3840 x 2160", .0.width, .0.height)]
    Size(Size),
    /// The encoder fails.
    #[error("the picture could not be encoded: {0}")]
    Encoder(String),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// One file in the making, of pictures of one size.
pub struct Film<W> {
    encoder: H264Encoder,
    stage: Stage<W>,
    key_at: Option<Duration>,
    /// The encoder gave nothing for the last picture, and wants to begin anew.
    needs_key: bool,
}

/// The file's header needs what only the first encoded picture tells.
enum Stage<W> {
    Empty(W),
    Rolling(Mp4Writer<W>),
    /// The header could not be written.
    Lost,
}

impl<W: Write> Film<W> {
    /// Begins a film. Nothing is written before the first picture.
    ///
    /// # Errors
    /// The encoder does not take pictures of this size.
    pub fn new(out: W, size: Size) -> Result<Self, FilmError> {
        if !H264Encoder::accepts(size) {
            return Err(FilmError::Size(size));
        }
        let encoder = H264Encoder::new(size)?;
        Ok(Self { encoder, stage: Stage::Empty(out), key_at: None, needs_key: true })
    }

    /// Of its pictures.
    pub fn size(&self) -> Size {
        self.encoder.size()
    }

    /// Whether there is a picture in it.
    pub fn is_rolling(&self) -> bool {
        matches!(self.stage, Stage::Rolling(_))
    }

    /// Adds a picture of the film's size, which is shown from `at` on, since the film's start.
    ///
    /// # Errors
    /// See [`FilmError`]; nothing more can be added then.
    pub fn picture(&mut self, picture: &Framebuffer, at: Duration) -> Result<(), FilmError> {
        self.add(picture, at, KEY_INTERVAL)
    }

    /// Nothing has changed until `at`: repeats the last picture, so that what came before gets into the file.
    ///
    /// # Errors
    /// See [`FilmError`]; nothing more can be added then.
    pub fn still(&mut self, picture: &Framebuffer, at: Duration) -> Result<(), FilmError> {
        if self.is_rolling() { self.add(picture, at, KEY_INTERVAL_STILL) } else { Ok(()) }
    }

    /// Ends the file; the last picture is shown until `at`. Returns the file as it was if no picture came.
    ///
    /// # Errors
    /// The last fragment cannot be written.
    pub fn finish(self, at: Duration) -> Result<W, FilmError> {
        match self.stage {
            Stage::Empty(out) => Ok(out),
            Stage::Rolling(writer) => Ok(writer.finish(at)?),
            Stage::Lost => Err(not_begun()),
        }
    }

    fn add(&mut self, picture: &Framebuffer, at: Duration, key_interval: Duration) -> Result<(), FilmError> {
        let is_due = self.key_at.is_none_or(|key_at| at.saturating_sub(key_at) >= key_interval);
        let as_key = is_due || self.needs_key;
        let frame = self.encoder.encode_whole(picture, as_key, QUALITY)?;
        self.needs_key = frame.is_none();
        let Some(frame) = frame else { return Ok(()) };
        if frame.is_keyframe {
            self.key_at = Some(at);
        }
        let writer = self.stage.rolling(self.encoder.size(), &frame.payload)?;
        Ok(writer.sample(at, frame.is_keyframe, &sample_of(&frame.payload))?)
    }
}

impl<W: Write> Stage<W> {
    /// The writer, begun with the parameter sets of the `first` frame.
    fn rolling(&mut self, size: Size, first: &[u8]) -> Result<&mut Mp4Writer<W>, FilmError> {
        if let Self::Empty(_) = self {
            let sets = ParameterSets::find(first).ok_or_else(not_begun)?;
            if let Self::Empty(out) = std::mem::replace(self, Self::Lost) {
                // As the encoder rounds it.
                let size = Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2));
                *self = Self::Rolling(Mp4Writer::new(out, size, &sets)?);
            }
        }
        match self {
            Self::Rolling(writer) => Ok(writer),
            Self::Empty(_) | Self::Lost => Err(not_begun()),
        }
    }
}

impl From<EncodeError> for FilmError {
    fn from(error: EncodeError) -> Self {
        Self::Encoder(error.to_string())
    }
}

fn not_begun() -> FilmError {
    FilmError::Encoder("the file could not be begun".to_owned())
}
