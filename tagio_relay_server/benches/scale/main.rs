//! What many clients cost the relay: memory of idle ones, a herd that comes back after a restart, what a million
//! visits leave behind, and what others notice of an attack. The real program, in a process of its own, over
//! loopback, with its default limits; clients come from many addresses.
//!
//! Run: `cargo bench -p tagio_relay_server --bench scale`, with `-- idle`, `storm`, `visits` or `attack` for a part of
//! it. `TAGIO_CLIENTS` and `TAGIO_VISITS` choose other numbers. Linux only: memory comes from `/proc`, and all of
//! 127.0.0.0/8 is this machine.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

mod attack;
#[path = "../../tests/common/mod.rs"]
mod common;
mod crowd;
mod idle;
mod relay;
mod storm;
mod visits;

use std::{env, fs};

/// As many clients at once as the project aims at.
const CLIENTS: usize = 20_000;
/// Open files that a process needs for itself.
const OTHER_FILES: usize = 150;

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Sockets that this process and the relay may have; both need one for each client.
fn sockets_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(4).unwrap().parse::<usize>().unwrap_or(usize::MAX).saturating_sub(OTHER_FILES)
}

#[tokio::main]
async fn main() {
    tagio_relay_server::raise_open_files(0);
    let sockets = sockets_max();
    let wanted = number("TAGIO_CLIENTS", CLIENTS);
    let clients = wanted.min(sockets);
    if clients < wanted {
        println!("{clients} clients instead of {wanted}: `ulimit -Hn` allows no more sockets");
    }
    // cargo itself adds `--bench`.
    let parts: Vec<_> = env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("idle") {
        idle::run(clients, wanted).await;
    }
    if is_wanted("storm") {
        storm::run(clients).await;
    }
    if is_wanted("visits") {
        visits::run(number("TAGIO_VISITS", visits::VISITS)).await;
    }
    if is_wanted("attack") {
        attack::run().await;
    }
}
