//! What both programs need around themselves: logs, a folder for their files, safe writes, named threads.

mod files;
mod logging;
mod threads;

pub use files::{data_dir, write_private};
pub use logging::{LogFormat, init_logging};
pub use threads::spawn_named;
