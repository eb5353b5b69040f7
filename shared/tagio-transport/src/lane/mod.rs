//! A lane: frames one way, each exactly once and in order, which do not wait for a dead path.
//!
//! QUIC sends what was under way on a path again only a good while after that path was given up (noq 1.4.0: when the
//! peer's `PATH_ABANDON` is here, and three probe time-outs later). So the sender of a lane keeps the frames that may
//! not have arrived. When something may be lost with a path, it goes on in another stream, from the oldest of them on;
//! the receiver skips those that it has. The wire format is in `docs/PROTOCOL.md`, "Lanes".

mod joint;
mod kept;
mod receiver;
mod sender;
mod task;
#[cfg(test)]
mod tests;

pub use kept::Memory;
pub use receiver::{LaneEntrance, LaneReceiver, lane_receiver};
pub use sender::LaneSender;
pub use task::Lane;

/// Bytes of a frame's length.
const LENGTH: usize = 4;
