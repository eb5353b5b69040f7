//! Reverse tunnels of clients that speak yamux: one that was written from the protocol's pages alone, and one around
//! the crate of that name.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "tunnels/parts.rs"]
mod parts;

use std::{process::Command, time::Duration};

use common::PATIENCE;
use parts::{echo, round_trip, yamux_client};
use tagio_testkit::{program::Program, skipped};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet, time::timeout};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_yamux_serves_two_hundred_visitors_at_once() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let client = tokio::spawn(yamux_client(relay.control, local));
    relay.server.wait_metric("tagio_tunnels", 1).await;
    let mut visitors = JoinSet::new();
    for number in 0..200 {
        visitors.spawn(round_trip(relay.ingress, number));
    }
    timeout(LONG, visitors.join_all()).await.expect("all are served");
    assert!(relay.server.metric("tagio_tunnel_inward_bytes_total").await >= 200 << 20);
    assert!(relay.server.metric("tagio_tunnel_outward_bytes_total").await >= 200 << 20);
    // Another run of it is served at once, and the relay sees that the first is gone.
    client.abort();
    let _successor = tokio::spawn(yamux_client(relay.control, local));
    parts::wait_until_served(relay.ingress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_off_does_not_look_complete() {
    let relay = parts::relay(|_| {}).await;
    let local = parts::endless().await;
    let client = tokio::spawn(yamux_client(relay.control, local));
    relay.server.wait_metric("tagio_tunnels", 1).await;
    let mut visitor = TcpStream::connect(relay.ingress).await.unwrap();
    // The service speaks first.
    timeout(PATIENCE, visitor.read_exact(&mut vec![0; 1 << 20])).await.expect("it speaks").unwrap();
    client.abort();
    let cut = timeout(PATIENCE, tokio::io::copy(&mut visitor, &mut tokio::io::sink())).await;
    assert!(cut.expect("it is cut off").is_err(), "it looks complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_written_from_the_protocols_pages_serves_visitors() {
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        return skipped("python3 is missing");
    }
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tunnels/yamux.py");
    let mut command = Command::new(python);
    command.args([script, &relay.control.port().to_string(), &local.port().to_string()]);
    let mut client = Program::start("yamux.py", &mut command);
    relay.server.wait_metric("tagio_tunnels", 1).await;
    // Each ends its sentence, and then reads on: a mebibyte there, and the same back.
    let mut visitors = JoinSet::new();
    for number in 0..20 {
        visitors.spawn(round_trip(relay.ingress, number));
    }
    timeout(LONG, visitors.join_all()).await.expect("all are served");
    assert_eq!(parts::exchange(relay.ingress, b"hello").await.unwrap(), b"hello");
    client.kill();
    relay.server.wait_metric_is("tagio_tunnels", 0).await;
}
