//! The host: registered under its ID, it receives viewers and keeps the book of who is in.
//!
//! [`run`] is one task that owns all of its state. Each visitor is a task below it that reports by
//! [`Note`]s; nobody else changes the book.

mod door;
mod gate;
mod interface;
mod ports;
mod streams;
mod visit;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use tagio_session::{OneTimeCode, StoredSecret, resume::TicketId};
use tagio_transport::{
    Carrier, Endpoint, Incoming, LegError, NetworkChanges, PathKind, RelayLeg, lan,
    relay::{Relay, RelayEvent, RelayRoute},
};
use tagio_wire::{
    PublicKey,
    leg::LegGrant,
    port::PortTarget,
    session::{EndReason, Permission},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::{self, JoinError, JoinSet},
};

use super::{
    next_relay_event,
    registration::Registration,
    sentences,
    status::{AskingViewer, ConnectedViewer, HostCommand, HostStatus, RelayState, ViewerId},
};
use crate::{
    config::{KnownPeers, Settings},
    host::{
        hands::Hands,
        picture::{OpenScreen, Picture, ScreenState},
    },
};
use door::House;
use gate::{Gate, make_code};
pub use interface::{HostConfig, HostEvent, Outlets, initial_status};
use visit::Order;

/// Visitors at once, strangers at the door included: each costs a handshake, and each viewer a copy of the
/// screen.
const VISITORS_MAX: usize = 24;
/// Viewers at once: each costs a copy of the screen and a share of the encoder.
const VIEWERS_MAX: usize = 16;
/// Relay legs at once. A leg that nobody uses goes after a minute.
const LEGS_MAX: usize = 32;
/// How often a leg's use is looked at.
const LEG_CHECK: Duration = Duration::from_secs(30);
/// Reports of visitors that wait for the book-keeper, which does nothing slow.
const NOTES_QUEUE: usize = 64;
/// How long the visitors may take to say goodbye when the host stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a visitor reports.
enum Note {
    Asking {
        asking: AskingViewer,
        key: PublicKey,
        answer: oneshot::Sender<Option<Permission>>,
    },
    Asked(ViewerId),
    Joined {
        viewer: ConnectedViewer,
        key: PublicKey,
        ticket: TicketId,
        orders: mpsc::Sender<Order>,
    },
    /// A viewer came back with this ticket; the connection that it was lost on is a ghost.
    Resumed(TicketId),
    Path(ViewerId, PathKind),
    /// It forwards these from now on, each once.
    Ports(ViewerId, Vec<PortTarget>),
    Left(ViewerId),
    /// The one-time code was used, or guessed at too often.
    CodeSpent,
}

/// Is a host until the commands end.
///
/// # Errors
/// No socket, or no thread.
pub async fn run(
    config: HostConfig,
    open_screen: OpenScreen,
    commands: mpsc::Receiver<HostCommand>,
    outlets: Outlets,
) -> anyhow::Result<()> {
    let endpoint = Endpoint::bind(config.listen).with_context(|| match config.listen {
        Some(addr) => format!("cannot listen on {addr}; choose another address or port"),
        None => "the system gives no UDP socket".to_owned(),
    })?;
    let picture = Picture::spawn(open_screen)?;
    let (notes_tx, notes) = mpsc::channel(NOTES_QUEUE);
    let gate = Gate::new(config.password);
    let mut status = initial_status();
    status.has_password = gate.lock().has_password();
    let register =
        |at: &Registration| Relay::spawn(at.config(&config.identity, true), endpoint.network_changes());
    let relay = config.relay.as_ref().map(register);
    if relay.is_some() {
        status.relay = RelayState::Connecting;
    }
    let house = House {
        endpoint,
        identity: config.identity,
        name: config.name,
        gate,
        picture,
        hands: Hands::new(),
        notes: notes_tx,
        ask: config.ask,
        permission: config.permission,
        permission_max: config.permission_max,
        ports: config.ports,
        observed: None,
        places: Arc::new(Semaphore::new(VIEWERS_MAX)),
    };
    let mut host = Host {
        house,
        status,
        outlets,
        registration: config.relay,
        follows_settings: config.follows_settings,
        relay,
        lan: None,
        may_answer_lan: config.listen.is_none_or(|listen| listen.ip().is_unspecified()),
        data_dir: config.data_dir,
        next_viewer: 0,
        orders: BTreeMap::new(),
        answers: BTreeMap::new(),
        visits: JoinSet::new(),
        tasks: HashMap::new(),
        legs: JoinSet::new(),
        codes: JoinSet::new(),
    };
    if config.listen.is_some() {
        host.tell(HostEvent::Listening(host.house.endpoint.local_addr()));
    }
    host.answer_lan(config.lan);
    host.renew_code();
    host.run(notes, commands).await;
    Ok(())
}

/// Binds an end of a leg once more; begins again when the network changes meanwhile.
async fn bind_anew(
    endpoint: &Endpoint,
    relay: &RelayRoute,
    grant: LegGrant,
    changes: &mut NetworkChanges,
) -> Result<RelayLeg, LegError> {
    loop {
        tokio::select! {
            bound = endpoint.bind_leg(relay, grant) => return bound,
            () = changes.next() => {}
        }
    }
}

/// The book-keeper.
struct Host {
    house: House,
    status: HostStatus,
    outlets: Outlets,
    registration: Option<Registration>,
    follows_settings: bool,
    relay: Option<Relay>,
    /// Answers on the local network, where that is wanted.
    lan: Option<lan::Answering>,
    /// Whether viewers on the local network reach the socket.
    may_answer_lan: bool,
    data_dir: PathBuf,
    next_viewer: u64,
    orders: BTreeMap<ViewerId, (TicketId, mpsc::Sender<Order>)>,
    answers: BTreeMap<ViewerId, oneshot::Sender<Option<Permission>>>,
    visits: JoinSet<()>,
    tasks: HashMap<task::Id, ViewerId>,
    /// Ends of callers' legs, each kept while it is used.
    legs: JoinSet<()>,
    codes: JoinSet<(OneTimeCode, StoredSecret)>,
}

impl Host {
    async fn run(&mut self, mut notes: mpsc::Receiver<Note>, mut commands: mpsc::Receiver<HostCommand>) {
        let mut screen = self.house.picture.screen();
        let endpoint = self.house.endpoint.clone();
        let (observed_tx, mut observed) = mpsc::channel(LEGS_MAX);
        self.publish();
        loop {
            tokio::select! {
                event = next_relay_event(&mut self.relay) => match event {
                    Some(RelayEvent::Incoming { leg, relay, .. }) => {
                        self.bind_leg(relay, leg, observed_tx.clone());
                    }
                    Some(event) => self.on_relay(event),
                    None => self.relay = None,
                },
                Some(addr) = observed.recv() => self.house.observed = Some(addr),
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.on_knock(incoming),
                    None => break,
                },
                Some(note) = notes.recv() => self.on_note(note),
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Some(made) = self.codes.join_next() => {
                    if let Ok((code, stored)) = made {
                        self.install_code(&code, stored);
                    }
                }
                changed = screen.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let state = screen.borrow_and_update().clone();
                    self.on_screen(state);
                }
                Some(over) = self.visits.join_next_with_id() => self.on_visit_over(over),
                Some(_) = self.legs.join_next() => {}
            }
        }
        self.say_goodbye().await;
    }

    fn publish(&self) {
        self.outlets.status.send_replace(self.status.clone());
    }

    fn tell(&self, event: HostEvent) {
        if self.outlets.events.try_send(event).is_err() {
            tracing::trace!("nobody fetches host events");
        }
    }

    fn on_relay(&mut self, event: RelayEvent) {
        match event {
            RelayEvent::Found(addr) => return self.house.endpoint.learn_nat(addr),
            RelayEvent::Online { welcome, relay_key, relay } => {
                if let Some(addr) = relay.addr() {
                    self.house.endpoint.learn_nat(addr);
                }
                if let Some(registration) = &self.registration {
                    registration.pin(relay_key);
                }
                self.status.relay = RelayState::Online;
                if self.status.id.replace(welcome.id) != Some(welcome.id) {
                    self.answer_lan(self.lan.is_some());
                }
                self.tell(HostEvent::Registered(welcome.id));
            }
            RelayEvent::Offline { error, retry_in } => {
                self.tell(HostEvent::RelayLost(error.to_string()));
                let problem = sentences::sentence(&error);
                let retry_at = Some(Instant::now() + retry_in);
                self.status.relay = RelayState::Offline { problem, retry_at };
            }
            RelayEvent::Incoming { .. }
            | RelayEvent::Ringing { .. }
            | RelayEvent::CallFailed { .. }
            | RelayEvent::Status { .. } => return,
        }
        self.publish();
    }

    /// Binds this side's end of a caller's leg and keeps it while it is used.
    fn bind_leg(&mut self, relay: RelayRoute, grant: LegGrant, observed: mpsc::Sender<SocketAddr>) {
        if self.legs.len() >= LEGS_MAX {
            tracing::warn!("too many calls at once; one is not taken");
            return;
        }
        let endpoint = self.house.endpoint.clone();
        let mut changes = endpoint.network_changes();
        self.legs.spawn(async move {
            let mut leg = match endpoint.bind_leg(&relay, grant).await {
                Ok(leg) => leg,
                Err(error) => return tracing::warn!(%error, "call not taken"),
            };
            if let Some(addr) = leg.observed() {
                observed.try_send(addr).ok();
            }
            let mut received = u64::MAX;
            while received != leg.received() {
                received = leg.received();
                let check_at = tokio::time::Instant::now() + LEG_CHECK;
                // A leg by UDP binds itself anew; a connection ends with its address.
                let is_carried = leg.carrier() != Carrier::Udp;
                let bound = tokio::select! {
                    () = tokio::time::sleep_until(check_at) => continue,
                    () = changes.next(), if is_carried => bind_anew(&endpoint, &relay, grant, &mut changes).await,
                };
                match bound {
                    Ok(bound) => leg = bound,
                    Err(error) => tracing::debug!(%error, "a leg is not bound anew"),
                }
                received = u64::MAX;
            }
        });
    }

    fn on_knock(&mut self, incoming: Incoming) {
        if self.visits.len() >= VISITORS_MAX {
            tracing::warn!("too many visitors at once; one is turned away");
            return incoming.refuse();
        }
        self.next_viewer += 1;
        let viewer = ViewerId(self.next_viewer);
        let task = self.visits.spawn(door::receive(self.house.clone(), viewer, incoming));
        self.tasks.insert(task.id(), viewer);
    }

    /// A visit that ends as it should has said so; one that panicked is taken from the book here.
    fn on_visit_over(&mut self, over: Result<(task::Id, ()), JoinError>) {
        let id = over.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(viewer) = self.tasks.remove(&id) else { return };
        if over.is_err() {
            self.house.picture.leave(viewer);
            self.on_note(Note::Asked(viewer));
            self.on_note(Note::Left(viewer));
        }
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Asking { mut asking, key, answer } => {
                asking.known = KnownPeers::load(&self.data_dir).0.knows_viewer(&key);
                self.answers.insert(asking.viewer, answer);
                self.tell(HostEvent::Asking(asking.clone()));
                self.status.asking.push(asking);
            }
            Note::Asked(viewer) => {
                self.answers.remove(&viewer);
                self.status.asking.retain(|asking| asking.viewer != viewer);
            }
            Note::Joined { viewer, key, ticket, orders } => {
                self.remember(&key, &viewer.name);
                self.orders.insert(viewer.viewer, (ticket, orders));
                self.tell(HostEvent::Connected(viewer.fingerprint, viewer.path));
                self.status.viewers.push(viewer);
            }
            Note::Path(viewer, path) => {
                let known = self.status.viewers.iter_mut().find(|known| known.viewer == viewer);
                let Some(known) = known.filter(|known| known.path != path) else { return };
                known.path = path;
                let fingerprint = known.fingerprint;
                self.tell(HostEvent::Path(fingerprint, path));
            }
            Note::Ports(viewer, ports) => {
                let known = self.status.viewers.iter_mut().find(|known| known.viewer == viewer);
                let Some(known) = known else { return };
                known.ports.clone_from(&ports);
                let fingerprint = known.fingerprint;
                self.tell(HostEvent::Ports(fingerprint, ports));
            }
            Note::Left(viewer) => {
                self.orders.remove(&viewer);
                let at = self.status.viewers.iter().position(|known| known.viewer == viewer);
                if let Some(at) = at {
                    let gone = self.status.viewers.remove(at);
                    self.tell(HostEvent::Left(gone.fingerprint));
                }
            }
            Note::Resumed(ticket) => {
                for (_, orders) in self.orders.values().filter(|(held, _)| *held == ticket) {
                    // A full queue means that it is about to end anyway.
                    orders.try_send(Order::Vanish).ok();
                }
            }
            Note::CodeSpent => self.renew_code(),
        }
        self.publish();
    }

    /// A viewer that was let in is a known one the next time it asks.
    fn remember(&self, key: &PublicKey, name: &str) {
        let (dir, key, name) = (self.data_dir.clone(), *key, name.to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // On a thread of its own: a slow disk must not hold packets up.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = KnownPeers::update(&dir, |peers| peers.remember_viewer(&key, &name, now)) {
                tracing::warn!(%error, "viewer not remembered");
            }
        });
    }

    fn on_command(&mut self, command: HostCommand) {
        match command {
            HostCommand::RenewCode => self.renew_code(),
            HostCommand::Answer { viewer, permission } => {
                if let Some(answer) = self.answers.remove(&viewer) {
                    // The viewer may have gone meanwhile.
                    answer.send(permission).ok();
                }
                self.status.asking.retain(|asking| asking.viewer != viewer);
            }
            HostCommand::Permit { viewer, permission } => {
                self.order(viewer, Order::Permit(permission));
                let known = self.status.viewers.iter_mut().find(|known| known.viewer == viewer);
                if let Some(known) = known {
                    known.permission = permission;
                }
            }
            HostCommand::End(viewer) => self.order(viewer, Order::End(EndReason::ByHost)),
            HostCommand::EndAll => {
                for viewer in self.orders.keys().copied().collect::<Vec<_>>() {
                    self.order(viewer, Order::End(EndReason::ByHost));
                }
            }
            HostCommand::ReloadSettings => self.reload_settings(),
        }
        self.publish();
    }

    fn order(&self, viewer: ViewerId, order: Order) {
        if let Some((_, orders)) = self.orders.get(&viewer)
            && orders.try_send(order).is_err()
        {
            // Its visit is stuck for at most a send's deadline, and then over.
            tracing::warn!("an order was lost");
        }
    }

    /// Takes over what changed on disk.
    fn reload_settings(&mut self) {
        let (settings, _) = Settings::load(&self.data_dir);
        let password = settings.password.as_deref().and_then(|bytes| StoredSecret::from_bytes(bytes).ok());
        self.status.has_password = password.is_some();
        self.house.gate.lock().set_password(password);
        self.house.name.clone_from(&settings.name);
        self.house.ask = settings.ask;
        self.house.ports = settings.ports.policy();
        self.house.permission = if settings.control { Permission::Control } else { Permission::View };
        if settings.lan != self.lan.is_some() {
            self.answer_lan(settings.lan);
        }
        if self.follows_settings {
            self.change_relay(settings);
        }
    }

    /// Registers with the relay of the settings, if that is another one now.
    fn change_relay(&mut self, settings: Settings) {
        let Ok(relay) = settings.relay.parse() else { return };
        let reach = settings.reach();
        let auth = Some(settings.relay_auth).filter(|auth| !auth.is_empty());
        let registration = match Registration::new(relay, auth, reach, self.data_dir.clone()) {
            Ok(registration) => registration,
            Err(error) => return tracing::error!("{error:#}"),
        };
        if self.registration.as_ref() == Some(&registration) {
            return;
        }
        self.relay = Some(Relay::spawn(
            registration.config(&self.house.identity, true),
            self.house.endpoint.network_changes(),
        ));
        self.registration = Some(registration);
        (self.status.relay, self.status.id) = (RelayState::Connecting, None);
    }

    /// Answers on the local network, under the present ID, or does so no longer.
    fn answer_lan(&mut self, is_wanted: bool) {
        let House { endpoint, identity, .. } = &self.house;
        self.lan = (is_wanted && self.may_answer_lan).then(|| {
            let (key, port) = (identity.public(), endpoint.local_addr().port());
            lan::Answering::spawn(key, self.status.id, port, endpoint.network_changes())
        });
    }

    fn renew_code(&mut self) {
        if self.codes.is_empty() {
            self.house.gate.lock().void_code();
            self.codes.spawn_blocking(make_code);
        }
    }

    fn install_code(&mut self, code: &OneTimeCode, stored: StoredSecret) {
        self.house.gate.lock().set_code(stored);
        self.status.code = code.spelled().to_string();
        self.tell(HostEvent::Code(self.status.code.clone()));
        self.publish();
    }

    fn on_screen(&mut self, state: ScreenState) {
        self.status.screen_problem = match state {
            ScreenState::Opening | ScreenState::Ready(_) => None,
            ScreenState::Unavailable(problem) => Some(problem),
        };
        self.publish();
    }

    async fn say_goodbye(&mut self) {
        for (_, orders) in std::mem::take(&mut self.orders).into_values() {
            orders.try_send(Order::End(EndReason::HostStops)).ok();
        }
        self.answers.clear();
        let visits = async { while self.visits.join_next().await.is_some() {} };
        tokio::time::timeout(GOODBYE, visits).await.ok();
        self.house.endpoint.close().await;
        self.house.hands.finish();
    }
}
