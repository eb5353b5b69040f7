//! `status`: whether a host is online and, when more is asked for, how a path from here would go.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tagio_transport::{
    Carrier, Endpoint,
    lan::{self, LanKey},
    relay::{Relay, RelayEvent, RelayRoute},
};
use tagio_wire::{PeerId, PublicKey};

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
        let (online, route) =
            asked.await.context("the relay does not answer; check the network and try again")??;
        say(if online { "online" } else { "offline" });
        if online {
            say(&format!(
                "path first through the relay {}, then direct once one opens",
                registration.relay.at
            ));
        }
        if base.common.verbose > 0 {
            let pinned = KnownPeers::load(&base.data_dir).0.pin_of(&Target::Id(args.id));
            let (outlook, near) =
                tokio::join!(Outlook::ask(&endpoint, route.addr()), find_near(&base, args.id, pinned));
            tell(&registration.relay.at, route.carrier(), &outlook);
            say(&near.map_or_else(|| "lan not found".to_owned(), |at| format!("lan {at}")));
            let (why, what) = words::hindrance(outlook.hindrance());
            say(&format!("advice {}", [why, what].join(" ").trim_end()));
        }
        endpoint.close().await;
        Ok(())
    })
}

/// Whether the host is online, and how the relay was reached.
async fn ask(
    base: &Base,
    args: &StatusArgs,
    registration: &Registration,
    endpoint: &Endpoint,
) -> anyhow::Result<(bool, RelayRoute)> {
    let mut relay = Relay::spawn(registration.config(&base.identity, false), endpoint.network_changes());
    let mut at = None;
    loop {
        match relay.event().await.context("the relay was given up")? {
            RelayEvent::Online { relay_key, relay: route, .. } => {
                registration.pin(relay_key);
                at = Some(route);
                relay.look_up(args.id);
            }
            RelayEvent::Status { online } => {
                return Ok((online, at.context("it answered before it greeted")?));
            }
            RelayEvent::Offline { error, .. } => return Err(error.into()),
            RelayEvent::Found(_)
            | RelayEvent::Incoming { .. }
            | RelayEvent::Ringing { .. }
            | RelayEvent::CallFailed { .. } => {}
        }
    }
}

/// Where the host is on the local network, if it is there and the settings let this program look.
async fn find_near(base: &Base, id: PeerId, pinned: Option<PublicKey>) -> Option<SocketAddr> {
    if !base.settings.lan {
        return None;
    }
    lan::search(LanKey::of(pinned, id).await).await
}

/// A line for each fact of this side; what the host's side is like shows in a session.
fn tell(relay: &HostPort, carrier: Carrier, outlook: &Outlook) {
    let nat = &outlook.nat;
    say(&format!("relay {relay} by {carrier}, {}", words::udp_to_relay(nat.mapping)));
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
}
