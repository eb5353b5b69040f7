//! TagIO's desktop client: share a screen, control one, with or without a window.

pub mod app;
pub mod config;
pub mod engine;
pub mod theme;
pub mod views;
pub mod cli;
pub mod commands;
pub mod host;
pub mod viewer;
