//! What a host is started with, and what it tells.

use std::{net::SocketAddr, path::PathBuf};

use tagio_session::{IdentityKey, StoredSecret, ports::PortPolicy};
use tagio_transport::PathKind;
use tagio_wire::{Fingerprint, PeerId, port::PortTarget, session::Permission};
use tokio::sync::{mpsc, watch};

use crate::engine::{
    registration::Registration,
    status::{AskingViewer, HostStatus, RelayState},
};

/// How to be a host.
#[derive(Debug)]
pub struct HostConfig {
    /// This device's key.
    pub identity: IdentityKey,
    /// What viewers see.
    pub name: String,
    /// Where to register; `None` waits for direct viewers only.
    pub relay: Option<Registration>,
    /// Whether the relay of the settings is the one to use, also when they change.
    pub follows_settings: bool,
    /// Where to wait for direct viewers.
    pub listen: Option<SocketAddr>,
    /// Whether who knows the ID or the key finds it on the local network.
    pub lan: bool,
    /// The unattended password.
    pub password: Option<StoredSecret>,
    /// Whether the user is asked about viewers that show the one-time code.
    pub ask: bool,
    /// What a viewer is allowed without asking.
    pub permission: Permission,
    /// The most that a viewer is allowed, whoever is asked.
    pub permission_max: Permission,
    /// Which ports viewers may use.
    pub ports: PortPolicy,
    /// Folder of settings and known peers.
    pub data_dir: PathBuf,
}

/// What happens, for a program without a window.
#[derive(Clone, Debug)]
pub enum HostEvent {
    /// It waits for direct viewers here.
    Listening(SocketAddr),
    /// The relay gave this ID.
    Registered(PeerId),
    /// The relay is away; a sentence says why.
    RelayLost(String),
    /// The one-time code is this from now on.
    Code(String),
    /// The user has to answer.
    Asking(AskingViewer),
    /// A viewer is in.
    Connected(Fingerprint, PathKind),
    /// Its packets travel this way from now on.
    Path(Fingerprint, PathKind),
    /// These are the ports that it forwards from now on.
    Ports(Fingerprint, Vec<PortTarget>),
    /// It is out.
    Left(Fingerprint),
}

/// Where a host's news go.
#[derive(Debug)]
pub struct Outlets {
    /// The whole state after each change.
    pub status: watch::Sender<HostStatus>,
    /// Each change; one that nobody fetches is lost.
    pub events: mpsc::Sender<HostEvent>,
}

/// The state of a host that has only just started.
pub fn initial_status() -> HostStatus {
    HostStatus {
        relay: RelayState::Off,
        id: None,
        code: String::new(),
        has_password: false,
        asking: Vec::new(),
        viewers: Vec::new(),
        screen_problem: None,
    }
}
