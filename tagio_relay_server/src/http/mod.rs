//! HTTP/1.1 at the front door: pages for people and machines, and what travels inside of it. HTTP/2 is in `http2`.
//!
//! `router` says what there is. A connection has one deadline, which every request moves; it covers slow headers, slow
//! bodies, slow readers and silence alike.

mod admin;
mod body;
mod edge;
pub(crate) mod forwarded;
mod http2;
mod pages;
pub(crate) mod reply;
mod router;
pub(crate) mod streams;
mod template;
mod visit;
mod websocket;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Method, Request,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tagio_relay_core::Denial;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tracing::{Instrument, debug, info_span};

use crate::{
    carrier::{Rewound, Socket},
    connection::Visitor,
    shared::Shared,
};
pub(crate) use http2::serve as serve_http2;
use reply::Reply;
use visit::Progress;
pub(crate) use visit::Visit;

/// Longest request line with headers: browsers send about 1 kB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time for a whole request and its answer, and for the next request to come.
const EXCHANGE: Duration = Duration::from_secs(10);

/// Names an answer as the log does.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves requests that came to the front door, and what they turn the connection into.
pub(crate) async fn serve_front(
    shared: &Arc<Shared>,
    socket: Rewound<Socket>,
    visitor: Visitor,
) -> Result<(), Denial> {
    let local = socket.get_ref().local_addr().map_err(|_| Denial::Http)?;
    let is_tls = socket.get_ref().is_tls();
    let visit = Visit::new(Arc::clone(shared), visitor, local, is_tls);
    // Boxed: what comes after an upgrade shall not pay for it.
    let Some((mut socket, unread)) = Box::pin(converse(&visit, socket)).await? else { return Ok(()) };
    match visit.into_upgrade() {
        Some(upgrade) => Box::pin(websocket::serve(shared, upgrade, socket, unread)).await,
        None => {
            // The client may be gone already.
            let _ = timeout(EXCHANGE, socket.shutdown()).await;
            Ok(())
        }
    }
}

/// Answers requests until there are no more; the connection, if it still stands, and what was read of it too much.
async fn converse(
    visit: &Visit,
    socket: Rewound<Socket>,
) -> Result<Option<(Rewound<Socket>, Bytes)>, Denial> {
    let service =
        service_fn(|request| Box::pin(async move { Ok::<_, Infallible>(respond(visit, request).await) }));
    let mut builder = http1::Builder::new();
    let requests = builder.max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        done = requests.without_shutdown() => match done {
            Ok(parts) => Ok(Some((parts.io.into_inner(), parts.read_buf))),
            Err(error) if error.is_parse() => Err(Denial::Http),
            Err(_) => match visit.progress() {
                Progress::Opening => Err(Denial::Http),
                // A client that does not wait for an answer any more.
                Progress::Answering => Err(Denial::HttpAborted),
                // One that has seen enough, of events for example.
                Progress::Answered => Ok(None),
            },
        },
        () = visit.expired() => match visit.progress() {
            Progress::Opening | Progress::Answering => Err(Denial::Http),
            Progress::Answered => Ok(None),
        },
    }
}

/// Answers one request.
async fn respond(visit: &Visit, request: Request<Incoming>) -> Reply {
    let id = visit.shared.next_log_id();
    let answered = async {
        visit.begin();
        debug!(method = %request.method(), path = router::loggable(request.uri().path()), "request");
        let mut reply = router::answer(visit, request).await;
        debug!(status = reply.status().as_u16(), "answered");
        // Whoever complains about an answer can say which it was.
        reply.headers_mut().insert(REQUEST_ID, HeaderValue::from(id));
        visit.answered();
        reply
    };
    answered.instrument(info_span!("request", id)).await
}

/// Serves a request that came to the metrics address.
pub(crate) async fn serve_metrics(shared: &Shared, stream: TcpStream) -> Result<(), Denial> {
    exchange(stream, |request| match *request.method() {
        Method::GET | Method::HEAD => match request.uri().path() {
            "/metrics" => pages::metrics(shared),
            "/health" => pages::health(),
            _ => reply::not_found(),
        },
        _ => reply::method_not_allowed("GET, HEAD"),
    })
    .await
}

/// One request, one answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&Request<Incoming>) -> Reply,
) -> Result<(), Denial> {
    let service = service_fn(|request| {
        let reply = answer(&request);
        async { Ok::<_, Infallible>(reply) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
    let served = timeout(EXCHANGE, builder.serve_connection(TokioIo::new(stream), service)).await;
    served.map_err(|_| Denial::Http)?.map_err(|_| Denial::Http)
}
