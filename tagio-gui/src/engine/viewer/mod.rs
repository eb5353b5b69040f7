//! The viewer: reaches a host, shows its screen, and finds the way back when the connection is lost.
//!
//! [`run`] is one task. It goes from step to step: ask for the secret, connect, live, reconnect, end.

mod acks;
pub mod figures;
mod live;
mod ports;
mod reach;
mod record;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tagio_session::{IdentityKey, Secret, handshake::Credential};
use tagio_transport::{
    Endpoint, NetworkChanges, PathKind, PathReport, PathStats,
    relay::{Relay, RelayEvent},
};
use tagio_wire::{
    PublicKey, Size,
    control::CallId,
    session::{AuthRefusal, Permission, ViewWish},
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    next_relay_event,
    registration::Registration,
    sentences,
    status::{ConnectStep, Ending, Figures, Forward, ViewerCommand, ViewerPhase, ViewerStatus},
};
use crate::{
    config::{KnownPeers, Target},
    recording::Recorder,
    viewer::{canvas::Canvas, decode::Screen},
};
use live::{Live, Over};
use ports::PortBook;
use reach::{Failure, Reached};

/// How long a lost session is tried to be brought back: as long as its ticket is good.
const RECONNECT_FOR: Duration = Duration::from_secs(600);
/// How long the relay may say that the host is offline before that is believed: it is back from a restart of
/// the relay by then, and from a minute without a network.
const OFFLINE_FOR: Duration = Duration::from_secs(75);
/// Pause between tries to bring it back.
const RECONNECT_PAUSE: Duration = Duration::from_millis(700);

/// How to be a viewer.
#[derive(Debug)]
pub struct ViewerConfig {
    /// This device's key.
    pub identity: IdentityKey,
    /// What the host's user sees.
    pub name: String,
    /// Which host.
    pub target: Target,
    /// Where IDs are looked up.
    pub relay: Registration,
    /// Whether a host is looked for on the local network when the relay is out of reach.
    pub lan: bool,
    /// The code or password, if it is known already.
    pub secret: Option<Secret>,
    /// What to ask for.
    pub wants: Permission,
    /// Ports to forward from the beginning.
    pub forwards: Vec<Forward>,
    /// What is asked of the picture at first.
    pub wish: ViewWish,
    /// Whether to record from the first picture on.
    pub record: Option<RecordTo>,
    /// Whether somebody can be asked: for the secret, and whether to try again.
    pub interactive: bool,
    /// Folder of the pinned keys.
    pub data_dir: PathBuf,
}

/// Where a recording goes that starts with the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordTo {
    /// To a file named after host and time, as with the button.
    NewFile,
    /// To this one.
    File(PathBuf),
}

/// What happens, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerEvent {
    /// The host let this viewer in.
    Connected(PathKind),
    /// The first picture is on the canvas.
    FirstFrame,
    /// Packets travel this way from now on.
    Path(PathKind),
    /// The session is over; the code is [`Ending::code`].
    Closed(&'static str),
}

/// Where a viewer's news go.
pub struct Outlets {
    /// The whole state after each change.
    pub status: watch::Sender<ViewerStatus>,
    /// Each change; one that nobody fetches is lost.
    pub events: mpsc::Sender<ViewerEvent>,
    /// The picture.
    pub canvas: Arc<Canvas>,
    /// Who shows it.
    pub screen: Arc<dyn Screen>,
}

/// The state of a viewer that has only just started.
pub fn initial_status() -> ViewerStatus {
    ViewerStatus {
        phase: ViewerPhase::Connecting(ConnectStep::Reaching),
        path: None,
        search: PathReport::default(),
        paths: PathStats::default(),
        rtt: None,
        figures: Figures::default(),
        monitors: Vec::new(),
        wish: ViewWish::default(),
        recording: None,
        ports: Vec::new(),
        screen: Size::default(),
        host_name: String::new(),
        fingerprint: None,
        phrase: None,
        permission: Permission::Control,
    }
}

/// What a viewer does next.
enum Step {
    AskSecret { problem: Option<String> },
    Connect,
    Live(Box<Live>),
    Reconnect { resume: [u8; 32], since: Instant },
    End(Ending),
    Leave,
}

/// Is a viewer until it is over: with somebody to ask, until they leave.
///
/// # Errors
/// The system has no socket left.
pub async fn run(
    config: ViewerConfig,
    mut commands: mpsc::Receiver<ViewerCommand>,
    outlets: Outlets,
) -> std::io::Result<Ending> {
    let mut viewer = Viewer::new(config, outlets)?;
    let mut step = if viewer.config.secret.is_some() || !viewer.config.interactive {
        Step::Connect
    } else {
        Step::AskSecret { problem: None }
    };
    loop {
        step = match step {
            Step::AskSecret { problem } => viewer.ask_secret(problem, &mut commands).await,
            Step::Connect => unless_left(viewer.connect(), &mut commands).await,
            Step::Live(live) => viewer.live(live, &mut commands).await,
            Step::Reconnect { resume, since } => {
                unless_left(viewer.reconnect(resume, since), &mut commands).await
            }
            Step::End(ending) if viewer.config.interactive => viewer.end(ending, &mut commands).await,
            Step::End(ending) => {
                viewer.tell(ViewerEvent::Closed(ending.code));
                viewer.endpoint.close().await;
                return Ok(ending);
            }
            Step::Leave => {
                viewer.endpoint.close().await;
                // Who closes the window of a session that failed leaves a failure behind.
                if let Some(ending) = viewer.ending {
                    return Ok(ending);
                }
                viewer.tell(ViewerEvent::Closed(sentences::left().code));
                return Ok(sentences::left());
            }
        };
    }
}

/// Works, unless the user leaves meanwhile.
async fn unless_left(work: impl Future<Output = Step>, commands: &mut mpsc::Receiver<ViewerCommand>) -> Step {
    tokio::pin!(work);
    loop {
        tokio::select! {
            step = &mut work => return step,
            command = commands.recv() => match command {
                Some(ViewerCommand::Leave) | None => return Step::Leave,
                // Nothing to do it to yet.
                Some(_) => {}
            },
        }
    }
}

/// What lasts from connection to connection.
struct Viewer {
    config: ViewerConfig,
    endpoint: Endpoint,
    /// `None` for a host that is reached at an address.
    relay: Option<Relay>,
    outlets: Outlets,
    status: ViewerStatus,
    /// Whether the relay knows this viewer now.
    registered: bool,
    /// How the session ended, while its window says so.
    ending: Option<Ending>,
    /// Calls so far; each has its number.
    calls: CallId,
    /// Of the picture, while there is one.
    recorder: Option<Recorder>,
    ports: PortBook,
}

impl Viewer {
    fn new(config: ViewerConfig, outlets: Outlets) -> std::io::Result<Self> {
        let endpoint = Endpoint::bind(None)?;
        let by_relay = matches!(config.target, Target::Id(_));
        let relay = by_relay
            .then(|| Relay::spawn(config.relay.config(&config.identity, false), endpoint.network_changes()));
        let status = ViewerStatus { wish: config.wish, ..initial_status() };
        let mut ports = PortBook::default();
        config.forwards.iter().for_each(|forward| ports.add(forward.clone()));
        Ok(Self {
            config,
            endpoint,
            relay,
            outlets,
            status,
            registered: false,
            ending: None,
            calls: 0,
            recorder: None,
            ports,
        })
    }

    fn tell(&self, event: ViewerEvent) {
        if self.outlets.events.try_send(event).is_err() {
            tracing::trace!("nobody fetches viewer events");
        }
    }

    fn enter(&mut self, phase: ViewerPhase) {
        self.status.phase = phase;
        self.publish();
    }

    /// Looks at the ports; whether anything about them is another.
    fn look_at_ports(&mut self) -> bool {
        let ports = self.ports.look();
        let is_news = ports != self.status.ports;
        self.status.ports = ports;
        is_news
    }

    fn publish(&self) {
        self.outlets.status.send_replace(self.status.clone());
    }

    /// Renews what whoever looks may know, and wakes nobody: on a session at rest only counters move.
    fn note_paths(&mut self, paths: PathStats) {
        self.status.paths = paths;
        self.outlets.status.send_if_modified(|status| {
            status.paths.clone_from(&self.status.paths);
            false
        });
    }

    /// Progress of connecting, unless the last frame still stands for a session that is to come back.
    fn progress(&mut self, step: ConnectStep) {
        if !matches!(self.status.phase, ViewerPhase::Reconnecting { .. }) {
            self.enter(ViewerPhase::Connecting(step));
        }
    }

    async fn ask_secret(
        &mut self,
        problem: Option<String>,
        commands: &mut mpsc::Receiver<ViewerCommand>,
    ) -> Step {
        self.enter(ViewerPhase::NeedsSecret { problem });
        loop {
            match self.next_command(commands).await {
                Some(ViewerCommand::Secret(text)) => {
                    self.config.secret = Some(Secret::from_typed(&text));
                    return Step::Connect;
                }
                Some(ViewerCommand::Leave) | None => return Step::Leave,
                Some(_) => {}
            }
        }
    }

    /// The user's next command. The relay's events are taken meanwhile: nobody else does.
    async fn next_command(&mut self, commands: &mut mpsc::Receiver<ViewerCommand>) -> Option<ViewerCommand> {
        loop {
            tokio::select! {
                command = commands.recv() => return command,
                event = next_relay_event(&mut self.relay) => match event {
                    Some(RelayEvent::Online { .. }) => self.registered = true,
                    Some(RelayEvent::Offline { .. }) => self.registered = false,
                    Some(_) => {}
                    None => self.relay = None,
                },
            }
        }
    }

    async fn connect(&mut self) -> Step {
        let Some(secret) = self.config.secret.clone() else {
            return Step::End(sentences::ending(
                "no-secret",
                "No code or password was given.",
                "Give the code that the host shows: --password CODE.",
            ));
        };
        self.progress(ConnectStep::Reaching);
        match self.reach(Credential::Secret(secret)).await {
            Ok(reached) => self.start(reached),
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        match failure {
            Failure::Refused(refusal @ (AuthRefusal::WrongSecret | AuthRefusal::NoSuchSecret))
                if self.config.interactive =>
            {
                self.config.secret = None;
                let Ending { reason, advice, .. } = sentences::refused(refusal);
                Step::AskSecret { problem: Some(format!("{reason} {advice}")) }
            }
            Failure::Refused(refusal) => Step::End(sentences::refused(refusal)),
            Failure::Ending(ending) => Step::End(ending),
        }
    }

    /// The host let this viewer in.
    fn start(&mut self, reached: Reached) -> Step {
        let host_name = tagio_session::sanitised(&reached.terms.host_name);
        self.pin(reached.host_key, &host_name);
        self.status.host_name = host_name;
        self.status.fingerprint = Some(reached.host_key.fingerprint());
        self.status.phrase = Some(reached.phrase.to_string());
        self.status.permission = reached.terms.permission;
        self.status.screen = reached.terms.screen;
        self.progress(ConnectStep::Picture);
        match Live::start(reached, &self.endpoint, &self.outlets) {
            Ok(live) => {
                self.status.path = Some(live.path());
                self.tell(ViewerEvent::Connected(live.path()));
                self.publish();
                if self.status.permission == Permission::Ports {
                    // No picture will come that could say so.
                    self.enter(ViewerPhase::Live);
                }
                Step::Live(Box::new(live))
            }
            Err(lost) => Step::End(sentences::lost(&lost)),
        }
    }

    /// Remembers the key that this host proved.
    fn pin(&self, key: PublicKey, name: &str) {
        let (dir, target, name) = (self.config.data_dir.clone(), self.config.target.clone(), name.to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // On a thread of its own: a slow disk must not hold packets up.
        tokio::task::spawn_blocking(move || {
            if let Err(error) =
                KnownPeers::update(&dir, |peers| peers.remember_host(&target, &name, key, now))
            {
                tracing::warn!(%error, "host not remembered");
            }
        });
    }

    async fn live(&mut self, live: Box<Live>, commands: &mut mpsc::Receiver<ViewerCommand>) -> Step {
        let resume = live.resume();
        let over = live.run(self, commands).await;
        self.ports.disconnected();
        self.status.path = None;
        self.status.rtt = None;
        match over {
            Over::Left => Step::Leave,
            Over::Ended(reason) => Step::End(sentences::ended(reason)),
            Over::Undecodable => Step::End(sentences::ending(
                "bad-picture",
                "The picture that the host sends cannot be decoded.",
                "Connect again; if it happens again, update TagIO on both sides.",
            )),
            Over::Lost(lost) => {
                tracing::info!(%lost, "connection lost");
                let since = Instant::now();
                self.enter(ViewerPhase::Reconnecting { since });
                Step::Reconnect { resume, since }
            }
        }
    }

    async fn reconnect(&mut self, resume: [u8; 32], since: Instant) -> Step {
        let mut changes = self.endpoint.network_changes();
        loop {
            let failure = match self.reach(Credential::Resume(resume)).await {
                Ok(reached) => return self.start(reached),
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(refusal) => return Step::End(sentences::refused(refusal)),
                Failure::Ending(ending)
                    if ending.key_changed
                        || since.elapsed() >= RECONNECT_FOR
                        || (ending.code == sentences::OFFLINE && since.elapsed() >= OFFLINE_FOR) =>
                {
                    return Step::End(ending);
                }
                Failure::Ending(ending) => {
                    tracing::info!(reason = ending.reason, "not back yet");
                    self.pause(&mut changes).await;
                }
            }
        }
    }

    /// Waits before the next try; no longer than until the network is another, or the relay there again.
    async fn pause(&mut self, changes: &mut NetworkChanges) {
        tokio::select! {
            () = sleep(RECONNECT_PAUSE) => {}
            () = changes.next() => {}
            () = self.relay_is_back() => {}
        }
    }

    async fn end(&mut self, ending: Ending, commands: &mut mpsc::Receiver<ViewerCommand>) -> Step {
        self.tell(ViewerEvent::Closed(ending.code));
        self.ending = Some(ending.clone());
        self.enter(ViewerPhase::Ended(ending));
        loop {
            match self.next_command(commands).await {
                Some(ViewerCommand::Retry) => break,
                Some(ViewerCommand::ForgetPin) => {
                    let target = self.config.target.clone();
                    let forgotten =
                        KnownPeers::update(&self.config.data_dir, |peers| peers.forget_pin(&target));
                    if let Err(error) = forgotten {
                        tracing::warn!(%error, "key not forgotten");
                    }
                    break;
                }
                Some(ViewerCommand::Secret(text)) => {
                    self.config.secret = Some(Secret::from_typed(&text));
                    break;
                }
                Some(ViewerCommand::Leave) | None => return Step::Leave,
                Some(_) => {}
            }
        }
        self.ending = None;
        // A code is spent by now; a password still works.
        let keeps = |secret: &Secret| secret.kind() == tagio_wire::session::SecretKind::Password;
        if self.config.secret.as_ref().is_some_and(keeps) {
            Step::Connect
        } else {
            Step::AskSecret { problem: None }
        }
    }
}
