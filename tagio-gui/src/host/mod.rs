//! The host's hands and eyes: reading the screen, sending it, and doing what viewers do.

pub mod capture;
pub mod hands;
pub mod inject;
pub mod picture;
