//! The host's end of ports: who may reach what, whom to ask, and the connections that go on from here.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tagio_session::{
    ports::{PortDecision, PortRights},
    resume::TicketId,
};
use tagio_transport::Connection;
use tagio_tunnel::tuning;
use tagio_wire::{
    PublicKey,
    port::{PORT_STREAMS_MAX, PortRefusal, PortReply, PortRequest, PortTarget},
    session::{Permission, StreamKind},
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::{Mutex as AsyncMutex, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    Note,
    door::{ASK_DEADLINE, Entry, House},
};
use crate::engine::{
    ControlError,
    ports::{self, PortFlow, PortMeter, PortStream},
    status::{AskingViewer, ViewerId},
};

const LOCK: &str = "no task panics while it holds the book of ports";
/// How long a stream may take to say what it is for.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a target may take to answer: two lost packets at TCP's first pace.
const CONNECT_DEADLINE: Duration = Duration::from_secs(8);

/// Keeps the ports of one visit. Cheap to clone.
#[derive(Clone)]
pub(super) struct PortKeeper(Arc<Keeper>);

struct Keeper {
    house: House,
    viewer: ViewerId,
    ticket: TicketId,
    /// How the viewer is introduced when the user is asked.
    who: AskingViewer,
    key: PublicKey,
    book: Mutex<Book>,
    permission: watch::Sender<Permission>,
    /// Held while the user is asked: one question at a time.
    asking: AsyncMutex<()>,
    flow: PortFlow,
}

struct Book {
    rights: PortRights,
    /// What was announced and stands, and how often. INVARIANT: at most [`PORT_STREAMS_MAX`], each has a stream.
    announced: BTreeMap<PortTarget, usize>,
}

impl PortKeeper {
    pub(super) fn new(
        house: &House,
        viewer: ViewerId,
        entry: &Entry,
        (rights, permission): (PortRights, Permission),
        ticket: TicketId,
    ) -> Self {
        let visitor = &entry.admission.visitor;
        let who = AskingViewer {
            viewer,
            name: visitor.name.clone(),
            fingerprint: visitor.key.fingerprint(),
            phrase: entry.admission.phrase.to_string(),
            wants: Permission::Ports,
            port: None,
            known: false,
            until: Instant::now(),
        };
        Self(Arc::new(Keeper {
            house: house.clone(),
            viewer,
            ticket,
            who,
            key: visitor.key,
            book: Mutex::new(Book { rights, announced: BTreeMap::new() }),
            permission: watch::Sender::new(permission),
            asking: AsyncMutex::new(()),
            flow: PortFlow::new(),
        }))
    }

    /// What the viewer may do has changed. One that may look only loses its ports.
    pub(super) fn set_permission(&self, permission: Permission) {
        self.0.book().rights.set_permission(permission);
        self.0.permission.send_replace(permission);
    }

    /// Takes the viewer's streams until the connection ends.
    pub(super) async fn serve(self, connection: Connection) {
        // The control stream is one of them.
        connection.allow_bi_streams(1 + PORT_STREAMS_MAX);
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                accepted = connection.accept_bi() => {
                    let Ok((send, recv)) = accepted else { return };
                    let stream = PortStream { send, recv };
                    streams.spawn(Arc::clone(&self.0).serve_stream(stream));
                }
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

impl Keeper {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect(LOCK)
    }

    async fn serve_stream(self: Arc<Self>, mut stream: PortStream) {
        let request = match timeout(REQUEST_DEADLINE, read_request(&mut stream)).await {
            Ok(Ok(Some(request))) => request,
            // A newer viewer may open what this program does not know.
            Ok(Ok(None)) | Err(_) => return stream.send.reset(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no request for a port");
                return stream.send.reset();
            }
        };
        stream.send.set_priority(StreamKind::Port.priority());
        let mut permission = self.permission.subscribe();
        let served = async {
            match request {
                PortRequest::Announce(target) => self.announce(&mut stream, target).await,
                PortRequest::Connect(target) => self.connect(&mut stream, &target).await,
            }
        };
        tokio::select! {
            biased;
            () = served => {}
            _ = permission.wait_for(|permission| *permission == Permission::View) => {}
        }
    }

    /// Allows a target or not, and keeps it in the book for as long as the stream stands.
    async fn announce(&self, stream: &mut PortStream, target: PortTarget) {
        let allowed = match self.book().rights.decide(&target) {
            PortDecision::Ask => None,
            PortDecision::Allow => Some(Ok(())),
            PortDecision::Refuse(refusal) => Some(Err(refusal)),
        };
        let allowed = match allowed {
            Some(allowed) => allowed,
            None => self.ask(stream, &target).await,
        };
        match allowed {
            Err(refusal) => {
                tracing::info!(?refusal, "a port was refused");
                stream.reply(PortReply::Refused(refusal)).await.ok();
                stream.send.finish_soon().await;
            }
            Ok(()) => {
                let _entry = Announced::new(self, target);
                self.tell().await;
                if stream.reply(PortReply::Ready).await.is_ok() {
                    // Nothing comes but its end.
                    stream.recv.read_first().await.ok();
                }
            }
        }
        self.tell().await;
    }

    async fn ask(&self, stream: &mut PortStream, target: &PortTarget) -> Result<(), PortRefusal> {
        let _turn = self.asking.lock().await;
        // The question before may have answered this one.
        match self.book().rights.decide(target) {
            PortDecision::Ask => {}
            PortDecision::Allow => return Ok(()),
            PortDecision::Refuse(refusal) => return Err(refusal),
        }
        stream.reply(PortReply::Asking).await.map_err(|_| PortRefusal::Declined)?;
        let until = Instant::now() + ASK_DEADLINE;
        let question = AskingViewer { port: Some(target.clone()), until, ..self.who.clone() };
        let is_allowed = self.house.ask(question, self.key).await.is_some();
        let access = self.book().rights.answer(target, is_allowed);
        self.house.gate.lock().tickets.set_ports(self.ticket, access);
        if is_allowed { Ok(()) } else { Err(PortRefusal::Declined) }
    }

    /// Tells the host's user what is forwarded.
    async fn tell(&self) {
        let targets = self.book().announced.keys().cloned().collect();
        self.house.notes.send(Note::Ports(self.viewer, targets)).await.ok();
    }

    /// One connection to a target that was announced.
    async fn connect(&self, stream: &mut PortStream, target: &PortTarget) {
        let reached = if self.book().announced.contains_key(target) {
            reach(target).await
        } else {
            Err(PortRefusal::NotAllowed)
        };
        let socket = match reached {
            Ok(socket) => socket,
            Err(refusal) => {
                stream.reply(PortReply::Refused(refusal)).await.ok();
                return stream.send.finish_soon().await;
            }
        };
        tuning::tune(&socket);
        if stream.reply(PortReply::Ready).await.is_err() {
            return;
        }
        if let Err(error) = ports::join(&socket, stream, &self.flow, &PortMeter::default()).await {
            tracing::debug!(%error, "a port's connection broke");
        }
    }
}

async fn read_request(stream: &mut PortStream) -> Result<Option<PortRequest>, ControlError> {
    match StreamKind::parse(stream.recv.read_u8().await?) {
        Some(StreamKind::Port) => ports::read_frame(&mut stream.recv).await.map(Some),
        Some(
            StreamKind::Picture
            | StreamKind::Cursor
            | StreamKind::Input
            | StreamKind::Video
            | StreamKind::Messages,
        )
        | None => Ok(None),
    }
}

/// An entry of the book, for as long as it is held.
struct Announced<'a> {
    keeper: &'a Keeper,
    target: PortTarget,
}

impl<'a> Announced<'a> {
    fn new(keeper: &'a Keeper, target: PortTarget) -> Self {
        *keeper.book().announced.entry(target.clone()).or_default() += 1;
        Self { keeper, target }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut book = self.keeper.book();
        if let Some(count) = book.announced.get_mut(&self.target) {
            *count -= 1;
            if *count == 0 {
                book.announced.remove(&self.target);
            }
        }
    }
}

/// Connects to a target.
async fn reach(target: &PortTarget) -> Result<TcpStream, PortRefusal> {
    let addrs = addresses(target).await?;
    let mut refusal = PortRefusal::Unreachable;
    for addr in addrs {
        match timeout(CONNECT_DEADLINE, TcpStream::connect(addr)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                refusal = PortRefusal::Refused;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(refusal)
}

/// Where a target is. No resolver is asked about what is this computer's own.
async fn addresses(target: &PortTarget) -> Result<Vec<SocketAddr>, PortRefusal> {
    const ADDRESSES_MAX: usize = 4;
    let PortTarget { host, port } = target;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, *port)]);
    }
    if target.is_own() {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|ip| SocketAddr::new(ip, *port)).to_vec());
    }
    let found = timeout(CONNECT_DEADLINE, lookup_host((host.as_str(), *port))).await;
    let found: Vec<_> = match found {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
        Ok(Err(_)) | Err(_) => return Err(PortRefusal::UnknownName),
    };
    if found.is_empty() { Err(PortRefusal::UnknownName) } else { Ok(found) }
}
