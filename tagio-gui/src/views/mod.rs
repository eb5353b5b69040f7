//! The screens. Each reads a snapshot and its own small state, and emits commands; none calls the engine.

pub mod accept;
pub mod banner;
pub mod home;
mod parts;
pub mod player;
pub mod session;
pub mod settings;
pub mod tunnels;
pub mod words;
