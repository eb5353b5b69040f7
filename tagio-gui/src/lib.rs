//! TagIO's desktop client: share a screen, control one, with or without a window.
//!
//! `commands` puts the parts together; `engine` runs sessions; `host` and `viewer` are its hands on the system;
//! `app`, `views` and `theme` are the windows, which know the engine only by `engine::status`.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod host;
pub mod recording;
pub mod theme;
pub mod viewer;
pub mod views;
#[cfg(windows)]
pub mod windows_console;
#[cfg(target_os = "linux")]
mod x11_shm;
