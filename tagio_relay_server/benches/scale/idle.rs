//! Clients that are connected and do nothing: what each costs in memory.

use std::{sync::Arc, time::Duration};

use crate::{
    common::{
        Keys,
        messages::{WsClient, ping, post},
    },
    crowd::{control_at, dial, each, plain},
    relay::Relay,
};

/// Openings at a time.
const AT_ONCE: usize = 64;
/// Before memory is looked at: tasks and allocator come to rest.
const REST: Duration = Duration::from_secs(3);
/// Nobody is asked for a sign of life meanwhile. HTTP has one address here.
const LIMITS: &str = "keepalive-secs = 3600\ntagio-silence-secs = 3600\ntagio-client-burst = 100000\n\
                      tagio-clients-per-ip-max = 100000\nhandshake-burst = 100000\n";

/// Prints a line for each kind.
pub(crate) async fn run(clients: usize, without_sockets: usize) {
    println!("{:<40}{:>10}{:>20}{:>14}", "idle clients", "at once", "resident bytes each", "in all, MB");
    let relay = Relay::start(LIMITS);
    let (addr, key) = (relay.addr, relay.key);
    let before = relay.resident_bytes();
    let held =
        each(
            clients,
            AT_ONCE,
            |number| async move { control_at(number, addr, key, &Keys::new()).await.unwrap() },
        );
    report("TagIO control", &relay, before, held.await).await;

    let relay = Relay::start(LIMITS);
    let (addr, before) = (relay.addr, relay.resident_bytes());
    let held = each(clients, AT_ONCE, |number| async move {
        WsClient::over(dial(number, addr).await.unwrap(), "/ws").await
    });
    report("TAGIO messages, WebSocket", &relay, before, held.await).await;

    let relay = Relay::start(LIMITS);
    let (addr, before) = (relay.addr, relay.resident_bytes());
    let held = each(clients, AT_ONCE, move |number| async move { plain(number, addr).await.unwrap() });
    report("TAGIO messages, plain TCP", &relay, before, held.await).await;

    // They have a token instead of a connection.
    let relay = Relay::start(LIMITS);
    let (addr, before) = (relay.addr, relay.resident_bytes());
    let ping = Arc::new(ping());
    let held = each(without_sockets, AT_ONCE, move |_| {
        let ping = Arc::clone(&ping);
        async move { post(addr, &[], &ping).await.session.unwrap() }
    });
    report("TAGIO messages, HTTP", &relay, before, held.await).await;
}

/// Looks at the relay's memory while all are `held`.
async fn report<T>(kind: &str, relay: &Relay, before: usize, held: Vec<T>) {
    tokio::time::sleep(REST).await;
    let resident = relay.resident_bytes();
    let each = resident.saturating_sub(before) / held.len();
    println!("{kind:<40}{:>10}{each:>20}{:>14}", held.len(), resident / 1_000_000);
}
