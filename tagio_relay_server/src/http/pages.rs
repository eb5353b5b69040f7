//! The few pages that the relay shows: to people, to load balancers, to Prometheus.

use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    reply::{self, HTML, Reply, TEXT},
    visit::Visit,
};
use crate::{metrics, shared::Shared};

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
    let key = shared.public_key();
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>TagIO relay</title>\n\
         <h1>TagIO relay</h1>\n<p>This server brings TagIO desktops together. It sees neither screens nor \
         keys.</p>\n<p>To use it, paste this into TagIO's settings:</p>\n<pre>{address}#{key}</pre>\n</html>\n"
    );
    reply::page(StatusCode::OK, HTML, text)
}

/// The address by which the browser came, if it looks like one: it goes into a page.
fn dialled(request: &Request<Incoming>, port: u16) -> Option<String> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || host.len() > 255 || !host.chars().all(is_plain) {
        return None;
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, tail)| tail.parse::<u16>().is_ok());
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
}
