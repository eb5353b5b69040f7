//! What FFmpeg's prober says of a file.

use std::{io, path::Path, process::Command};

use crate::skipped;

/// Those of a file's `entries`, as `-show_entries` has them, as `key=value` lines; every picture of it is decoded.
/// `None`, and said so, where ffprobe is not installed.
///
/// # Panics
/// ffprobe warns, or cannot be run.
pub fn ffprobe(file: &Path, entries: &str) -> Option<String> {
    let arguments =
        ["-v", "warning", "-count_frames", "-of", "default=noprint_wrappers=1", "-show_entries", entries];
    match Command::new("ffprobe").args(arguments).arg(file).output() {
        Ok(output) => {
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "no warnings");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skipped("ffprobe is not installed");
            None
        }
        Err(error) => panic!("ffprobe: {error}"),
    }
}
