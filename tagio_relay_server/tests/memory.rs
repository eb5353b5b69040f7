//! What an idle client costs the relay's process, whatever carries it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use common::{
    Client, Keys,
    carriers::{AnyLink, Kind},
    hello,
};
use tagio_wire::{PublicKey, control::Hello};
use tempfile::tempdir;

/// Enough to see more than the allocator's steps.
const CLIENTS: usize = 100;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

#[tokio::test]
async fn an_idle_client_costs_little_whatever_carries_it() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("relay.toml");
    let limits =
        "[limits]\nconnections-per-ip-max = 9999\nhandshakes-per-ip-max = 9999\nhandshake-burst = 9999\n";
    fs::write(&file, limits).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tagio_relay_server"))
        .args(["-b", "127.0.0.1:0", "--metrics-bind", "off"])
        .arg("--config")
        .arg(&file)
        .env("TAGIO_DATA_DIR", dir.path())
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("PORT")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let running = Running(child);
    let words: Vec<_> = line.split_whitespace().collect();
    let (addr, key): (SocketAddr, PublicKey) = (words[1].parse().unwrap(), words[3].parse().unwrap());
    // One key for all, so that the store does not write for each.
    let (keys, hello) = (Keys::new(), Hello { presence: false, ..hello() });
    let connect = async |kind: Kind| {
        let link = kind.open(addr).await;
        let mut client = Client::ik_over(link, key, &keys, &hello).await.unwrap();
        client.ping(1).await;
        client
    };
    for kind in [Kind::Tcp, Kind::Tls, Kind::Ws, Kind::Http] {
        let mut clients: Vec<Client<AnyLink>> = Vec::new();
        for _ in 0..20 {
            clients.push(connect(kind).await);
        }
        let before = running.resident_bytes();
        for _ in 0..CLIENTS {
            clients.push(connect(kind).await);
        }
        let each = running.resident_bytes().saturating_sub(before) / CLIENTS;
        // A debug build's; with the default buffers of the libraries it would be ten times as much.
        let bytes_max = match kind {
            Kind::Tcp => 12 * 1024,
            Kind::Tls | Kind::Ws | Kind::Wss => 32 * 1024,
            // Two connections, one of which waits for an answer.
            Kind::Http | Kind::Https => 48 * 1024,
        };
        println!("{kind:?}: {each} bytes");
        assert!(each < bytes_max, "{kind:?}: {each} bytes");
    }
}
