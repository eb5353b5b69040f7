//! What there is behind each path. A new page, route or WebSocket has its arm here.

use hyper::{Method, Request, Version, body::Incoming, header};
use tagio_wire::carrier::{HTTP_STREAM_PATH, WEBSOCKET_PATH};

use super::{admin, edge, pages, reply, reply::Reply, streams, visit::Visit, websocket};
use crate::messages;

/// TAGIO messages, by WebSocket and by `POST`; the same is at `/`.
const MESSAGES_PATH: &str = "/ws";

/// Answers one request.
pub(super) async fn answer(visit: &Visit, request: Request<Incoming>) -> Reply {
    if request.version() == Version::HTTP_2 && turns_into_another(&request) {
        return reply::http_1_only();
    }
    if let Some(rest) = request.uri().path().strip_prefix(HTTP_STREAM_PATH) {
        let rest = rest.to_owned();
        return streams::answer(visit, request, &rest).await;
    }
    if is_below(request.uri().path(), "/admin") {
        return admin::answer(visit, request).await;
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, WEBSOCKET_PATH) => websocket::upgrade_to_carrier(visit, &request),
        (&Method::GET, MESSAGES_PATH) => websocket::upgrade_to_messages(visit, &request),
        (&Method::GET, "/") if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) => {
            websocket::upgrade_to_messages(visit, &request)
        }
        (&Method::GET, edge::POP_PATH) => edge::pop(visit, &request),
        (&Method::GET, edge::NODE_PATH) => edge::upgrade(visit, &request),
        (&Method::POST, MESSAGES_PATH | "/") => messages::http::answer(visit, request).await,
        (&Method::GET | &Method::HEAD, "/") => pages::welcome(visit, &request),
        (&Method::GET | &Method::HEAD, "/health") => pages::health(),
        (&Method::GET | &Method::HEAD, path) if let Some(file) = pages::file(path) => file,
        (_, MESSAGES_PATH) => reply::method_not_allowed("GET, POST"),
        (_, "/") => reply::method_not_allowed("GET, HEAD, POST"),
        (_, WEBSOCKET_PATH | "/health") => reply::method_not_allowed("GET, HEAD"),
        _ => reply::not_found(),
    }
}

/// Whether this asks for something that lives in HTTP/1.1 only: a carrier or a WebSocket.
fn turns_into_another(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    let is_socket = request.method() == Method::GET && matches!(path, WEBSOCKET_PATH | MESSAGES_PATH);
    is_socket || is_below(path, HTTP_STREAM_PATH)
}

/// What a log may say of a path: the name of a stream is a secret.
pub(super) fn loggable(path: &str) -> &str {
    if is_below(path, HTTP_STREAM_PATH) { HTTP_STREAM_PATH } else { path }
}

/// Whether `path` is `folder` or something in it.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
