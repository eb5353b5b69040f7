//! What the window may know of the engine, and what it may ask of it.
//!
//! The engine publishes snapshots; views read them and never call the engine. Both directions are closed
//! enums, so a new state or wish makes the compiler list every place that must know it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

pub use tagio_transport::{
    Carrier, CarrierKind, MappedBy, Outcome, PathFigures, PathKind, PathReport, PathStats, Relayed, Tried,
};
pub use tagio_tunnel::inspect::{ExchangeState, ExchangeSummary};
use tagio_wire::{
    Fingerprint, PeerId, Point, Size,
    input::InputEvent,
    port::PortTarget,
    session::{Monitor, Permission, ViewWish},
};
use zeroize::Zeroizing;

use crate::config::SavedTunnel;

/// Names a viewer of this host for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewerId(pub u64);

/// How it stands with the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// None is wanted: a host that waits for direct viewers only.
    Off,
    /// The first or next attempt is under way.
    Connecting,
    /// The ID is registered.
    Online,
    /// It did not work.
    Offline {
        /// A sentence: what is wrong and what to do.
        problem: String,
        /// When the next attempt starts by itself; `None` when none does.
        retry_at: Option<Instant>,
    },
}

/// A host at a glance.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// The relay.
    pub relay: RelayState,
    /// The own ID, once the relay gave it (kept when the relay is away).
    pub id: Option<PeerId>,
    /// The one-time code, `abcd-efgh`.
    pub code: String,
    /// Whether an unattended password is set.
    pub has_password: bool,
    /// Viewers that proved a secret and wait for the user's answer, oldest first.
    pub asking: Vec<AskingViewer>,
    /// Viewers that are in now, oldest first.
    pub viewers: Vec<ConnectedViewer>,
    /// A sentence, when the screen cannot be shown.
    pub screen_problem: Option<String>,
}

/// A viewer that waits for the user's answer.
#[derive(Clone, Debug)]
pub struct AskingViewer {
    /// To answer it.
    pub viewer: ViewerId,
    /// What it calls itself.
    pub name: String,
    /// Of its key.
    pub fingerprint: Fingerprint,
    /// Four words that both screens show.
    pub phrase: String,
    /// What it asks for.
    pub wants: Permission,
    /// The port that it asks for, when it is in already; at the door it names none.
    pub port: Option<PortTarget>,
    /// Whether this key was let in before.
    pub known: bool,
    /// When the answer becomes "no" by itself.
    pub until: Instant,
}

/// A viewer that is in.
#[derive(Clone, Debug)]
pub struct ConnectedViewer {
    /// To end it.
    pub viewer: ViewerId,
    /// What it calls itself.
    pub name: String,
    /// Of its key.
    pub fingerprint: Fingerprint,
    /// Four words that both screens show.
    pub phrase: String,
    /// What it may do.
    pub permission: Permission,
    /// How its packets travel.
    pub path: PathKind,
    /// Since when.
    pub since: Instant,
    /// The ports that it forwards, each once.
    pub ports: Vec<PortTarget>,
}

/// What the window may ask of a host.
#[derive(Clone, Debug)]
pub enum HostCommand {
    /// A new one-time code, now.
    RenewCode,
    /// Answer to an [`AskingViewer`].
    Answer {
        /// Who.
        viewer: ViewerId,
        /// Let in with this permission; `None` is no.
        permission: Option<Permission>,
    },
    /// Change what a connected viewer may do.
    Permit {
        /// Who.
        viewer: ViewerId,
        /// What.
        permission: Permission,
    },
    /// End one session at once.
    End(ViewerId),
    /// End all sessions at once.
    EndAll,
    /// The settings on disk have changed.
    ReloadSettings,
}

/// A viewer's session at a glance.
#[derive(Clone, Debug)]
pub struct ViewerStatus {
    /// Where it stands.
    pub phase: ViewerPhase,
    /// How packets travel, while live.
    pub path: Option<PathKind>,
    /// Round trip of the path in use.
    pub rtt: Option<Duration>,
    /// How the search for a direct path goes.
    pub search: PathReport,
    /// How the paths have fared; that it changes is no news.
    pub paths: PathStats,
    /// Of the last second.
    pub figures: Figures,
    /// Size of the host's screen; zero before the first picture.
    pub screen: Size,
    /// What the host calls itself.
    pub host_name: String,
    /// Of the host's key, once known.
    pub fingerprint: Option<Fingerprint>,
    /// Four words that both screens show, once known.
    pub phrase: Option<String>,
    /// What the host allows.
    pub permission: Permission,
    /// The host's monitors; fewer than two are no choice.
    pub monitors: Vec<Monitor>,
    /// What was asked of the picture last.
    pub wish: ViewWish,
    /// The file that the picture is recorded to, and since when.
    pub recording: Option<Recording>,
    /// Ports that are forwarded here, in the order in which they were asked for.
    pub ports: Vec<ForwardStatus>,
}

/// Names a forward of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForwardId(pub u32);

/// A port of this computer whose connections go on from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On loopback here; 0 takes any that is free.
    pub local_port: u16,
    /// As the host sees it.
    pub target: PortTarget,
}

/// A forward at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardStatus {
    /// To stop it.
    pub id: ForwardId,
    /// Where programs here connect to, once that is known.
    pub local: Option<SocketAddr>,
    /// Where they get to.
    pub target: PortTarget,
    /// How it stands.
    pub state: ForwardState,
    /// Connections now.
    pub connections: usize,
    /// Bytes from here to there so far.
    pub sent: u64,
    /// Bytes from there to here so far.
    pub received: u64,
    /// A sentence on the newest connection that failed, until one works.
    pub problem: Option<String>,
}

/// How a forward stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardState {
    /// There is no session now; connections wait for it.
    Waiting,
    /// The host, or its user, is being asked.
    Asking,
    /// Connections are taken.
    Open,
    /// It will not be; a sentence says why.
    Failed(String),
}

/// How the picture fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Reading the host's screen.
    pub capture: Spread,
    /// Encoding on the host.
    pub encode: Spread,
    /// From the host's connection to the last byte here, by the round trip and by how much longer than the
    /// quickest it took.
    pub network: Spread,
    /// Decoding here.
    pub decode: Spread,
    /// From decoded to handed to the system's window.
    pub display: Spread,
    /// Updates and video frames in the last second.
    pub fps: u32,
    /// Picture that came in the last second.
    pub megabits_per_second: f32,
    /// Share of the picture's pixels that are exactly the host's, 0 to 1.
    pub exact_share: f32,
    /// Whether a part of it comes as video.
    pub has_video: bool,
}

/// A figure's distribution over the last second or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Median.
    pub p50: Duration,
    /// Nineteen of twenty are shorter.
    pub p95: Duration,
}

/// A recording that runs, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Where to.
    pub file: std::path::PathBuf,
    /// Since when.
    pub since: Instant,
    /// A sentence, when it has failed; what came before is in the file.
    pub problem: Option<String>,
}

/// Where a viewer's session stands.
#[derive(Clone, Debug)]
pub enum ViewerPhase {
    /// On the way to the first picture.
    Connecting(ConnectStep),
    /// The user has to type the code or password.
    NeedsSecret {
        /// A sentence, when the last one was refused.
        problem: Option<String>,
    },
    /// The host's user is being asked.
    Asking,
    /// The picture is live.
    Live,
    /// The connection is lost and is being made again; the last frame stays.
    Reconnecting {
        /// Since when.
        since: Instant,
    },
    /// Over.
    Ended(Ending),
}

/// The stage of connecting, so that a wait can say what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectStep {
    /// To the relay, or to the host's address.
    Reaching,
    /// The relay tells the host.
    Calling,
    /// Keys and secret.
    Proving,
    /// Let in; the first picture is under way.
    Picture,
}

/// How a viewer's session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// One word for scripts: `left`, `ended-by-host`, `offline`, …
    pub code: &'static str,
    /// A sentence for people.
    pub reason: String,
    /// What to do next.
    pub advice: String,
    /// Whether trying again may help.
    pub may_retry: bool,
    /// The host's key is not the pinned one: offers to forget the pin, with a warning.
    pub key_changed: bool,
}

impl Ending {
    /// Whether something went wrong, and not just came to its end.
    pub fn is_failure(&self) -> bool {
        self.code != "left"
    }
}

/// What the window may ask of a viewer's session.
#[derive(Clone, Debug)]
pub enum ViewerCommand {
    /// The code or password that was asked for.
    Secret(Zeroizing<String>),
    /// Something reliable: a button, the wheel, a key, text.
    Input(InputEvent),
    /// The pointer is here now; only the newest counts.
    Move(Point),
    /// Lets go of every held key and button, as when the window loses the focus.
    ReleaseAll,
    /// Whether anybody can see the picture.
    Watching(bool),
    /// Try again after an ending.
    Retry,
    /// Trust the host's new key from now on, and try again.
    ForgetPin,
    /// What is wanted of the picture.
    View(ViewWish),
    /// Record the picture, or stop that.
    Record(bool),
    /// Forward a port of this computer to the host's side.
    Forward(Forward),
    /// Do so no longer.
    StopForward(ForwardId),
    /// Leave.
    Leave,
}

/// Names a reverse tunnel of the window for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelId(pub u64);

/// The reverse tunnels at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnels {
    /// In the order in which they were added.
    pub list: Vec<TunnelStatus>,
    /// A sentence, when the last change could not be kept.
    pub problem: Option<String>,
}

/// A reverse tunnel at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelStatus {
    /// To do something with it.
    pub id: TunnelId,
    /// As it was set up.
    pub saved: SavedTunnel,
    /// How it stands.
    pub state: TunnelState,
    /// Bytes from visitors to the service so far.
    pub inward: u64,
    /// Bytes from the service to visitors so far.
    pub outward: u64,
    /// The last requests, newest first, where visitors speak HTTP.
    pub requests: Vec<ExchangeSummary>,
}

/// How a reverse tunnel stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelState {
    /// It was not started, or was stopped.
    Stopped,
    /// The relay is being asked.
    Starting,
    /// Visitors may come, to this host and port.
    Open(String),
    /// It does not stand now and is tried again; a sentence says why.
    Down(String),
    /// It was given up; a sentence says why.
    Failed(String),
}

impl TunnelState {
    /// Whether it is to be open.
    pub fn is_wanted(&self) -> bool {
        match self {
            Self::Starting | Self::Open(_) | Self::Down(_) => true,
            Self::Stopped | Self::Failed(_) => false,
        }
    }
}

/// What the window may ask of the tunnels.
#[derive(Clone, Debug)]
pub enum TunnelCommand {
    /// Keep one more, and start it.
    Add(SavedTunnel),
    /// Set one up anew; one that runs is started again.
    Change(TunnelId, SavedTunnel),
    /// Stop one and forget it.
    Remove(TunnelId),
    /// Open one.
    Start(TunnelId),
    /// Close one.
    Stop(TunnelId),
    /// Forget the requests that were seen.
    ForgetRequests(TunnelId),
}
