//! The clients of a relay that starts again come back soon, and not all at once.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use tagio_testkit::{TempDir, binaries, lab::Relay};
use tagio_transport::{
    Endpoint, ReachSettings,
    relay::{self, RelayConfig, RelayEvent},
};
use tokio::{sync::mpsc, time::timeout};

const CLIENTS: usize = 200;
/// How long the relay is away: what a supervisor takes to start it again.
const AWAY: Duration = Duration::from_secs(1);
/// Until all have registered. In a quiet debug build it takes two seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// The relay hears of so many at most in each of these.
const SLICE: Duration = Duration::from_millis(100);
/// Most of all in one slice would be a herd; a quarter is usual, and a busy machine makes it more.
const SLICE_MAX: usize = CLIENTS * 3 / 4;

fn start(dir: &TempDir, bind: &str) -> Relay {
    let config = dir.path().join("relay.toml");
    // All of them are new, and come from one address.
    fs::write(
        &config,
        "[limits]\nnew-id-burst = 1000\nhandshake-burst = 1000\nhandshakes-per-ip-max = 1000\n",
    )
    .expect("a file");
    let mut command = Command::new(binaries::relay_server());
    command.args(["--bind", bind, "--metrics-bind", "off", "--public-ip", "127.0.0.1", "--config"]);
    command.arg(config).arg("--data-dir").arg(dir.path());
    Relay::start(&mut command)
}

/// Registers for as long as somebody listens, and tells of each time.
async fn register(mut relay: relay::Relay, online: mpsc::Sender<Instant>) {
    while let Some(event) = relay.event().await {
        if matches!(event, RelayEvent::Online { .. }) && online.send(Instant::now()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn clients_of_a_relay_that_starts_again_come_back_one_by_one() {
    let dir = TempDir::new();
    let mut relay = start(&dir, "127.0.0.1:0");
    let addr = relay.flag();
    let endpoint = Endpoint::bind(None).unwrap();
    let (online_tx, mut online) = mpsc::channel(CLIENTS);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let mut identity = [7; 32];
        identity[..8].copy_from_slice(&number.to_be_bytes());
        let config = RelayConfig {
            addr: addr.clone(),
            key: None,
            identity,
            auth: None,
            presence: true,
            reach: ReachSettings::default(),
        };
        clients.spawn(register(relay::Relay::spawn(config, endpoint.network_changes()), online_tx.clone()));
    }
    for _ in 0..CLIENTS {
        timeout(LIMIT, online.recv()).await.expect("all register").unwrap();
    }
    relay.program.kill();
    tokio::time::sleep(AWAY).await;
    let restarted = Instant::now();
    let _relay = start(&dir, &addr);
    let mut after = Vec::new();
    for _ in 0..CLIENTS {
        let at = timeout(LIMIT, online.recv()).await.expect("all come back").unwrap();
        after.push(at.saturating_duration_since(restarted));
    }
    after.sort_unstable();
    let until = |end: Duration| after.partition_point(|at| *at < end);
    let most = after.iter().map(|from| until(*from + SLICE) - until(*from)).max().unwrap_or_default();
    let [first, half, last] = [0, CLIENTS / 2, CLIENTS - 1].map(|number| after[number]);
    println!(
        "of {CLIENTS} clients the first was back after {first:?}, half after {half:?}, all after {last:?}"
    );
    println!("at most {most} within {SLICE:?}");
    assert!(most <= SLICE_MAX, "{most} of {CLIENTS} within {SLICE:?}");
    endpoint.close().await;
}
