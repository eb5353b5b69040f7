//! `forward`: TCP ports of a host as ports of this computer, without a window.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use anyhow::Context as _;
use tagio_session::Secret;
use tagio_wire::session::{Permission, ViewWish};
use tokio::sync::{mpsc, watch};

use super::{
    Base,
    client::{COMMANDS_QUEUE, EVENTS_QUEUE, print, read_secret},
    failed, say,
    screenshot::NoScreen,
    stop::Stop,
};
use crate::{
    cli::ForwardArgs,
    engine::{
        self,
        status::{ForwardId, ForwardState, ViewerCommand, ViewerStatus},
        viewer::{self, ViewerConfig},
    },
    viewer::canvas::Canvas,
};

pub(super) fn run(base: Base, args: ForwardArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let secret = read_secret(args.password.as_deref(), args.password_stdin)?;
    let config = ViewerConfig {
        relay: base.registration()?,
        lan: base.settings.lan,
        name: base.settings.name.clone(),
        target: args.target,
        secret: secret.map(|text| Secret::from_typed(&text)),
        wants: Permission::Ports,
        forwards: args.forwards,
        wish: ViewWish::default(),
        record: None,
        interactive: false,
        identity: base.identity,
        data_dir: base.data_dir,
    };
    let runtime = engine::runtime().context("no runtime")?;
    runtime.block_on(serve(config, start))
}

async fn serve(config: ViewerConfig, start: Instant) -> anyhow::Result<()> {
    let (status, mut state) = watch::channel(viewer::initial_status());
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let (commands, commands_rx) = mpsc::channel(COMMANDS_QUEUE);
    let outlets = viewer::Outlets {
        status,
        events: events_tx,
        canvas: Arc::<Canvas>::default(),
        screen: Arc::new(NoScreen),
    };
    let session = viewer::run(config, commands_rx, outlets);
    tokio::pin!(session);
    let mut stop = Stop::listen()?;
    let mut told = BTreeSet::new();
    let mut problem = None;
    loop {
        tokio::select! {
            ending = &mut session => {
                while let Ok(event) = events.try_recv() {
                    print(event, start);
                }
                let ending = ending.context("no socket")?;
                return match problem {
                    Some(problem) => Err(anyhow::anyhow!("{problem}")),
                    None if ending.is_failure() => Err(failed(&ending)),
                    None => Ok(()),
                };
            }
            Some(event) = events.recv() => print(event, start),
            Ok(()) = state.changed() => {
                let found = tell(&state.borrow_and_update(), &mut told);
                if found.is_some() && problem.is_none() {
                    problem = found;
                    commands.try_send(ViewerCommand::Leave).ok();
                }
            }
            () = stop.asked() => {
                commands.try_send(ViewerCommand::Leave).ok();
            }
        }
    }
}

/// Says which ports can be used by now. A sentence, when one never can.
fn tell(status: &ViewerStatus, told: &mut BTreeSet<ForwardId>) -> Option<String> {
    for forward in &status.ports {
        match (&forward.state, forward.local) {
            (ForwardState::Open, Some(local)) if told.insert(forward.id) => {
                say(&format!("forwarding {local} -> {}", forward.target));
            }
            (ForwardState::Failed(problem), _) => return Some(problem.clone()),
            (ForwardState::Waiting | ForwardState::Asking | ForwardState::Open, _) => {}
        }
    }
    None
}
