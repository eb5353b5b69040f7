//! What there is behind each path. A new page, route or WebSocket has its arm here.

use std::time::Duration;

use hyper::{Method, Request, body::Incoming, header};
use tagio_wire::carrier::{HTTP_STREAM_PATH, WEBSOCKET_PATH};

use super::{pages, reply, reply::Reply, streams, visit::Visit, websocket};
use crate::messages;

/// TAGIO messages, by WebSocket and by `POST`; the same is at `/`.
const MESSAGES_PATH: &str = "/ws";

/// Answers one request.
pub(super) async fn answer(visit: &Visit, request: Request<Incoming>) -> Reply {
    visit.allow(Duration::ZERO);
    if let Some(rest) = request.uri().path().strip_prefix(HTTP_STREAM_PATH) {
        let rest = rest.to_owned();
        return streams::answer(visit, request, &rest).await;
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, WEBSOCKET_PATH) => websocket::upgrade_to_carrier(visit, &request),
        (&Method::GET, MESSAGES_PATH) => websocket::upgrade_to_messages(visit, &request),
        (&Method::GET, "/") if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) => {
            websocket::upgrade_to_messages(visit, &request)
        }
        (&Method::POST, MESSAGES_PATH | "/") => messages::http::answer(visit, request).await,
        (&Method::GET | &Method::HEAD, "/") => pages::welcome(visit, &request),
        (&Method::GET | &Method::HEAD, "/health") => pages::health(),
        (_, MESSAGES_PATH) => reply::method_not_allowed("GET, POST"),
        (_, "/") => reply::method_not_allowed("GET, HEAD, POST"),
        (_, WEBSOCKET_PATH | "/health") => reply::method_not_allowed("GET, HEAD"),
        _ => reply::not_found(),
    }
}
