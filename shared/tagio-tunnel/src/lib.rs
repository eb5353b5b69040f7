//! Reverse tunnels: the client, and what both ends do with bytes.
//!
//! [`client::run`] keeps one tunnel open: a control connection, data connections that wait for visitors, and a way to
//! the local targets. [`pipe`] moves a visitor's bytes, on Linux within the kernel. The relay's side is in
//! `tagio_relay_server`.
#![warn(missing_docs)]

pub mod client;
pub mod datagrams;
pub mod frames;
pub mod greeting;
pub mod inspect;
pub mod pipe;
pub mod proof;
pub mod stream;
pub mod trunk;
pub mod tuning;
