//! Titan edge nodes: a POP sends its users' traffic out through nodes, over one WebSocket each.
//!
//! [`wire`] has the messages. [`link`] carries the sessions of one WebSocket and is the same at both ends: [`inbox`] is
//! what the other end has sent in a session, [`session`] makes a stream of it, [`pump`] moves a TCP connection's bytes as
//! fast as a [`meter`] lets them.
//! [`node`] is the node; the POP is in `tagio_relay_server`.
#![warn(missing_docs)]

pub mod inbox;
pub mod link;
pub mod meter;
pub mod node;
pub mod pump;
pub mod session;
mod window;
pub mod wire;
