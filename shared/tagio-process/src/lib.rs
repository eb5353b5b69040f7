//! What both programs need around themselves: logs, a folder for their files, safe writes, named threads, open files.

mod files;
mod logging;
mod open_files;
mod threads;

pub use files::{data_dir, write_private};
pub use logging::{LogFormat, init_logging};
pub use open_files::raise_open_files;
pub use threads::spawn_named;
