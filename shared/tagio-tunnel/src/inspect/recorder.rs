//! The list of the last exchanges of one tunnel. Shared between the tasks that serve visitors and whoever shows it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{masked_field, masked_target};

/// Exchanges that are kept; the oldest goes first.
pub const EXCHANGES_MAX: usize = 100;
/// Bytes of a body that are kept; with [`EXCHANGES_MAX`] at most 13 MB in all.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Field names and values, in their order.
pub type Fields = Vec<(String, String)>;

/// The line and fields of a request.
#[derive(Clone)]
pub struct Head {
    /// As `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// All fields, secrets included.
    pub fields: Fields,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, masked_target(&self.target))
    }
}

/// A body, as far as it has passed.
#[derive(Clone, Default)]
pub struct Body {
    /// Its first bytes, at most [`BODY_BYTES_MAX`].
    pub kept: Vec<u8>,
    /// All that passed, in bytes.
    pub len: u64,
}

impl Body {
    /// Whether all of it was kept.
    pub fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.len
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = BODY_BYTES_MAX.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.len += bytes.len() as u64;
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeState {
    /// Its answer is not complete yet.
    Open,
    /// Its answer has passed to the end.
    Done,
    /// It was cut off, or the service gave no answer.
    Failed,
}

/// A request and its answer.
#[derive(Clone)]
pub struct Exchange {
    /// Counted from 1 for each tunnel.
    pub id: u64,
    /// When its request came.
    pub at: SystemTime,
    /// The request's line and fields.
    pub request: Head,
    /// The request's body.
    pub request_body: Body,
    /// The answer's status code; 0 before there is one.
    pub status: u16,
    /// The answer's fields.
    pub fields: Fields,
    /// The answer's body.
    pub body: Body,
    /// From the request to the answer's fields.
    pub first_byte: Option<Duration>,
    /// From the request to the answer's end.
    pub total: Option<Duration>,
    /// How far it is.
    pub state: ExchangeState,
    /// The exchange that this one repeats.
    pub replay_of: Option<u64>,
}

impl Exchange {
    /// Fields with secrets masked.
    pub fn shown(fields: &Fields) -> impl Iterator<Item = (&str, &str)> {
        fields.iter().map(|(name, value)| (name.as_str(), masked_field(name, value)))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ExchangeSummary::from(self).fmt(f)
    }
}

/// A line of the list. Holds no secret and no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeSummary {
    /// As [`Exchange::id`].
    pub id: u64,
    /// As [`Exchange::at`].
    pub at: SystemTime,
    /// As [`Head::method`].
    pub method: String,
    /// As [`Head::target`], secret parameters masked.
    pub target: String,
    /// As [`Exchange::status`].
    pub status: u16,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// As [`Exchange::first_byte`].
    pub first_byte: Option<Duration>,
    /// As [`Exchange::total`].
    pub total: Option<Duration>,
    /// As [`Exchange::state`].
    pub state: ExchangeState,
    /// As [`Exchange::replay_of`].
    pub replay_of: Option<u64>,
}

impl From<&Exchange> for ExchangeSummary {
    fn from(exchange: &Exchange) -> Self {
        Self {
            id: exchange.id,
            at: exchange.at,
            method: exchange.request.method.clone(),
            target: masked_target(&exchange.request.target),
            status: exchange.status,
            request_bytes: exchange.request_body.len,
            response_bytes: exchange.body.len,
            first_byte: exchange.first_byte,
            total: exchange.total,
            state: exchange.state,
            replay_of: exchange.replay_of,
        }
    }
}

/// The last [`EXCHANGES_MAX`] exchanges of a tunnel.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Oldest first, numbers rising.
    exchanges: Mutex<VecDeque<Exchange>>,
    last_id: AtomicU64,
    version: AtomicU64,
}

impl Recorder {
    /// An empty list.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A request has come.
    pub fn begin(self: &Arc<Self>, request: Head, replay_of: Option<u64>) -> Recording {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let exchange = Exchange {
            id,
            at: SystemTime::now(),
            request,
            request_body: Body::default(),
            status: 0,
            fields: Fields::new(),
            body: Body::default(),
            first_byte: None,
            total: None,
            state: ExchangeState::Open,
            replay_of,
        };
        let mut exchanges = self.lock();
        if exchanges.len() >= EXCHANGES_MAX {
            exchanges.pop_front();
        }
        exchanges.push_back(exchange);
        drop(exchanges);
        self.changed();
        Recording { recorder: Arc::clone(self), id, started: Instant::now() }
    }

    /// Grows with each change: who shows the list looks again when it has.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// All that are kept, newest first.
    pub fn list(&self) -> Vec<ExchangeSummary> {
        self.lock().iter().rev().map(ExchangeSummary::from).collect()
    }

    /// One of them, secrets included: mask what is shown of it ([`Exchange::shown`], [`masked_target`]).
    pub fn find(&self, id: u64) -> Option<Exchange> {
        self.lock().iter().find(|exchange| exchange.id == id).cloned()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.lock().clear();
        self.changed();
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange that is under way. One that is dropped before its end has failed.
#[derive(Debug)]
pub struct Recording {
    recorder: Arc<Recorder>,
    id: u64,
    started: Instant,
}

impl Recording {
    /// As [`Exchange::id`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// A piece of the request's body has passed.
    pub fn request_bytes(&self, bytes: &[u8]) {
        self.edit(|exchange| exchange.request_body.push(bytes));
    }

    /// The answer begins.
    pub fn answered(&self, status: u16, fields: Fields) {
        let after = self.started.elapsed();
        self.edit(|exchange| {
            exchange.status = status;
            exchange.fields = fields;
            exchange.first_byte = Some(after);
        });
    }

    /// A piece of its body has passed.
    pub fn response_bytes(&self, bytes: &[u8]) {
        self.edit(|exchange| exchange.body.push(bytes));
    }

    /// The answer has passed to its end.
    pub fn done(&self) {
        self.end(ExchangeState::Done);
    }

    fn end(&self, state: ExchangeState) {
        let after = self.started.elapsed();
        self.edit(|exchange| {
            if exchange.state == ExchangeState::Open {
                (exchange.state, exchange.total) = (state, Some(after));
            }
        });
    }

    /// Nothing happens to one that is no longer kept.
    fn edit(&self, change: impl FnOnce(&mut Exchange)) {
        let mut exchanges = self.recorder.lock();
        if let Some(exchange) = exchanges.iter_mut().rev().find(|exchange| exchange.id == self.id) {
            change(exchange);
        }
        drop(exchanges);
        self.recorder.changed();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(ExchangeState::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str) -> Head {
        let secret = ("Authorization".to_owned(), "Basic c2VjcmV0".to_owned());
        Head { method: "GET".to_owned(), target: target.to_owned(), fields: vec![secret] }
    }

    #[test]
    fn the_last_hundred_are_kept_newest_first() {
        let recorder = Recorder::new();
        for number in 0..EXCHANGES_MAX + 5 {
            recorder.begin(head(&format!("/{number}")), None).done();
        }
        let list = recorder.list();
        assert_eq!((list.len(), list[0].target.as_str()), (EXCHANGES_MAX, "/104"));
        assert!(recorder.find(5).is_none() && recorder.find(6).is_some());
    }

    #[test]
    fn bodies_are_bounded_and_counted_and_an_exchange_that_is_dropped_has_failed() {
        let recorder = Recorder::new();
        let recording = recorder.begin(head("/?token=abc"), None);
        recording.answered(200, Fields::new());
        recording.response_bytes(&vec![7; BODY_BYTES_MAX]);
        recording.response_bytes(b"more");
        drop(recording);
        let exchange = recorder.find(1).expect("it is kept");
        assert_eq!(
            (exchange.body.kept.len(), exchange.body.len),
            (BODY_BYTES_MAX, BODY_BYTES_MAX as u64 + 4)
        );
        assert_eq!(exchange.state, ExchangeState::Failed);
        assert!(!exchange.body.is_whole() && exchange.total.is_some());
        let shown = format!("{exchange:?} {:?}", recorder.list());
        assert!(!shown.contains("c2VjcmV0") && !shown.contains("abc"), "{shown}");
        assert_eq!(Exchange::shown(&exchange.request.fields).next(), Some(("Authorization", "***")));
    }
}
