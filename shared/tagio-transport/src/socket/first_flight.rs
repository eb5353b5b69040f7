//! What QUIC sends over a leg before it is bound.

use std::sync::Mutex;

/// As many as the relay keeps for an end that is not there yet. Later ones go once: QUIC repeats them.
const PACKETS_MAX: usize = 2;

/// The first packets of a leg. They are kept, so that they can go along with what binds it.
#[derive(Debug, Default)]
pub(crate) struct FirstFlight(Mutex<Vec<Vec<u8>>>);

const LOCK: &str = "no thread panics while it holds the packets";

impl FirstFlight {
    pub(super) fn keep(&self, packet: &[u8]) {
        let mut kept = self.0.lock().expect(LOCK);
        if kept.len() < PACKETS_MAX {
            kept.push(packet.to_vec());
        }
    }

    /// Those so far, the oldest first.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        self.0.lock().expect(LOCK).clone()
    }
}
