//! `client`: a viewer's window, or a screenshot without one.

use std::{io::BufRead as _, time::Instant};

use anyhow::Context as _;
use tagio_session::Secret;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Base, say, screenshot, server::word};
use crate::{
    cli::ClientArgs,
    engine::viewer::{ViewerConfig, ViewerEvent},
};

/// Events that wait to be printed.
pub(super) const EVENTS_QUEUE: usize = 256;
/// Commands that wait for the engine: a burst of key presses; pointer moves merge behind it.
pub(super) const COMMANDS_QUEUE: usize = 256;

pub(super) fn run(base: Base, args: ClientArgs) -> anyhow::Result<()> {
    let secret = read_secret(&args)?;
    let config = ViewerConfig {
        relay: base.registration()?,
        name: base.settings.name.clone(),
        target: args.target.clone(),
        secret: secret.map(|text| Secret::from_typed(&text)),
        view_only: args.view_only || args.screenshot.is_some(),
        interactive: args.screenshot.is_none(),
        identity: base.identity,
        data_dir: base.data_dir,
    };
    match args.screenshot {
        Some(file) => screenshot::run(config, &file),
        None => anyhow::bail!("no window yet"),
    }
}

fn read_secret(args: &ClientArgs) -> anyhow::Result<Option<Zeroizing<String>>> {
    if !args.password_stdin {
        return Ok(args.password.clone().map(Zeroizing::new));
    }
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())))
}

/// Prints what happens, with the time since the program started.
pub(super) async fn print_events(mut events: mpsc::Receiver<ViewerEvent>, start: Instant) {
    while let Some(event) = events.recv().await {
        let ms = start.elapsed().as_millis();
        match event {
            ViewerEvent::Connected(path) => say(&format!("connected {} {ms}", word(path))),
            ViewerEvent::FirstFrame => say(&format!("first-frame {ms}")),
            ViewerEvent::Path(path) => say(&format!("path {}", word(path))),
            ViewerEvent::Closed(reason) => say(&format!("closed {reason}")),
        }
    }
}
