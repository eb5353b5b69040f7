//! HTTP/2 (RFC 9113) for those who choose it by ALPN: pages, and messages by `POST`. Carriers and WebSockets stay on
//! HTTP/1.1.
//!
//! Each request has a deadline of its own. The connection ends when no request is open and the latest of those
//! deadlines has passed, which also ends readers that take nothing.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hyper::{Request, body::Incoming, header, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tagio_relay_core::Denial;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{EXCHANGE, HEAD_BYTES_MAX, reply::Reply, respond, visit::Visit};
use crate::{
    carrier::Rewound, connection::Visitor, http::reply, listeners::report, lock::lock, shared::Shared,
};

/// Requests at a time: a page with its files needs five.
const STREAMS_MAX: u32 = 16;
/// Requests that a client has taken back and that are not looked at yet, after which it is sent away. Whoever asks
/// and takes back without end is CVE-2023-44487.
const RESET_STREAMS_MAX: usize = 16;
/// Requests of a connection, taken back or not: as many as a browser makes in an hour of looking.
const REQUESTS_MAX: usize = 1000;
/// What a client may send of all bodies before somebody reads them: the longest message goes through it in a few
/// steps.
const WINDOW_BYTES: u32 = 64 * 1024;
/// What waits for a client in each request: the longest page.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// Serves a connection to its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: TlsStream<Rewound<TcpStream>>,
    visitor: Visitor,
) -> Result<(), Denial> {
    let local = stream.get_ref().0.get_ref().local_addr().map_err(|_| Denial::Http)?;
    let deadline = visitor.deadline;
    let connection = Arc::new(Connection {
        shared: Arc::clone(shared),
        visitor,
        local,
        clock: Mutex::new(Clock { deadline, open: 0, begun: 0 }),
        enough: Notify::new(),
    });
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.answer(request).await) }
    });
    let mut builder = http2::Builder::new(Requests::default());
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX);
    let (requests, expired) = (builder.serve_connection(TokioIo::new(stream), service), connection.expired());
    tokio::pin!(requests, expired);
    loop {
        tokio::select! {
            done = &mut requests => return match done {
                Err(error) if !has_left(&error) || !connection.has_begun() => Err(Denial::Http),
                Ok(()) | Err(_) => Ok(()),
            },
            end = &mut expired => return end,
            // What is open is answered; the client comes back for more.
            () = connection.enough.notified() => requests.as_mut().graceful_shutdown(),
        }
    }
}

/// Whether the connection ended because the client is gone, and not because of what it sent.
fn has_left(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_io() || cause.is_remote())
}

/// What the requests of a connection share.
struct Connection {
    shared: Arc<Shared>,
    visitor: Visitor,
    local: SocketAddr,
    clock: Mutex<Clock>,
    /// There were as many requests as there may be.
    enough: Notify,
}

struct Clock {
    /// The latest of all requests'.
    deadline: Instant,
    /// Requests that have no answer yet.
    open: usize,
    begun: usize,
}

impl Connection {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let _open = Open::new(Arc::clone(&self));
        let visit = Visit::new(Arc::clone(&self.shared), self.visitor.clone(), self.local, true);
        let mut reply = tokio::select! {
            reply = respond(&visit, request) => reply,
            () = visit.expired() => {
                self.shared.denials.count(Denial::Http);
                reply::too_slow()
            }
        };
        // A header of HTTP/1.1 only (RFC 9113, 8.2.2).
        reply.headers_mut().remove(header::CONNECTION);
        let mut clock = lock(&self.clock);
        clock.deadline = clock.deadline.max(visit.deadline());
        drop(clock);
        reply
    }

    fn has_begun(&self) -> bool {
        lock(&self.clock).begun > 0
    }

    /// Returns when the connection has had its time.
    async fn expired(&self) -> Result<(), Denial> {
        loop {
            let deadline = {
                let mut clock = lock(&self.clock);
                let now = Instant::now();
                if clock.deadline <= now && clock.open == 0 {
                    return if clock.begun == 0 { Err(Denial::Http) } else { Ok(()) };
                }
                if clock.deadline <= now {
                    // Open requests have deadlines of their own, which are all shorter than for ever.
                    clock.deadline = now + EXCHANGE;
                }
                clock.deadline
            };
            sleep_until(deadline).await;
        }
    }
}

/// A request that has no answer yet.
struct Open(Arc<Connection>);

impl Open {
    fn new(connection: Arc<Connection>) -> Self {
        let mut clock = lock(&connection.clock);
        clock.open += 1;
        clock.begun += 1;
        let is_enough = clock.begun == REQUESTS_MAX;
        drop(clock);
        if is_enough {
            connection.enough.notify_one();
        }
        Self(connection)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0.clock).open -= 1;
    }
}

/// The tasks of a connection's requests, which end with it: at most [`STREAMS_MAX`], and those that have just ended.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let mut tasks = lock(&self.0);
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        tasks.spawn(request);
    }
}
