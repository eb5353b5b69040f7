//! The viewer's end of ports: listeners on loopback whose connections go on from the host.
//!
//! A forward outlives the session's connection: while that is being made again, its listener stays and what comes
//! waits; connections that were under way are reset.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tagio_transport::Connection;
use tagio_tunnel::tuning;
use tagio_wire::port::{PortRefusal, PortReply, PortRequest};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use crate::engine::{
    ControlError,
    ports::{self, PortFlow, PortMeter, PortStream},
    sentences,
    status::{Forward, ForwardId, ForwardState, ForwardStatus},
};

const LOCK: &str = "no task panics while it holds a forward";
/// Forwards of one session: each holds a stream, and the streams are few.
const FORWARDS_MAX: usize = 32;
/// A system that has no descriptor left is not asked again sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// All forwards of a viewer.
#[derive(Default)]
pub(super) struct PortBook {
    forwards: BTreeMap<ForwardId, Entry>,
    /// How many there have been.
    count: u32,
    session: watch::Sender<Option<PortSession>>,
    /// Something that is worth showing has changed.
    news: Arc<Notify>,
    tasks: JoinSet<()>,
}

struct Entry {
    desk: Arc<Desk>,
    task: AbortHandle,
}

/// A connection that ports can go through.
#[derive(Clone)]
struct PortSession {
    connection: Connection,
    flow: PortFlow,
}

/// What a forward's task and its book have in common.
struct Desk {
    forward: Forward,
    facts: Mutex<Facts>,
    meter: PortMeter,
    connections: AtomicUsize,
    news: Arc<Notify>,
}

struct Facts {
    local: Option<SocketAddr>,
    state: ForwardState,
    problem: Option<String>,
}

impl PortBook {
    /// Begins to forward. One that cannot be says so in its status.
    pub(super) fn add(&mut self, forward: Forward) {
        self.count += 1;
        let id = ForwardId(self.count);
        let is_full = self.forwards.len() >= FORWARDS_MAX;
        let state = if is_full {
            ForwardState::Failed(sentences::too_many_forwards())
        } else {
            ForwardState::Waiting
        };
        let desk = Arc::new(Desk {
            forward,
            facts: Mutex::new(Facts { local: None, state, problem: None }),
            meter: PortMeter::default(),
            connections: AtomicUsize::new(0),
            news: Arc::clone(&self.news),
        });
        let (serving, session) = (Arc::clone(&desk), self.session.subscribe());
        let task = self.tasks.spawn(async move {
            if !is_full {
                serving.serve(session).await;
            }
        });
        self.forwards.insert(id, Entry { desk, task });
        self.news.notify_one();
    }

    /// Ends one, with its connections.
    pub(super) fn remove(&mut self, id: ForwardId) {
        if let Some(entry) = self.forwards.remove(&id) {
            entry.task.abort();
        }
        self.news.notify_one();
    }

    /// There is a session.
    pub(super) fn connected(&self, connection: &Connection) {
        self.session
            .send_replace(Some(PortSession { connection: connection.clone(), flow: PortFlow::new() }));
    }

    /// There is none any more.
    pub(super) fn disconnected(&self) {
        self.session.send_replace(None);
    }

    /// Waits until a forward stands differently. Bytes are no news.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }

    /// All of them at a glance. Takes what has ended off the tasks.
    pub(super) fn look(&mut self) -> Vec<ForwardStatus> {
        while self.tasks.try_join_next().is_some() {}
        self.forwards.iter().map(|(id, entry)| entry.desk.status(*id)).collect()
    }
}

impl Desk {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().expect(LOCK)
    }

    fn enter(&self, state: ForwardState) {
        self.facts().state = state;
        self.news.notify_one();
    }

    fn status(&self, id: ForwardId) -> ForwardStatus {
        let facts = self.facts();
        ForwardStatus {
            id,
            local: facts.local,
            target: self.forward.target.clone(),
            state: facts.state.clone(),
            connections: self.connections.load(Ordering::Relaxed),
            sent: self.meter.sent.load(Ordering::Relaxed),
            received: self.meter.received.load(Ordering::Relaxed),
            problem: facts.problem.clone(),
        }
    }

    /// A forward from its first moment to its last.
    async fn serve(self: Arc<Self>, mut session: watch::Receiver<Option<PortSession>>) {
        let listener = match self.listen().await {
            Ok(listener) => listener,
            Err(error) => {
                let port = self.forward.local_port;
                return self.enter(ForwardState::Failed(sentences::no_local_port(port, &error)));
            }
        };
        loop {
            // An error: the viewer is over.
            let Ok(at) = session.wait_for(Option::is_some).await.map(|at| at.clone()) else { return };
            let Some(at) = at else { continue };
            let refused = tokio::select! {
                refused = self.forward_by(&at, &listener) => refused,
                _ = session.changed() => None,
            };
            match refused {
                Some(refusal) => {
                    let sentence = sentences::port_refused(refusal, &self.forward.target);
                    return self.enter(ForwardState::Failed(sentence));
                }
                None => self.enter(ForwardState::Waiting),
            }
            // A connection that is over without a word is not asked again.
            at.connection.closed().await;
        }
    }

    async fn listen(&self) -> io::Result<TcpListener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.forward.local_port)).await?;
        self.facts().local = Some(listener.local_addr()?);
        Ok(listener)
    }

    /// Forwards by this connection until it ends, or until the host wants no more: then the reason.
    async fn forward_by(self: &Arc<Self>, at: &PortSession, listener: &TcpListener) -> Option<PortRefusal> {
        self.enter(ForwardState::Asking);
        let target = self.forward.target.clone();
        let mut stream = PortStream::open(&at.connection, &PortRequest::Announce(target)).await.ok()?;
        match allowed(&mut stream).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return Some(refusal),
            Err(error) => {
                tracing::debug!(%error, "no answer about a port");
                return None;
            }
        }
        self.enter(ForwardState::Open);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                ended = stream.recv.read_first() => return ended.is_ok().then_some(PortRefusal::ViewOnly),
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(Arc::clone(self).carry(at.clone(), socket));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection to a forwarded port is not taken");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// One connection.
    async fn carry(self: Arc<Self>, at: PortSession, socket: TcpStream) {
        let _counted = Counted::new(&self);
        tuning::tune(&socket);
        let problem = match self.connect(&at, &socket).await {
            Ok(None) => None,
            Ok(Some(refusal)) => Some(sentences::port_refused(refusal, &self.forward.target)),
            Err(error) => {
                tracing::debug!(%error, "a connection broke");
                return;
            }
        };
        self.facts().problem = problem;
    }

    async fn connect(
        &self,
        at: &PortSession,
        socket: &TcpStream,
    ) -> Result<Option<PortRefusal>, anyhow::Error> {
        let request = PortRequest::Connect(self.forward.target.clone());
        let mut stream = PortStream::open(&at.connection, &request).await?;
        if let Err(refusal) = allowed(&mut stream).await? {
            tuning::abort(socket);
            return Ok(Some(refusal));
        }
        self.facts().problem = None;
        ports::join(socket, &mut stream, &at.flow, &self.meter).await?;
        Ok(None)
    }
}

/// The host's last word on a request.
async fn allowed(stream: &mut PortStream) -> Result<Result<(), PortRefusal>, ControlError> {
    loop {
        match ports::read_frame(&mut stream.recv).await? {
            PortReply::Asking => {}
            PortReply::Ready => return Ok(Ok(())),
            PortReply::Refused(refusal) => return Ok(Err(refusal)),
        }
    }
}

/// One connection more, for as long as it is held.
struct Counted<'a>(&'a Desk);

impl<'a> Counted<'a> {
    fn new(desk: &'a Desk) -> Self {
        desk.connections.fetch_add(1, Ordering::Relaxed);
        Self(desk)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
