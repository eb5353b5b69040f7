//! What tests need of the world: X displays, programs, folders, networks; and the checks of the repository itself.
//!
//! Test code, so helpers panic with a message that says what was awaited and what came instead.

#![expect(clippy::print_stderr, reason = "what a test saw or skipped belongs on its stderr")]

pub mod binaries;
mod ffprobe;
pub mod patience;
pub mod picture;
pub mod program;
pub mod seeded;
mod skip;
mod temp_dir;

#[cfg(target_os = "linux")]
pub mod bad_line;
#[cfg(target_os = "linux")]
pub mod canvas;
#[cfg(target_os = "linux")]
pub mod cinema;
#[cfg(target_os = "linux")]
mod desktop;
#[cfg(target_os = "linux")]
pub mod islands;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod lying_dns;
#[cfg(target_os = "linux")]
pub mod namespace;
#[cfg(target_os = "linux")]
pub mod nat_lab;
#[cfg(target_os = "linux")]
pub mod paint;
#[cfg(target_os = "linux")]
pub mod procfs;
#[cfg(target_os = "linux")]
pub mod screen;
#[cfg(target_os = "linux")]
pub mod xvfb;

pub use ffprobe::ffprobe;
pub use patience::{eventually, wait_until};
pub use picture::Picture;
pub use program::Program;
pub use seeded::Seeded;
pub use skip::skipped;
pub use temp_dir::TempDir;

#[cfg(target_os = "linux")]
pub use {
    bad_line::BadLine, canvas::Canvas, cinema::Cinema, islands::Islands, lab::Lab, lying_dns::LyingDns,
    namespace::Namespace, nat_lab::NatLab, screen::Screen, xvfb::Xvfb,
};
