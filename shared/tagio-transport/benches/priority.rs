//! How much a copy of many gigabytes in the same session delays a key press, over loopback.
//!
//! Run: `cargo bench -p tagio-transport --bench priority`. A line a case: round trips of 16-byte messages of input's
//! priority, answered with the picture's, while nothing else is sent and while bytes of the lowest priority are.

mod pair;

use std::time::{Duration, Instant};

use pair::{Copying, round_trips};

/// Of each case; with the pause, some 20 seconds.
const MESSAGES: usize = 2000;
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    println!("{:<10}{:>10}{:>10}{:>14}{:>14}", "copy", "p50 ms", "p95 ms", "p50 more ms", "GB copied");
    let mut alone = None;
    for copying in [Copying::Nothing, Copying::ToHost, Copying::ToViewer] {
        let start = Instant::now();
        let trips = round_trips(copying, MESSAGES, PAUSE);
        let elapsed = start.elapsed();
        let mut times: Vec<f64> = trips.iter().map(|trip| trip.time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let (p50, p95) = (times[MESSAGES / 2], times[MESSAGES * 95 / 100]);
        let more = p50 - *alone.get_or_insert(p50);
        // Of the whole case, by what was seen of it during round trips.
        let waited: f64 = times.iter().sum::<f64>() / 1000.0;
        let rate = trips.iter().map(|trip| trip.bytes_copied).sum::<u64>() as f64 / waited;
        let copied = rate * elapsed.as_secs_f64() / 1e9;
        println!("{:<10}{p50:>10.3}{p95:>10.3}{more:>14.3}{copied:>14.1}", format!("{copying:?}"));
    }
}
