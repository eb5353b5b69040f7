//! `status`: whether a host is online and, when more is asked for, how a path from here would go.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tagio_transport::{
    Endpoint,
    relay::{Relay, RelayEvent},
};

use super::{Base, say};
use crate::{
    cli::StatusArgs,
    config::{HostPort, KnownPeers, Target},
    engine::{self, outlook::Outlook, registration::Registration},
    views::words,
};

/// How long the relay may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn run(base: Base, args: &StatusArgs) -> anyhow::Result<()> {
    let registration = base.registration()?;
    let runtime = engine::runtime().context("no runtime")?;
    runtime.block_on(async {
        let endpoint = Endpoint::bind(None).context("the system gives no UDP socket")?;
        let asked = tokio::time::timeout(ANSWER_DEADLINE, ask(&base, args, &registration, &endpoint));
        let (online, relay) =
            asked.await.context("the relay does not answer; check the network and try again")??;
        say(if online { "online" } else { "offline" });
        if online {
            say(&format!(
                "path first through the relay {}, then direct once one opens",
                registration.relay.at
            ));
        }
        if base.common.verbose > 0 {
            let is_known = KnownPeers::load(&base.data_dir).0.pin_of(&Target::Id(args.id)).is_some();
            tell(&registration.relay.at, &Outlook::ask(&endpoint, relay).await, is_known);
        }
        endpoint.close().await;
        Ok(())
    })
}

/// Whether the host is online, and where the relay is.
async fn ask(
    base: &Base,
    args: &StatusArgs,
    registration: &Registration,
    endpoint: &Endpoint,
) -> anyhow::Result<(bool, SocketAddr)> {
    let mut relay = Relay::spawn(registration.config(&base.identity, false), endpoint.network_changes());
    let mut at = None;
    loop {
        match relay.event().await.context("the relay was given up")? {
            RelayEvent::Online { relay_key, relay: addr, .. } => {
                registration.pin(relay_key);
                at = Some(addr);
                relay.look_up(args.id);
            }
            RelayEvent::Status { online } => {
                return Ok((online, at.context("it answered before it greeted")?));
            }
            RelayEvent::Offline { error, .. } => return Err(error.into()),
            RelayEvent::Incoming { .. } | RelayEvent::Ringing { .. } | RelayEvent::CallFailed { .. } => {}
        }
    }
}

/// A line for each fact of this side; what the host's side is like shows in a session.
fn tell(relay: &HostPort, outlook: &Outlook, is_known: bool) {
    let nat = &outlook.nat;
    say(&format!("relay {relay} by TCP, {}", words::udp_to_relay(nat.mapping)));
    let public = nat.public.map_or_else(String::new, |public| format!(", seen as {public}"));
    say(&format!("network {}{public}", words::network(nat.mapping, nat.local_is_public)));
    match outlook.v6 {
        Some(v6) => say(&format!("ipv6 {}", v6.ip())),
        None => say("ipv6 none"),
    }
    for mapped in &outlook.mapped {
        say(&format!("mapping {} by {}", mapped.external, words::mapped_by(mapped.by)));
    }
    if outlook.mapped.is_empty() {
        say("mapping none");
    }
    say(if is_known { "host known, its key is pinned" } else { "host not known yet" });
    let (why, what) = words::hindrance(outlook.hindrance());
    say(&format!("advice {}", [why, what].join(" ").trim_end()));
}
