//! Who counts the bytes of a session, and may slow them down.

use std::time::Duration;

/// Belongs to one session, and is dropped with it.
pub trait Meter: Send + Sync {
    /// Bytes of a stream are to go to the other end; how long they wait for it.
    fn outward(&self, bytes: usize) -> Duration;

    /// Bytes of a stream have come from the other end; how long they wait before they go on.
    fn inward(&self, bytes: usize) -> Duration;
}

/// Counts nothing and lets everything go.
impl Meter for () {
    fn outward(&self, _bytes: usize) -> Duration {
        Duration::ZERO
    }

    fn inward(&self, _bytes: usize) -> Duration {
        Duration::ZERO
    }
}
