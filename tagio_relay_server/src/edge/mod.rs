//! The POP of edge nodes: users come by SOCKS5 and leave through a node, which has a WebSocket here.
//!
//! `link` serves a node, `outlet` is what the SOCKS5 front of `tagio-proxy` sends its users out by, `datagrams` the
//! same for UDP; `place` is a session's place among all, which counts its bytes and slows them down. Which node a
//! session leaves by, and whether it may, says the book of `tagio-relay-core`.

mod datagrams;
mod link;
mod outlet;
mod place;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use tagio_edge::{
    inbox::{Budget, Room},
    link::{Kind, Link},
    session::Session,
    wire::NodeVersion,
};
use tagio_proxy::{Credentials, Door, Front, FrontLimits, Users};
use tagio_relay_core::{
    Denial, Limits, SourceNet,
    edge::{EdgeBook, LinkId, NodeId, TokenMint, UserName},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use zeroize::Zeroizing;

pub(crate) use self::link::{NewNode, serve};
use self::{
    outlet::Exit,
    place::{Place, Traffic},
};
use crate::{config::Secret, lock::lock, shared::Shared};

/// What a POP needs to know.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Where users come.
    pub socks: SocketAddr,
    /// Signs tokens; one of this run, where there is none.
    pub secret: Option<Secret>,
    /// Who may use it, with passwords; everybody on this machine, where there is none.
    pub users: Vec<(String, Secret)>,
    /// Who may be a node; whoever asks, where there is none.
    pub nodes: Vec<NodeId>,
}

/// The POP, before anybody is served.
pub(crate) struct EdgeDoor {
    edges: Arc<Edges>,
    front: Front<Exit>,
}

/// What all of this module shares.
pub(crate) struct Edges {
    relay: Arc<Shared>,
    desk: Mutex<Desk>,
    users: RwLock<Arc<Users>>,
    /// Who may be a node; everybody, where there is none.
    members: RwLock<HashSet<NodeId>>,
    mint: TokenMint,
    /// What waits for all users together.
    budget: Arc<Budget>,
    session_ids: AtomicU64,
    traffic: Traffic,
}

/// What is decided, and who carries it out.
struct Desk {
    book: EdgeBook,
    links: HashMap<LinkId, Connected>,
    next_link: u64,
}

/// A node that is there.
#[derive(Clone)]
struct Connected {
    link: Link,
    version: NodeVersion,
}

/// Numbers for the metrics page.
pub(crate) struct EdgeGauges {
    pub(crate) nodes: usize,
    pub(crate) sessions: u32,
    pub(crate) sessions_total: u64,
    pub(crate) queued_bytes: usize,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) bytes_held: u64,
}

impl EdgeDoor {
    /// Opens the door for users.
    pub(crate) async fn open(config: &EdgeConfig, relay: Arc<Shared>) -> Result<Self> {
        let limits = relay.limits();
        let mint = match &config.secret {
            Some(secret) => TokenMint::new(secret.bytes()),
            None => TokenMint::new(&rand::random::<[u8; 32]>()),
        };
        let book = EdgeBook::new(limits.as_ref().clone());
        let edges = Arc::new(Edges {
            desk: Mutex::new(Desk { book, links: HashMap::new(), next_link: 0 }),
            users: RwLock::new(Arc::new(users(config))),
            members: RwLock::new(config.nodes.iter().cloned().collect()),
            mint,
            budget: Arc::new(Budget::new(limits.edge_queues_bytes_max as usize)),
            session_ids: AtomicU64::new(1),
            traffic: Traffic::default(),
            relay,
        });
        let limits = FrontLimits {
            connections_max: limits.edge_sessions_max as usize,
            opening: limits.opening(),
            ..FrontLimits::default()
        };
        let front = Front::bind(config.socks, Door::Socks5, Arc::new(Exit(Arc::clone(&edges))), limits).await;
        let front =
            front.context("no door for users of edge nodes (--edge-socks ADDR, --edge-user USER:PASS)")?;
        Ok(Self { edges, front })
    }

    pub(crate) fn edges(&self) -> &Arc<Edges> {
        &self.edges
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.front.addr()
    }

    /// Serves until `stop`; sessions that are there may finish.
    pub(crate) fn serve(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let (front, stop) = (self.front, stop.clone());
        tasks.spawn(async move {
            front.run(stop).await;
            // The front has ended because the relay does; the relay's own drain says when it is over.
            std::future::pending::<()>().await;
        });
    }
}

impl Edges {
    /// A token for a node, for somebody who asks from `net`.
    pub(crate) fn token(&self, node: &NodeId, net: SourceNet) -> Result<String, Denial> {
        if lock(&self.relay.hub).is_draining() {
            return Err(Denial::Draining);
        }
        lock(&self.desk).book.ask(net, Instant::now())?;
        self.know(node)?;
        let lifetime = Duration::from_secs(self.relay.limits().edge_token_secs.into());
        Ok(self.mint.issue(node, SystemTime::now(), lifetime))
    }

    /// Whether a token lets this node in.
    pub(crate) fn check(&self, token: Option<&str>, node: &NodeId) -> Result<(), Denial> {
        let is_good = token.is_some_and(|token| self.mint.is_good(token, node, SystemTime::now()));
        is_good.then_some(()).ok_or(Denial::EdgeToken)?;
        self.know(node)
    }

    /// Whether this is one of the nodes that may come.
    fn know(&self, node: &NodeId) -> Result<(), Denial> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = members.is_empty() || members.contains(node);
        is_known.then_some(()).ok_or(Denial::EdgeStranger)
    }

    /// How much of a session may wait here.
    fn room(&self) -> Room {
        Room {
            bytes_max: self.relay.limits().edge_queue_bytes_max as usize,
            budget: Arc::clone(&self.budget),
        }
    }

    /// How many bytes of a session a node may send before some have gone to the user.
    pub(crate) fn window(&self) -> u32 {
        self.relay.limits().edge_window_bytes
    }

    /// Other limits, users and nodes from now on; who is in stays in. The last user stays, as the door would be open to
    /// all, and so does the last of the nodes.
    pub(crate) fn reload(&self, limits: Limits, config: Option<&EdgeConfig>) {
        lock(&self.desk).book.set_limits(limits);
        if let Some(config) = config {
            let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
            if config.nodes.is_empty() != members.is_empty() {
                warn!("whether edge nodes have to be named changes at the next start");
            } else {
                *members = config.nodes.iter().cloned().collect();
            }
        }
        match config.map(users) {
            Some(users) if users.is_empty() == self.users().is_empty() => {
                *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
            }
            Some(_) | None => warn!("whether users of edge nodes show a password changes at the next start"),
        }
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets a second pass.
    pub(crate) fn handle_timeout(&self) {
        lock(&self.desk).book.handle_timeout(Instant::now());
    }

    /// Whether users would be cut off by a stop.
    pub(crate) fn is_in_use(&self) -> bool {
        lock(&self.desk).book.counts().1 > 0
    }

    pub(crate) fn gauges(&self) -> EdgeGauges {
        let (nodes, sessions) = lock(&self.desk).book.counts();
        EdgeGauges {
            nodes,
            sessions,
            sessions_total: self.session_ids.load(Ordering::Relaxed) - 1,
            queued_bytes: self.budget.used(),
            bytes_up: self.traffic.up.load(Ordering::Relaxed),
            bytes_down: self.traffic.down.load(Ordering::Relaxed),
            bytes_held: self.traffic.held.load(Ordering::Relaxed),
        }
    }

    fn deny(&self, denial: Denial) -> Denial {
        self.relay.denials.count(denial);
        denial
    }

    /// Opens a session through the node that is this user's.
    fn open(self: &Arc<Self>, user: &User, kind: Kind) -> Result<Opened, Denial> {
        let (place, node) = {
            let mut desk = lock(&self.desk);
            let chosen = desk.book.choose(&user.name, user.net, Instant::now())?;
            let node = desk.links.get(&chosen.link).cloned();
            (Arc::new(Place::new(self, chosen)), node)
        };
        let node = node.ok_or(Denial::EdgeNoNode)?;
        let id = self.session_ids.fetch_add(1, Ordering::Relaxed).to_string();
        let session = node.link.open(&id, kind, place.clone()).map_err(|_| Denial::EdgeNoNode)?;
        Ok(Opened { session, place, node })
    }
}

/// A session of a user, whose target was not asked for yet.
struct Opened {
    session: Session,
    place: Arc<Place>,
    node: Connected,
}

fn users(config: &EdgeConfig) -> Users {
    let credentials = |(user, password): &(String, Secret)| Credentials {
        user: user.clone(),
        password: Zeroizing::new(password.bytes().to_vec()),
    };
    config.users.iter().map(credentials).collect()
}

/// A user who was let in.
#[derive(Clone)]
pub(crate) struct User {
    name: UserName,
    net: SourceNet,
}
