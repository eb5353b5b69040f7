//! What tests need of the world: X displays, programs, folders, networks; and the checks of the repository itself.

#![expect(clippy::print_stderr, reason = "what a test saw or skipped belongs on its stderr")]

mod temp_dir;

pub use temp_dir::TempDir;
