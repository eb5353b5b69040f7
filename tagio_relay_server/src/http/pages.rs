//! The few pages that the relay shows: to people, to load balancers, to Prometheus.

use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    reply::{self, Reply, TEXT},
    template::fill,
    visit::Visit,
};
use crate::{lock::lock, metrics, shared::Shared};

const FRONT: &str = include_str!("../web/front.html");
/// Of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

pub(super) fn health() -> Reply {
    reply::page(StatusCode::OK, TEXT, "ok\n".to_owned())
}

pub(super) fn metrics(shared: &Shared) -> Reply {
    reply::page(StatusCode::OK, PROMETHEUS, metrics::text(shared))
}

/// For people who opened the relay's address in a browser.
pub(super) fn welcome(visit: &Visit, request: &Request<Incoming>) -> Reply {
    let (shared, local) = (&visit.shared, visit.local);
    let address = match shared.public_addr {
        Some(public) => public.to_string(),
        None => dialled(request, local.port()).unwrap_or_else(|| local.to_string()),
    };
    let (gauges, is_draining) = {
        let hub = lock(&shared.hub);
        (hub.gauges(), hub.is_draining())
    };
    let secret = "This relay asks for a secret besides, which its admin gives out. ";
    let online = match gauges.callable {
        0 => "No device can be reached now".to_owned(),
        1 => "One device can be reached now".to_owned(),
        more => format!("{more} devices can be reached now"),
    };
    let values = [
        ("state", if is_draining { "stops in a moment" } else { "running" }),
        ("line", &format!("{address}#{}", shared.public_key())),
        ("secret", if shared.auth().is_some() { secret } else { "" }),
        ("online", &online),
        ("version", VERSION),
    ];
    reply::html(StatusCode::OK, fill(FRONT, &values))
}

/// A file that pages load.
pub(super) fn file(path: &str) -> Option<Reply> {
    let (kind, text) = match path {
        "/style.css" => ("text/css; charset=utf-8", include_str!("../web/style.css")),
        "/front.js" => ("text/javascript; charset=utf-8", include_str!("../web/front.js")),
        "/admin.js" => ("text/javascript; charset=utf-8", include_str!("../web/admin.js")),
        "/icon.svg" => ("image/svg+xml", include_str!("../../../assets/icon.svg")),
        _ => return None,
    };
    let mut reply = reply::of(StatusCode::OK, HeaderValue::from_static(kind), text);
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(reply)
}

/// The address by which the browser came, if it looks like one: it goes into a page.
pub(super) fn dialled(request: &Request<Incoming>, port: u16) -> Option<String> {
    // HTTP/2 has the name in the request's own address (RFC 9113, 8.3.1).
    let host = match request.headers().get(header::HOST) {
        Some(host) => host.to_str().ok()?,
        None => request.uri().authority()?.as_str(),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || host.len() > 255 || !host.chars().all(is_plain) {
        return None;
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, tail)| tail.parse::<u16>().is_ok());
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
}
