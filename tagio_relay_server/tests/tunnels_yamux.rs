//! Reverse tunnels of clients that speak yamux: one that was written from the protocol's pages alone, and one around
//! the crate of that name.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]
#![allow(clippy::print_stdout, reason = "figures are for docs/BENCHMARKS.md")]

mod common;
#[path = "tunnels/parts.rs"]
mod parts;

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use common::PATIENCE;
use parts::{TunnelRelay, echo, round_trip, yamux_client};
use sha2::{Digest, Sha256};
use tagio_testkit::{program::Program, skipped};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
const GIBIBYTE: usize = 1 << 30;
const PYTHON: &str = "/usr/bin/python3";

/// The client that was written from the protocol's pages, if this machine has Python.
async fn python_client(relay: &TunnelRelay, local: SocketAddr) -> Option<Program> {
    if !Path::new(PYTHON).exists() {
        skipped("python3 is missing");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tunnels/yamux.py");
    let mut command = Command::new(PYTHON);
    command.args([script, &relay.control.port().to_string(), &local.port().to_string()]);
    let client = Program::start("yamux.py", &mut command);
    relay.server.wait_metric("tagio_tunnels", 1).await;
    Some(client)
}

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
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let Some(mut client) = python_client(&relay, local).await else { return };
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

/// `cargo test -p tagio_relay_server --test tunnels_yamux -- --ignored --nocapture --test-threads 1`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves four gibibytes"]
async fn a_gibibyte_each_way() {
    let relay = parts::relay(|_| {}).await;
    let local = echo().await;
    let client = tokio::spawn(yamux_client(relay.control, local));
    relay.server.wait_metric("tagio_tunnels", 1).await;
    println!("the crate's client: {:?}", there_and_back(relay.ingress).await);
    client.abort();
    relay.server.wait_metric_is("tagio_tunnels", 0).await;
    let Some(_client) = python_client(&relay, local).await else { return };
    println!("the client from the pages: {:?}", there_and_back(relay.ingress).await);
}

/// Sends a gibibyte to an echo, and its end, while the same comes back; how long that took.
async fn there_and_back(ingress: SocketAddr) -> Duration {
    let started = Instant::now();
    let (mut read, mut write) = TcpStream::connect(ingress).await.unwrap().into_split();
    let sending = tokio::spawn(async move {
        let (mut sum, mut block) = (Sha256::new(), vec![7; 64 * 1024]);
        for number in 0..GIBIBYTE / block.len() {
            block[..8].copy_from_slice(&number.to_be_bytes());
            sum.update(&block);
            write.write_all(&block).await.unwrap();
        }
        write.shutdown().await.unwrap();
        sum.finalize()
    });
    let (mut sum, mut len, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = timeout(LONG, read.read(&mut buffer)).await.expect("bytes move").unwrap();
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        len += read;
    }
    assert_eq!(len, GIBIBYTE);
    assert!(sum.finalize() == sending.await.unwrap(), "other bytes came back");
    started.elapsed()
}
