//! `status`: whether a host is online.

use std::time::Duration;

use anyhow::Context as _;
use tagio_transport::relay::{Relay, RelayEvent};

use super::{Base, say};
use crate::{cli::StatusArgs, engine};

/// How long the relay may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn run(base: Base, args: &StatusArgs) -> anyhow::Result<()> {
    let registration = base.registration()?;
    let runtime = engine::runtime().context("no runtime")?;
    let asked = async {
        let mut relay = Relay::spawn(registration.config(&base.identity, false));
        loop {
            match relay.event().await.context("the relay was given up")? {
                RelayEvent::Online { relay_key, .. } => {
                    registration.pin(relay_key);
                    relay.look_up(args.id);
                }
                RelayEvent::Status { online } => return Ok(online),
                RelayEvent::Offline { error, .. } => return Err(error.into()),
                RelayEvent::Incoming { .. } | RelayEvent::Ringing { .. } | RelayEvent::CallFailed { .. } => {}
            }
        }
    };
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER_DEADLINE, asked).await });
    let online: anyhow::Result<bool> =
        answered.context("the relay does not answer; check the network and try again")?;
    if online? {
        say("online");
        say(&format!("path first through the relay {}, then direct once one opens", registration.relay.at));
    } else {
        say("offline");
    }
    Ok(())
}
