//! A node: finds a POP, keeps a link to it, and dials what its users want, as far as its owner allows.

mod discovery;
mod fetch;
mod session;
mod udp;

use std::{path::PathBuf, sync::Arc, time::Duration};

use rand::RngExt as _;
use tagio_proxy::Dialer;
use thiserror::Error;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        client::IntoClientRequest as _,
        http::{HeaderValue, header},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    inbox::{Budget, Room},
    link::{self, Host, Kind, Link, LinkConfig, LinkEnd},
    wire::{FLOW_HEADER, Message, MessageType, NODE_VERSION},
};
pub use discovery::DiscoveryError;
use discovery::{Discovery, Pop};
use fetch::Client;
pub use fetch::FetchError;

/// How often the POP is asked for a sign of life, as other nodes do.
const PING: Duration = Duration::from_secs(20);
/// Sessions at once: two of each open page of a few hundred users.
const SESSIONS_MAX: usize = 4096;
/// How many bytes for one target a POP may send before some have gone there, if it knows of such windows.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// What may wait for one target. The session of a POP that does not know is cut off there.
const SESSION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What may wait for all targets together.
const SESSIONS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Time for the WebSocket to open.
const OPENING: Duration = Duration::from_secs(10);
/// The first pause: a POP that restarts is back within a second.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_LONGEST: Duration = Duration::from_secs(20);
/// A link that lasted so long was a good one: the next try after it comes soon.
const GOOD_LINK: Duration = Duration::from_secs(10);
/// Longest name of a node.
const UUID_BYTES_MAX: usize = 64;

/// What a node is to be.
#[derive(Clone)]
pub struct NodeConfig {
    /// Its name, and all that it shows to get in.
    pub uuid: Uuid,
    /// The one access point to ask, if discovery is to be left out.
    pub direct_url: Option<String>,
    /// Where `bootstrap.json` is.
    pub app_dir: PathBuf,
    /// What it dials, and for how long.
    pub dialer: Dialer,
    /// A flow of datagrams ends after so much silence.
    pub udp_timeout: Duration,
}

/// A node's name: letters, digits, `-`, `_` and `.`, most often a UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uuid(String);

impl std::str::FromStr for Uuid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > UUID_BYTES_MAX || !text.bytes().all(is_plain) {
            return Err("a UUID is wanted, like 08bd0658-1f61-11f0-8061-8bd115314f4c");
        }
        Ok(Self(text.to_owned()))
    }
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// It serves this POP.
    Up(String),
    /// It serves none; it tries again.
    Down(String),
}

/// Why a node was given up.
#[derive(Debug, Error)]
pub enum NodeError {
    /// There is no list of where to ask.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] FetchError),
    /// Two nodes with one name would take each other's place for ever.
    #[error("another node with this UUID has taken the place; give each node its own")]
    Replaced,
}

/// Serves POPs, one after the other, until `stop`.
///
/// Events that nobody takes are waited for.
///
/// # Errors
/// What trying again would not mend.
pub async fn run(
    config: NodeConfig,
    events: mpsc::Sender<NodeEvent>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let client = Client::new()?;
    let discovery = Discovery::new(config.direct_url.clone(), config.app_dir.clone());
    tokio::select! {
        ended = serve_all(&config, &client, &discovery, &events, &stop) => ended,
        never = discovery.keep_fresh(&client) => match never {},
    }
}

/// One POP after the other.
async fn serve_all(
    config: &NodeConfig,
    client: &Client,
    discovery: &Discovery,
    events: &mpsc::Sender<NodeEvent>,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let mut pause = PAUSE_FIRST;
    loop {
        let started = Instant::now();
        let problem = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            served = serve(config, client, discovery, events, stop) => match served {
                Ok(LinkEnd::Stopped) => return Ok(()),
                Ok(LinkEnd::Replaced) => return Err(NodeError::Replaced),
                Ok(end) => end.to_string(),
                Err(Attempt::Discovery(error @ DiscoveryError::List { .. })) => return Err(error.into()),
                Err(error) => error.to_string(),
            },
        };
        if started.elapsed() >= GOOD_LINK {
            pause = PAUSE_FIRST;
        }
        // Nobody listens any more: then nobody has to know.
        let _ = events.send(NodeEvent::Down(problem)).await;
        // Up to a quarter shorter or longer, so that nodes do not come back as one.
        let chance: u8 = rand::rng().random();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(pause.mul_f64(0.75 + f64::from(chance) / 512.0)) => {}
        }
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

/// Why an attempt failed.
#[derive(Debug, Error)]
enum Attempt {
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Connect(#[from] FetchError),
    #[error("the POP does not open a WebSocket: {0}")]
    WebSocket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the access point names a POP that cannot be used")]
    Pop,
}

/// Finds a POP and serves it until the link ends.
async fn serve(
    config: &NodeConfig,
    client: &Client,
    discovery: &Discovery,
    events: &mpsc::Sender<NodeEvent>,
    stop: &CancellationToken,
) -> Result<LinkEnd, Attempt> {
    let pop = discovery.find(client, &config.uuid.0).await?;
    let opened = timeout(OPENING, open(config, client, &pop)).await;
    let (socket, peer_window) = opened.map_err(|_| FetchError::TimedOut)??;
    let _ = events.send(NodeEvent::Up(pop.server_url.clone())).await;
    let room = Room { bytes_max: SESSION_BYTES_MAX, budget: Arc::new(Budget::new(SESSIONS_BYTES_MAX)) };
    let link_config =
        LinkConfig { ping: PING, sessions_max: SESSIONS_MAX, room, window: WINDOW_BYTES, peer_window };
    let (link, outgoing) = Link::new(link_config, stop.child_token());
    let mut sessions = Sessions { config: config.clone(), link: link.clone(), tasks: JoinSet::new() };
    let end = link::run(&link, outgoing, socket, &mut sessions).await;
    sessions.tasks.shutdown().await;
    Ok(end)
}

type WebSocket = tokio_tungstenite::WebSocketStream<Box<dyn fetch::Stream>>;

/// The WebSocket, and what the POP holds of a session.
async fn open(config: &NodeConfig, client: &Client, pop: &Pop) -> Result<(WebSocket, Option<u32>), Attempt> {
    let separator = if pop.server_url.contains('?') { '&' } else { '?' };
    let (url, uuid, os) = (&pop.server_url, &config.uuid.0, std::env::consts::OS);
    let url = format!("{url}{separator}id={uuid}&os={os}&version={NODE_VERSION}");
    let mut request = url.into_client_request().map_err(Box::new)?;
    let bearer = HeaderValue::try_from(format!("Bearer {}", pop.access_token)).map_err(|_| Attempt::Pop)?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    request.headers_mut().insert(FLOW_HEADER, HeaderValue::from(WINDOW_BYTES));
    let stream = client.connect(request.uri()).await?;
    let opened = client_async_with_config(request, stream, Some(link::websocket_config())).await;
    let (socket, response) = opened.map_err(Box::new)?;
    let window = response.headers().get(FLOW_HEADER).and_then(|text| text.to_str().ok());
    Ok((socket, window.and_then(LinkConfig::parse_window)))
}

/// The sessions of one link; they end with it.
struct Sessions {
    config: NodeConfig,
    link: Link,
    tasks: JoinSet<()>,
}

impl Host for Sessions {
    fn stranger(&mut self, message: Message) {
        // Whose sessions ended, so that as many are kept as there are.
        while self.tasks.try_join_next().is_some() {}
        let kind = match MessageType::try_from(message.kind) {
            Ok(MessageType::ProxySessionCreate) => Kind::Tcp,
            Ok(MessageType::ProxyUdpData) => Kind::Udp,
            // What was under way when its session ended.
            Ok(_) | Err(_) => return,
        };
        match (self.link.open(&message.session_id, kind, Arc::new(())), kind) {
            (Ok(session), Kind::Tcp) => {
                let dialer = self.config.dialer.clone();
                drop(self.tasks.spawn(session::serve(dialer, session, message.payload)));
            }
            (Ok(session), Kind::Udp) => {
                let (dialer, silence) = (self.config.dialer.clone(), self.config.udp_timeout);
                drop(self.tasks.spawn(udp::serve(dialer, session, message.payload, silence)));
            }
            (Err(error), Kind::Tcp) => {
                self.link.try_send(Message::reply(&message.session_id, Err(error.to_string())));
            }
            (Err(_), Kind::Udp) => {}
        }
    }

    fn overflow(&mut self) {
        warn!("a session was cut off: its target takes less than the POP sends");
    }
}
