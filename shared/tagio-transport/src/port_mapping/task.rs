//! The task behind a [`super::PortMapping`]: carries out what `leases` asks, and watches the local network.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinSet},
    time::{self, MissedTickBehavior},
};

use super::{
    MappedAddr,
    ask::{Ask, Health, MapAsk},
    error::MappingError,
    grant::{Grant, Handle, Protocol},
    leases::Leases,
    network::Network,
    pcp::Nonce,
    port_control,
    upnp::{self, Firewall, Igd},
};

/// How often this machine's addresses are compared with the last ones.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Sockets that get a mapping: two of an endpoint, at two addresses each, and some room.
const LEASES_MAX: usize = 8;

/// Owns the leases of the present network and the questions that are on their way.
struct Owner {
    bound: Vec<SocketAddr>,
    network: Network,
    routers: Routers,
    leases: Leases,
    /// INVARIANT: holds an entry for each task in `questions`.
    asked: HashMap<task::Id, Ask>,
    questions: JoinSet<Answer>,
}

/// Whom to ask. `port_control` is the handle of the mapping that was given there last.
#[derive(Clone, Default)]
struct Routers {
    upnp: Option<Igd>,
    firewall: Option<Firewall>,
    port_control: Option<Handle>,
}

/// What came of an [`Ask`].
enum Answer {
    Igd(Result<Igd, MappingError>),
    Firewall(Result<Firewall, MappingError>),
    Map(MapAsk, Result<Grant, MappingError>),
    Check(Protocol, Result<Health, MappingError>),
    GaveBack,
}

/// Runs until `wishes` is closed, then gives back what is held.
pub(super) async fn run(
    bound: Vec<SocketAddr>,
    publish: watch::Sender<Vec<MappedAddr>>,
    mut wishes: mpsc::Receiver<()>,
) {
    let mut owner = Owner::new(bound);
    let mut look = time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wake = owner.leases.poll_timeout().map(time::Instant::from_std);
        tokio::select! {
            _ = look.tick() => owner.look().await,
            wish = wishes.recv() => match wish {
                Some(()) => {
                    owner.look().await;
                    owner.leases.look_again(Instant::now());
                }
                None => break,
            },
            Some(answer) = owner.questions.join_next_with_id() => owner.handle(answer),
            () = sleep_until(wake) => {}
        }
        owner.leases.handle_timeout(Instant::now());
        owner.ask();
        let external = owner.leases.external();
        publish.send_if_modified(|published| {
            let is_new = *published != external;
            *published = external;
            is_new
        });
    }
    owner.leases.close();
    publish.send_replace(Vec::new());
    owner.ask();
    while owner.may_hold_something()
        && let Some(answer) = owner.questions.join_next_with_id().await
    {
        owner.handle(answer);
        owner.ask();
    }
}

async fn sleep_until(wake: Option<time::Instant>) {
    match wake {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Owner {
    fn new(bound: Vec<SocketAddr>) -> Self {
        Self {
            bound,
            network: Network::default(),
            routers: Routers::default(),
            leases: Leases::new([], Instant::now()),
            asked: HashMap::new(),
            questions: JoinSet::new(),
        }
    }

    /// Starts over where the local network is another than the last one.
    async fn look(&mut self) {
        // Some systems take milliseconds for the answer.
        let network = match task::spawn_blocking(Network::look).await {
            Ok(Ok(network)) => network,
            Ok(Err(error)) => return tracing::debug!(%error, "cannot list the network interfaces"),
            // The runtime is shutting down.
            Err(_) => return,
        };
        if network == self.network {
            return;
        }
        tracing::debug!(?network, "asking for port mappings in a new network");
        // Answers to old questions would be taken for answers to new ones.
        (self.questions, self.asked) = (JoinSet::new(), HashMap::new());
        // Mostly in vain, because the router is out of reach; but a mapping without end would stay for ever.
        self.leases.close();
        self.ask();
        let internal = self.bound.iter().flat_map(|bound| network.internal(*bound));
        let sockets = internal.take(LEASES_MAX).map(|internal| (internal, rand::random::<Nonce>()));
        self.leases = Leases::new(sockets.collect::<Vec<_>>(), Instant::now());
        self.network = network;
        self.routers = Routers::default();
    }

    /// Whether a router may have something of ours, or may yet give it.
    fn may_hold_something(&self) -> bool {
        self.asked.values().any(|ask| matches!(ask, Ask::Map(_) | Ask::GiveBack { .. }))
    }

    /// Sends every question that is due on its way.
    fn ask(&mut self) {
        while let Some(ask) = self.leases.poll_ask() {
            let answer = answer(ask.clone(), self.network.clone(), self.routers.clone());
            let id = self.questions.spawn(answer).id();
            self.asked.insert(id, ask);
        }
    }

    fn handle(&mut self, ended: Result<(task::Id, Answer), task::JoinError>) {
        let now = Instant::now();
        let answer = match ended {
            Ok((id, answer)) => {
                self.asked.remove(&id);
                answer
            }
            Err(error) => {
                tracing::warn!(%error, "a question to the router broke off");
                match self.asked.remove(&error.id()) {
                    Some(ask) => without_answer(ask),
                    None => return,
                }
            }
        };
        match answer {
            Answer::Igd(found) => {
                self.routers.upnp = found.inspect_err(log_search).ok();
                self.leases.handle_search(Protocol::Upnp, self.routers.upnp.is_some(), now);
            }
            Answer::Firewall(found) => {
                self.routers.firewall = found.inspect_err(log_search).ok();
                self.leases.handle_search(Protocol::Pinhole, self.routers.firewall.is_some(), now);
            }
            Answer::Map(ask, outcome) => {
                if let Ok(Grant { handle: handle @ (Handle::Pcp | Handle::NatPmp), .. }) = outcome {
                    self.routers.port_control = Some(handle);
                }
                self.leases.handle_map(&ask, outcome, now);
            }
            Answer::Check(protocol, outcome) => self.leases.handle_check(protocol, outcome, now),
            Answer::GaveBack => {}
        }
    }
}

fn log_search(error: &MappingError) {
    tracing::debug!(%error, "no UPnP gateway");
}

async fn answer(ask: Ask, network: Network, routers: Routers) -> Answer {
    match ask {
        Ask::Search(Protocol::Upnp) => Answer::Igd(match network.v4 {
            Some(lan) => upnp::search(lan).await,
            None => Err(MappingError::Silent),
        }),
        Ask::Search(Protocol::Pinhole) => Answer::Firewall(match network.v6.first() {
            Some(from) => upnp::search_firewall(*from).await,
            None => Err(MappingError::Silent),
        }),
        Ask::Search(Protocol::PortControl) => without_answer(ask),
        Ask::Map(map) => {
            let outcome = match (map.protocol, network.v4, &routers.upnp, &routers.firewall) {
                (Protocol::PortControl, Some(lan), ..) => port_control::map(lan, &map).await,
                (Protocol::Upnp, _, Some(igd), _) => upnp::map(igd, &map).await,
                (Protocol::Pinhole, .., Some(firewall)) => upnp::open_pinhole(firewall, &map).await,
                _ => Err(MappingError::Silent),
            };
            Answer::Map(map, outcome)
        }
        Ask::Check(protocol) => {
            let outcome = match (protocol, network.v4, &routers.upnp, routers.port_control) {
                (Protocol::PortControl, Some(lan), _, Some(handle)) => port_control::check(lan, handle).await,
                (Protocol::Upnp, _, Some(igd), _) => upnp::check(igd).await,
                _ => Err(MappingError::Silent),
            };
            Answer::Check(protocol, outcome)
        }
        Ask::GiveBack { internal, nonce, grant } => {
            let outcome = match (grant.handle, network.v4, &routers.upnp, &routers.firewall) {
                (Handle::Pcp | Handle::NatPmp, Some(lan), ..) => {
                    port_control::give_back(lan, internal, nonce, grant).await
                }
                (Handle::Upnp, _, Some(igd), _) => upnp::give_back(igd, grant).await,
                (Handle::Pinhole { unique_id }, .., Some(firewall)) => {
                    upnp::close_pinhole(firewall, unique_id).await
                }
                _ => Ok(()),
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a port mapping stays until it lapses");
            }
            Answer::GaveBack
        }
    }
}

fn without_answer(ask: Ask) -> Answer {
    match ask {
        Ask::Search(Protocol::Pinhole) => Answer::Firewall(Err(MappingError::Silent)),
        Ask::Search(Protocol::Upnp | Protocol::PortControl) => Answer::Igd(Err(MappingError::Silent)),
        Ask::Map(map) => Answer::Map(map, Err(MappingError::Silent)),
        Ask::Check(protocol) => Answer::Check(protocol, Err(MappingError::Silent)),
        Ask::GiveBack { .. } => Answer::GaveBack,
    }
}
