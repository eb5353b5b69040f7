//! A key press does not wait for a copy in the same session.

mod pair;

use std::time::Duration;

use pair::{Copying, round_trips};

const MESSAGES: usize = 60;
const PAUSE: Duration = Duration::from_millis(10);

/// A message that has to wait for what a stream may have on its way waits for two megabytes at the least.
const OVERTAKEN_BYTES_MAX: u64 = 2_000_000;

#[test]
fn keys_overtake_a_copy_from_the_viewer() {
    overtakes(Copying::ToHost);
}

#[test]
fn keys_and_answers_overtake_a_copy_from_the_host() {
    overtakes(Copying::ToViewer);
}

fn overtakes(copying: Copying) {
    let trips = round_trips(copying, MESSAGES, PAUSE);
    let mut bytes: Vec<u64> = trips.iter().map(|trip| trip.bytes_copied).collect();
    bytes.sort_unstable();
    let median = bytes[bytes.len() / 2];
    let longest = trips.iter().map(|trip| trip.time).max();
    println!(
        "{copying:?}: {median} bytes of the copy came during a round trip; the longest took {longest:?}"
    );
    assert!(median < OVERTAKEN_BYTES_MAX, "{median} bytes of the copy came first");
    assert!(trips.iter().map(|trip| trip.bytes_copied).sum::<u64>() > 0, "nothing was copied");
}
