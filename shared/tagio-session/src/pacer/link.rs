//! How fast a link carries: bytes over the time that it was busy with them.

use std::time::Duration;

/// What decoding and acknowledging add to an update that travels alone. One that waits behind another is
/// measured from acknowledgement to acknowledgement, where it cancels out.
const DECODING: Duration = Duration::from_millis(4);

/// Shortest time that is taken for a measurement: clocks and threads are no finer.
const SERVICE_MIN: Duration = Duration::from_micros(100);

fn busy_seconds(service: Duration, behind: bool) -> f64 {
    let service = if behind { service } else { service.saturating_sub(DECODING) };
    service.max(SERVICE_MIN).as_secs_f64()
}

/// Bytes a second by one measurement; see [`LinkRate::observe`].
pub(super) fn service_rate(bytes: u64, service: Duration, behind: bool) -> f64 {
    bytes as f64 / busy_seconds(service, behind)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LinkRate {
    /// Busy time that it remembers.
    memory: Duration,
    bytes: f64,
    busy_seconds: f64,
}

impl LinkRate {
    pub(super) const fn new(memory: Duration) -> Self {
        Self { memory, bytes: 0.0, busy_seconds: 0.0 }
    }

    /// The link was busy for `service` with `bytes`; `behind` if they waited behind others.
    pub(super) fn observe(&mut self, bytes: u64, service: Duration, behind: bool) {
        self.bytes += bytes as f64;
        self.busy_seconds += busy_seconds(service, behind);
        let forget = self.memory.as_secs_f64() / self.busy_seconds;
        if forget < 1.0 {
            self.bytes *= forget;
            self.busy_seconds *= forget;
        }
    }

    /// The estimate, once there is one.
    pub(super) fn bytes_per_second(&self) -> Option<f64> {
        (self.bytes > 0.0).then(|| self.bytes / self.busy_seconds)
    }

    /// How long the link takes for `bytes`; nothing while that is unknown.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        let seconds = self.bytes_per_second().map_or(0.0, |rate| bytes as f64 / rate);
        // An hour is as good as for ever, and keeps the arithmetic of instants in bounds.
        Duration::from_secs_f64(seconds.min(3600.0))
    }
}
