//! What relayed bytes cost: the relay's UDP and TCP legs beside the simplest forwarder of the same protocol, and the
//! time that a packet spends in the relay. Real programs in processes of their own, over loopback.
//!
//! Run: `scripts/bench-relay.sh`. Linux only, with socat and two cores: what is measured has the first one alone, the
//! load has the second one.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

#[path = "../../tests/common/mod.rs"]
mod common;
mod datagrams;
mod delay;
mod forwarder;
mod load;
mod process;
mod relay;
mod streams;

use load::Figure;
use process::{LOAD_CORE, pin_this};
use relay::Relay;

/// Argument by which this program is the forwarder of datagrams instead.
const FORWARDER: &str = "forward-datagrams";
const FLOWS: [usize; 2] = [1, 200];
/// Datagrams that a sender hands to the system at once: one, and as many as QUIC does at most.
const BURSTS: [usize; 2] = [1, 10];

fn main() {
    if std::env::args().any(|argument| argument == FORWARDER) {
        return forwarder::run();
    }
    pin_this(LOAD_CORE);
    println!("{:<32}{:>24}{:>24}{:>12}", "packets of 1200 bytes", "relay", "simplest forwarder", "share");
    println!(
        "{:<32}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "", "Gb/s", "CPU s/Gb", "Gb/s", "CPU s/Gb", "of its CPU"
    );
    let mut fastest = 0.0_f64;
    for flows in FLOWS {
        for burst in BURSTS {
            let relay = Relay::start();
            let ours = datagrams::throughput(relay.process(), &relay.datagram_flows(flows), burst);
            let forwarder = forwarder::start();
            let theirs = datagrams::throughput(forwarder.process(), &forwarder.flows(flows), burst);
            row(&format!("UDP, {flows} flows, bursts of {burst}"), ours, theirs);
            fastest = fastest.max(ours.gigabits_per_second);
        }
        let relay = Relay::start();
        let ours = streams::throughput(relay.process(), relay.stream_flows(flows));
        let (socat, pairs) = streams::socat(flows);
        row(&format!("TCP, {flows} flows"), ours, streams::throughput(&socat, pairs));
    }
    let relay = Relay::start();
    delay::measure(&relay, fastest / 2.0);
}

fn row(what: &str, ours: Figure, theirs: Figure) {
    let share = 100.0 * theirs.cpu_seconds_per_gigabit / ours.cpu_seconds_per_gigabit;
    println!(
        "{what:<32}{:>12.2}{:>12.3}{:>12.2}{:>12.3}{share:>11.0}%",
        ours.gigabits_per_second,
        ours.cpu_seconds_per_gigabit,
        theirs.gigabits_per_second,
        theirs.cpu_seconds_per_gigabit,
    );
}
