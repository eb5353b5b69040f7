//! Recording a session's picture to a file, and reading it back. `docs/RECORDING.md` says what the files are.

mod files;
pub mod film;
mod mailbox;
pub mod mp4;
mod nal;
pub mod playback;
mod recorder;

pub use recorder::{Destination, RecordError, Recorder, Tap};
