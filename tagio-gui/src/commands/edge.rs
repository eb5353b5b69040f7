//! `edge`: lets the users of a POP out through this machine.

use std::time::Duration;

use anyhow::Context as _;
use tagio_edge::node::{self, NodeConfig, NodeEvent};
use tagio_proxy::{Dialer, TargetPolicy};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{say, stop::Stop};
use crate::cli::EdgeArgs;

/// Events that wait to be printed: they come seconds apart.
const EVENTS_QUEUE: usize = 16;

pub(super) fn run(args: EdgeArgs) -> anyhow::Result<()> {
    let policy = TargetPolicy::new(args.allow);
    let config = NodeConfig {
        uuid: args.uuid,
        direct_url: args.direct_url,
        app_dir: args.app_dir,
        dialer: Dialer::new(policy, Duration::from_secs(args.tcp_timeout.into())),
        udp_timeout: Duration::from_secs(args.udp_timeout.into()),
    };
    // Of its own, with all cores: a node may have to carry what the network gives.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(serve(config))
}

async fn serve(config: NodeConfig) -> anyhow::Result<()> {
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let stopping = CancellationToken::new();
    let running = node::run(config, events_tx, stopping.clone());
    tokio::pin!(running);
    let mut stop = Stop::listen()?;
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            Some(event) = events.recv() => match event {
                NodeEvent::Up(pop) => say(&format!("serving {pop}")),
                NodeEvent::Down(problem) => say(&format!("waiting {}", problem.replace('\n', " "))),
            },
            () = stop.asked() => stopping.cancel(),
        }
    }
}
