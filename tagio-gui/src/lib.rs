//! TagIO's desktop client: share a screen, control one, with or without a window.

pub mod config;
pub mod engine;
pub mod theme;
pub mod cli;
pub mod commands;
pub mod host;
pub mod viewer;
