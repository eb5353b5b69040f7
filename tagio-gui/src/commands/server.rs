//! `server`: waits for viewers without a window.

use std::{collections::VecDeque, time::Instant};

use anyhow::Context as _;
use tagio_session::{Secret, StoredSecret, check_password, ports::PortPolicy};
use tagio_wire::session::Permission;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, Stdin},
    sync::{mpsc, watch},
};

use super::{Base, say, stdout::word, stop::Stop};
use crate::{
    cli::{Accept, ServerArgs},
    engine::{
        self,
        host::{self, HostConfig, HostEvent},
        status::{AskingViewer, HostCommand},
    },
    host::capture,
};

/// Events that wait to be printed.
const EVENTS_QUEUE: usize = 256;
/// Commands that wait for the host.
const COMMANDS_QUEUE: usize = 16;

pub(super) fn run(base: Base, args: ServerArgs) -> anyhow::Result<()> {
    let password = match &args.password {
        Some(password) => {
            let secret: Secret = check_password(password)?;
            Some(StoredSecret::create(&secret)?)
        }
        None => stored_password(&base)?,
    };
    // Somebody who gives only an address to wait at wants no relay to know of it.
    let wants_relay = args.listen.is_none() || base.common.relay.is_some();
    let permission = if args.view_only { Permission::View } else { Permission::Control };
    let config = HostConfig {
        relay: wants_relay.then(|| base.registration()).transpose()?,
        follows_settings: false,
        listen: args.listen,
        lan: base.settings.lan,
        password,
        ask: args.accept == Accept::Ask,
        permission,
        permission_max: permission,
        ports: args.ports.policy(),
        name: base.settings.name.clone(),
        identity: base.identity,
        data_dir: base.data_dir,
    };
    let runtime = engine::runtime().context("no runtime")?;
    runtime.block_on(serve(config))
}

/// The password of the window's settings.
fn stored_password(base: &Base) -> anyhow::Result<Option<StoredSecret>> {
    let stored = base.settings.password.as_deref().map(StoredSecret::from_bytes);
    Ok(stored.transpose()?)
}

async fn serve(config: HostConfig) -> anyhow::Result<()> {
    let asks = config.ask || config.ports == PortPolicy::Ask;
    let (status, _status) = watch::channel(host::initial_status());
    let (events_tx, events) = mpsc::channel(EVENTS_QUEUE);
    let (commands_tx, commands) = mpsc::channel(COMMANDS_QUEUE);
    let outlets = host::Outlets { status, events: events_tx };
    let served = host::run(config, Box::new(capture::open), commands, outlets);
    tokio::pin!(served);
    let mut desk = Desk { events, commands: Some(commands_tx), asks, asking: VecDeque::new() };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut stop = Stop::listen()?;
    loop {
        tokio::select! {
            outcome = &mut served => return outcome,
            Some(event) = desk.events.recv() => desk.on_event(event),
            line = next_line(&mut input, desk.asks) => desk.on_line(line.as_deref()).await,
            () = stop.asked(), if desk.commands.is_some() => desk.commands = None,
        }
    }
}

/// Prints what happens and takes the user's answers.
struct Desk {
    events: mpsc::Receiver<HostEvent>,
    /// `None` once the host is to stop.
    commands: Option<mpsc::Sender<HostCommand>>,
    /// Whether a person at this terminal lets viewers in.
    asks: bool,
    asking: VecDeque<AskingViewer>,
}

impl Desk {
    fn on_event(&mut self, event: HostEvent) {
        match event {
            HostEvent::Listening(addr) => say(&format!("listening {addr}")),
            HostEvent::Registered(id) => say(&format!("id {id}")),
            HostEvent::RelayLost(problem) => say(&format!("relay lost {problem}")),
            HostEvent::Code(code) => say(&format!("code {code}")),
            HostEvent::Asking(viewer) => {
                let AskingViewer { fingerprint, name, phrase, .. } = &viewer;
                let question = match (viewer.wants, &viewer.port) {
                    (Permission::Ports, Some(port)) => format!("wants to reach {port}: allow or deny?"),
                    (Permission::Ports, None) => "wants to use ports: allow or deny?".to_owned(),
                    (Permission::View | Permission::Control, _) => "allow, view or deny?".to_owned(),
                };
                say(&format!("ask {fingerprint} “{name}” {phrase}: {question}"));
                self.asking.push_back(viewer);
            }
            HostEvent::Connected(viewer, path) => say(&format!("viewer {viewer} connected {}", word(path))),
            HostEvent::Path(_, path) => say(&format!("path {}", word(path))),
            HostEvent::Ports(viewer, ports) if ports.is_empty() => say(&format!("ports {viewer} none")),
            HostEvent::Ports(viewer, ports) => {
                let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                say(&format!("ports {viewer} {}", ports.join(" ")));
            }
            HostEvent::Left(viewer) => say(&format!("viewer {viewer} left")),
        }
    }

    async fn on_line(&mut self, line: Option<&str>) {
        let Some(line) = line else {
            // Nobody is there to answer any more; silence is no.
            self.asks = false;
            return;
        };
        let now = Instant::now();
        self.asking.retain(|asking| asking.until > now);
        let (Some(asking), Some(commands)) = (self.asking.front(), &self.commands) else { return };
        let permission = match (line.trim(), asking.wants) {
            ("allow", Permission::Ports) => Some(Permission::Ports),
            ("allow", Permission::View | Permission::Control) => Some(Permission::Control),
            ("view", Permission::View | Permission::Control) => Some(Permission::View),
            ("deny", _) => None,
            (_, Permission::Ports) => return say("answer allow or deny"),
            (_, Permission::View | Permission::Control) => return say("answer allow, view or deny"),
        };
        let Some(asking) = self.asking.pop_front() else { return };
        commands.send(HostCommand::Answer { viewer: asking.viewer, permission }).await.ok();
    }
}

/// The next line of a terminal at which somebody is asked; never, where nobody is.
async fn next_line(input: &mut Lines<BufReader<Stdin>>, asks: bool) -> Option<String> {
    if !asks {
        return std::future::pending().await;
    }
    input.next_line().await.ok().flatten()
}
