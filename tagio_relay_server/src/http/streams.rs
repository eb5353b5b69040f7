//! Streams over HTTP: which there are, the requests that name them, and the task that each of them has.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Body, Frame, Incoming},
};
use tagio_relay_core::Denial;
use tagio_wire::carrier::{
    HTTP_ARRIVED_KEY, HTTP_LINGER_KEY, HTTP_OPEN_KEY, HTTP_PIECE_BYTES_MAX, HTTP_WAIT,
};
use tokio::{
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
    },
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    reply::{self, BYTES, Flow, Reply, TEXT},
    visit::Visit,
};
use crate::{
    carrier::{
        Carrier, HttpStream,
        http_stream::{self, Exchange, Trouble},
    },
    connection::{self, Visitor},
    listeners::report,
    lock::lock,
    shared::Shared,
};

/// Streams that wait for their task: as many as come while the runtime is busy for a moment.
const WAITING_MAX: usize = 1024;

/// How long a `GET` waits for the `POST` that opens its stream: both are sent at once, by connections of their own.
const OPENING_WAIT: Duration = Duration::from_secs(2);

/// A stream's name: whoever knows it, speaks in it.
type Name = u128;

/// All streams. A stream is in here for as long as its task runs.
pub(crate) struct Streams {
    named: Mutex<HashMap<Name, Arc<Exchange>>>,
    opened: mpsc::Sender<Opened>,
    /// For `GET`s whose stream is not open yet.
    another: Notify,
}

/// A stream that has no task yet.
pub(crate) struct Opened {
    name: Name,
    exchange: Arc<Exchange>,
    stream: HttpStream,
    visitor: Visitor,
}

impl Streams {
    /// None, and where new ones come out, for [`run`].
    pub(crate) fn new() -> (Self, mpsc::Receiver<Opened>) {
        let (opened, receiver) = mpsc::channel(WAITING_MAX);
        (Self { named: Mutex::default(), opened, another: Notify::new() }, receiver)
    }

    fn find(&self, name: Name) -> Option<Arc<Exchange>> {
        lock(&self.named).get(&name).cloned()
    }

    /// The same, waiting a moment for it to be opened.
    async fn find_soon(&self, name: Name) -> Option<Arc<Exchange>> {
        let found = async {
            loop {
                let another = self.another.notified();
                if let Some(exchange) = self.find(name) {
                    return exchange;
                }
                another.await;
            }
        };
        timeout(OPENING_WAIT, found).await.ok()
    }

    /// A stream of this name: a new one for `visitor`, unless there is one.
    fn open(&self, name: Name, visitor: Visitor) -> Result<Arc<Exchange>, Denial> {
        let (exchange, stream) = http_stream::open();
        match lock(&self.named).entry(name) {
            // Asked twice, as after an answer that was lost.
            Entry::Occupied(known) => return Ok(Arc::clone(known.get())),
            Entry::Vacant(vacant) => vacant.insert(Arc::clone(&exchange)),
        };
        let opened = Opened { name, exchange: Arc::clone(&exchange), stream, visitor };
        let sent = self.opened.try_send(opened);
        sent.map_err(|error| {
            lock(&self.named).remove(&name);
            match error {
                TrySendError::Full(_) => Denial::Full,
                TrySendError::Closed(_) => Denial::Draining,
            }
        })?;
        self.another.notify_waiters();
        Ok(exchange)
    }
}

/// Serves what streams carry, each by a task of its own. Ends never.
pub(crate) async fn run(shared: Arc<Shared>, mut opened: mpsc::Receiver<Opened>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(opened) = opened.recv() => drop(tasks.spawn(serve(Arc::clone(&shared), opened))),
            Some(ended) = tasks.join_next() => report(ended),
        }
    }
}

/// Removes a stream's name.
struct Named {
    shared: Arc<Shared>,
    name: Name,
}

impl Drop for Named {
    fn drop(&mut self) {
        lock(&self.shared.streams.named).remove(&self.name);
    }
}

async fn serve(shared: Arc<Shared>, opened: Opened) {
    let Opened { name, exchange, stream, visitor } = opened;
    let _named = Named { shared: Arc::clone(&shared), name };
    // Held until the last byte is fetched: what waits counts as a connection.
    let _pass = Arc::clone(&visitor.pass);
    let peer = visitor.peer;
    let carried = connection::serve_carried(&shared, Carrier::HttpStream(stream), visitor);
    tokio::select! {
        served = carried => connection::conclude(&shared, peer, served),
        () = exchange.wait_over() => return,
    }
    exchange.wait_over().await;
}

/// Why a request was not done.
enum Refused {
    /// There is no such stream.
    Unknown,
    /// The body is longer than a piece may be.
    TooLong,
    /// No room for another stream.
    Denied(Denial),
    /// The stream itself refuses.
    Trouble(Trouble),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Answers a request to the streams' path, or below it: `rest` is what follows.
pub(super) async fn answer(visit: &Visit, request: Request<Incoming>, rest: &str) -> Reply {
    let method = request.method().clone();
    let answered = match (method, Target::parse(rest)) {
        (_, None) => Err(Refused::Unknown),
        (Method::POST, Some(Target::Piece(name, offset))) => post(visit, request, name, offset).await,
        (Method::GET, Some(Target::Piece(name, offset))) => {
            let linger = number(&request, HTTP_LINGER_KEY).map(Duration::from_millis);
            if is_opening(&request) {
                visit.shared.streams.find_soon(name).await;
            }
            get(visit, name, offset, linger).await
        }
        (Method::DELETE, Some(Target::Stream(name))) => delete(visit, name),
        (_, Some(Target::Piece(..))) => return reply::method_not_allowed("GET, POST"),
        (_, Some(Target::Stream(_))) => return reply::method_not_allowed("DELETE"),
    };
    answered.unwrap_or_else(|refused| refuse(visit, &refused))
}

fn refuse(visit: &Visit, refused: &Refused) -> Reply {
    match refused {
        Refused::Unknown => {
            visit.shared.denials.count(Denial::StreamUnknown);
            reply::of(StatusCode::NOT_FOUND, TEXT, "no such stream\n")
        }
        Refused::TooLong => {
            visit.shared.denials.count(Denial::Oversized);
            reply::page(
                StatusCode::PAYLOAD_TOO_LARGE,
                TEXT,
                format!("at most {HTTP_PIECE_BYTES_MAX} bytes\n"),
            )
        }
        Refused::Denied(denial) => reply::denied(&visit.shared, *denial),
        Refused::Trouble(Trouble::Gap(offset)) => {
            visit.shared.denials.count(Denial::StreamGap);
            conflict(*offset)
        }
        Refused::Trouble(Trouble::Superseded(offset)) => conflict(*offset),
        Refused::Trouble(Trouble::Over) => reply::of(StatusCode::GONE, TEXT, "the stream is over\n"),
    }
}

/// What the client should name instead.
fn conflict(offset: u64) -> Reply {
    reply::of(StatusCode::CONFLICT, TEXT, offset.to_string())
}

/// What a path below the streams' means.
enum Target {
    Stream(Name),
    Piece(Name, u64),
}

impl Target {
    fn parse(rest: &str) -> Option<Self> {
        let mut parts = rest.strip_prefix('/')?.split('/');
        let name = parts.next().filter(|name| name.len() == 32)?;
        let name = Name::from_str_radix(name, 16).ok()?;
        match (parts.next(), parts.next()) {
            (None, _) => Some(Self::Stream(name)),
            (Some(offset), None) => Some(Self::Piece(name, offset.parse().ok()?)),
            (Some(_), Some(_)) => None,
        }
    }
}

/// A number from a request's query.
fn number(request: &Request<Incoming>, key: &str) -> Option<u64> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == key)?.1.parse().ok()
}

/// Whether its stream is to be opened, or is being opened.
fn is_opening(request: &Request<Incoming>) -> bool {
    number(request, HTTP_OPEN_KEY) == Some(1)
}

/// The connection that opens a stream is nobody's yet: it counts as before.
fn open(visit: &Visit, headers: &HeaderMap, name: Name) -> Result<Arc<Exchange>, Refused> {
    let visitor = visit.newcomer(headers).map_err(Refused::Denied)?;
    visit.shared.streams.open(name, visitor).map_err(Refused::Denied)
}

async fn post(visit: &Visit, request: Request<Incoming>, name: Name, offset: u64) -> Result<Reply, Refused> {
    let exchange = if offset == 0 && is_opening(&request) && visit.shared.streams.find(name).is_none() {
        open(visit, request.headers(), name)?
    } else {
        find(visit, name)?
    };
    if request.body().size_hint().lower() > HTTP_PIECE_BYTES_MAX as u64 {
        return Err(Refused::TooLong);
    }
    visit.allow(HTTP_WAIT);
    let deadline = Instant::now() + HTTP_WAIT;
    if let Some(arrived) = number(&request, HTTP_ARRIVED_KEY) {
        exchange.arrived(arrived);
    }
    let (post, mut end) = exchange.begin_post(offset)?;
    let mut body = request.into_body();
    let mut at = offset;
    // A body that breaks off counts as far as it came.
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(bytes) = frame.into_data() else { break };
        let next = at + bytes.len() as u64;
        if next - offset > HTTP_PIECE_BYTES_MAX as u64 {
            return Err(Refused::TooLong);
        }
        end = exchange.accept(post, at, bytes, deadline).await?;
        if end < next {
            break;
        }
        at = next;
    }
    Ok(reply::of(StatusCode::OK, TEXT, end.to_string()))
}

async fn get(visit: &Visit, name: Name, offset: u64, linger: Option<Duration>) -> Result<Reply, Refused> {
    let exchange = find(visit, name)?;
    visit.allow(HTTP_WAIT);
    let number = exchange.begin_get(offset)?;
    let Some(piece) = exchange.fetch(number, offset, Instant::now() + HTTP_WAIT).await? else {
        return Ok(no_content());
    };
    let Some(linger) = linger else { return Ok(reply::of(StatusCode::OK, BYTES, piece)) };
    visit.allow(HTTP_WAIT);
    Ok(reply::flow(BYTES, flow(exchange, number, offset, piece, linger)))
}

/// The bytes of a stream as they come, `first` ones first, until there are none for as long as `linger`, or for
/// [`HTTP_WAIT`] in all. However it ends, the client asks again.
fn flow(exchange: Arc<Exchange>, get: u64, offset: u64, first: Bytes, linger: Duration) -> Flow {
    let end = Instant::now() + HTTP_WAIT;
    let start = (exchange, offset + first.len() as u64);
    let rest = stream::unfold(start, move |(exchange, offset)| async move {
        let deadline = end.min(Instant::now() + linger);
        let piece = exchange.fetch(get, offset, deadline).await.ok().flatten()?;
        let next = offset + piece.len() as u64;
        Some((piece, (exchange, next)))
    });
    let pieces = stream::iter([first]).chain(rest);
    StreamBody::new(Box::pin(pieces.map(|piece| Ok(Frame::data(piece)))))
}

fn delete(visit: &Visit, name: Name) -> Result<Reply, Refused> {
    find(visit, name)?.delete();
    Ok(no_content())
}

fn no_content() -> Reply {
    reply::of(StatusCode::NO_CONTENT, TEXT, Bytes::new())
}

fn find(visit: &Visit, name: Name) -> Result<Arc<Exchange>, Refused> {
    let found = visit.shared.streams.find(name).ok_or(Refused::Unknown)?;
    // Whoever knows a stream has been let in as far as HTTP goes.
    visit.visitor.pass.establish();
    Ok(found)
}
