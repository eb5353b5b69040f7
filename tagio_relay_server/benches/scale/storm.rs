//! Everybody comes back after the relay was killed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::RngExt;
use tokio::time::sleep;

use crate::{
    common::{Client, Keys},
    crowd::{control, control_at, each, quantile},
    relay::Relay,
};

/// Openings at a time of the first round, which is not measured.
const AT_ONCE: usize = 64;
/// Within this time after the restart everybody tries.
const SPREAD: Duration = Duration::from_secs(10);
/// Wait after a failure, as clients do.
const RETRY: Duration = Duration::from_secs(1);
const LIMITS: &str = "keepalive-secs = 3600\n";

/// How it went for one client.
struct Back {
    client: Client,
    /// The opening that went well, from dialling to the welcome.
    took: Duration,
    /// When it was back.
    at: Instant,
    failures: usize,
}

/// Prints when all are back.
pub(crate) async fn run(clients: usize) {
    let mut relay = Relay::start(LIMITS);
    let (addr, key) = (relay.addr, relay.key);
    let all = each(clients, AT_ONCE, |number| async move {
        let keys = Keys::new();
        let client = control_at(number, addr, key, &keys).await.unwrap();
        (number, keys, client.id(), client)
    });
    // By number: who comes from where does not change.
    let mut all = all.await;
    all.sort_unstable_by_key(|(number, ..)| *number);
    relay.kill();
    let all: Vec<_> = all.into_iter().map(|(_, keys, id, _connection)| Arc::new((keys, id))).collect();
    relay.start_again();
    let (start, started_with) = (Instant::now(), relay.cpu_seconds());
    let back = each(clients, clients, |number| {
        let known = Arc::clone(&all[number]);
        let delay = SPREAD.mul_f64(rand::rng().random());
        async move {
            sleep(delay).await;
            let mut failures = 0;
            loop {
                let dialled = Instant::now();
                match control_at(number, addr, key, &known.0).await {
                    Ok(client) => {
                        assert_eq!(client.id(), known.1, "everybody has the same ID as before");
                        return Back { client, took: dialled.elapsed(), at: Instant::now(), failures };
                    }
                    Err(_) => {
                        failures += 1;
                        sleep(RETRY).await;
                    }
                }
            }
        }
    });
    let back = back.await;
    let cpu = relay.cpu_seconds() - started_with;
    let last = back.iter().map(|back| back.at - start).max().unwrap();
    let failures: usize = back.iter().map(|back| back.failures).sum();
    let mut times: Vec<_> = back.iter().map(|back| back.took).collect();
    println!(
        "{clients} clients back within {:.1} s of a restart, over {} s: {failures} openings failed; \
         handshake p50 {:.0} ms, p99 {:.0} ms; {:.2} ms of the relay's processor each",
        last.as_secs_f64(),
        SPREAD.as_secs(),
        millis(quantile(&mut times, 0.5)),
        millis(quantile(&mut times, 0.99)),
        cpu * 1000.0 / clients as f64,
    );
    // All of them are still served, and so is one more.
    for Back { mut client, .. } in back {
        client.ping(1).await;
    }
    control(clients, &relay, &Keys::new()).await.unwrap();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
