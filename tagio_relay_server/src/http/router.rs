//! What there is behind each path. A new page, route or WebSocket has its arm here.

use hyper::{Method, Request, body::Incoming};
use tagio_wire::carrier::{HTTP_STREAM_PATH, WEBSOCKET_PATH};

use super::{admin, pages, reply, reply::Reply, streams, visit::Visit, websocket};

/// Answers one request.
pub(super) async fn answer(visit: &Visit, request: Request<Incoming>) -> Reply {
    if let Some(rest) = request.uri().path().strip_prefix(HTTP_STREAM_PATH) {
        let rest = rest.to_owned();
        return streams::answer(visit, request, &rest).await;
    }
    if is_below(request.uri().path(), "/admin") {
        return admin::answer(visit, request).await;
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, WEBSOCKET_PATH) => websocket::upgrade_to_carrier(visit, &request),
        (&Method::GET | &Method::HEAD, "/") => pages::welcome(visit, &request),
        (&Method::GET | &Method::HEAD, "/health") => pages::health(),
        (&Method::GET | &Method::HEAD, path) if let Some(file) = pages::file(path) => file,
        (_, WEBSOCKET_PATH | "/" | "/health") => reply::method_not_allowed("GET, HEAD"),
        _ => reply::not_found(),
    }
}

/// Whether `path` is `folder` or something in it.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
