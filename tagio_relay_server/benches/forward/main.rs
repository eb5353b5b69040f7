//! What the forward tunnel costs: TCP through it beside a bare QUIC stream of the same library, and UDP with what is lost.
//! Real programs in processes of their own, over loopback.
//!
//! Run: `cargo bench -p tagio_relay_server --bench forward`, with `-- tcp` or `-- udp` for one part. Linux only, with
//! two cores.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

mod bare;
#[path = "../legs/process.rs"]
#[allow(dead_code, reason = "the other bench uses the rest of it")]
mod process;
mod relay;
#[path = "../legs/forwarder/system.rs"]
#[allow(dead_code, reason = "the other bench uses the rest of it")]
mod system;
mod tcp;
mod udp;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == bare::SERVER) {
        return bare::run(&arguments[at + 1]);
    }
    let wants = |part: &str| {
        let named = |argument: &String| ["tcp", "udp"].contains(&argument.as_str());
        !arguments.iter().any(named) || arguments.iter().any(|argument| argument == part)
    };
    if wants("tcp") {
        tcp::measure();
    }
    if wants("udp") {
        udp::measure();
    }
}
