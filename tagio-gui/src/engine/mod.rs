//! The engine: everything that runs behind the window or without one.

pub mod status;
