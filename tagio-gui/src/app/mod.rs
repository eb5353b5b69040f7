//! The two windows: wiring between snapshots, views and commands. Runs on the main thread and never blocks.

mod clipboard;
mod home;
pub mod input_capture;
mod input_line;
mod keys;
mod outbox;
mod player;
mod run;
mod session;
mod wake;

pub use home::{HomeApp, HomeParts, HostHandle, SealPassword, TunnelsHandle};
pub use input_line::{InputLine, Witness};
pub use player::{PlayerApp, PlayerParts};
pub use run::{run_home, run_player, run_session};
pub use session::{SessionApp, SessionParts, ViewerHandle};
pub use wake::Wake;

pub use crate::views::home::ConnectRequest;
