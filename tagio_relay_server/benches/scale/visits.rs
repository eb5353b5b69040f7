//! Clients that come and go: what a million of them leave behind in the relay's memory.

use std::time::{Duration, Instant};

use crate::{
    crowd::{each, plain},
    relay::Relay,
};

pub(crate) const VISITS: usize = 1_000_000;
/// Visits before memory is first looked at: by then every address has been seen and all buffers have grown.
const WARM_UP: usize = VISITS / 10;
/// Visitors at a time.
const AT_ONCE: usize = 256;
/// They come from a thousand addresses, again and again.
const NUMBERS: usize = 64_000;
const REST: Duration = Duration::from_secs(3);
/// A thousand addresses stand for all the world.
const LIMITS: &str = "tagio-client-burst = 1000000\n";

/// Prints the relay's memory before and after. The visits are the cheapest honest ones: a greeting by plain TCP, and
/// its answer.
pub(crate) async fn run(visits: usize) {
    let relay = Relay::start(LIMITS);
    come_and_go(&relay, WARM_UP.min(visits)).await;
    let before = relay.resident_bytes();
    let start = Instant::now();
    come_and_go(&relay, visits).await;
    let took = start.elapsed().as_secs_f64();
    let after = relay.resident_bytes();
    println!(
        "{visits} clients came and went in {took:.0} s: {:.2} MB resident before, {:.2} MB after, {:+.1} %",
        before as f64 / 1e6,
        after as f64 / 1e6,
        (after as f64 / before as f64 - 1.0) * 100.0,
    );
}

async fn come_and_go(relay: &Relay, visits: usize) {
    let addr = relay.addr;
    each(visits, AT_ONCE, |number| async move {
        // The kernel may have no port left for a moment; such a visit is made again.
        while plain(number % NUMBERS, addr).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    tokio::time::sleep(REST).await;
}
