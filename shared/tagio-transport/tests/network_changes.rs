//! That a machine's network has changed is noticed at once.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{net::Ipv4Addr, time::Duration};

use tagio_testkit::Namespace;
use tagio_transport::{Endpoint, NetworkChanges};

/// Generous: it takes some 50 ms.
const LIMIT: Duration = Duration::from_secs(5);

const OWN: Ipv4Addr = Ipv4Addr::new(10, 79, 1, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 79, 1, 1);

/// Does something to the network, which has to be noticed.
async fn notices(changes: &mut NetworkChanges, what: &str, act: impl FnOnce() -> anyhow::Result<()>) {
    let start = std::time::Instant::now();
    act().unwrap();
    let noticed = tokio::time::timeout(LIMIT, changes.next()).await;
    assert!(noticed.is_ok(), "not noticed within {LIMIT:?}: {what}");
    println!("{what}: noticed after {:?}", start.elapsed());
}

#[test]
fn addresses_cables_and_default_routes_are_noticed() {
    let (Some(home), Some(router)) = (Namespace::new("home"), Namespace::new("router")) else { return };
    home.join(OWN, &router, ROUTER).unwrap();
    let ip = |args: &[&str]| home.run(&[&["ip"], args].concat()).map(drop);
    let inside = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let endpoint = Endpoint::bind(None)?;
            let mut changes = endpoint.network_changes();
            let changes = &mut changes;
            let device = "to-1-1";
            notices(changes, "another address", || ip(&["addr", "add", "10.79.1.3/24", "dev", device])).await;
            notices(changes, "an address gone", || ip(&["addr", "del", "10.79.1.3/24", "dev", device])).await;
            notices(changes, "no way out", || ip(&["route", "del", "default"])).await;
            notices(changes, "a way out", || ip(&["route", "add", "default", "via", "10.79.1.1"])).await;
            notices(changes, "a cable pulled", || router.unplug(OWN)).await;
            notices(changes, "a cable put back", || router.plug_in(OWN)).await;
            endpoint.close().await;
            Ok(())
        })
    };
    home.on_thread(inside).unwrap();
}
