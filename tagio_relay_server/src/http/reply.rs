//! Answers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use tagio_relay_core::Denial;

use crate::shared::Shared;

/// What a request is answered with.
pub(crate) type Reply = Response<Full<Bytes>>;

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An answer of any kind, after which the connection serves on. Nobody may store it.
pub(crate) fn of(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A page, after which the connection is closed: whoever looks at one rarely looks at a second one soon.
pub(crate) fn page(status: StatusCode, kind: HeaderValue, text: String) -> Reply {
    let mut reply = of(status, kind, text);
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

pub(crate) fn not_found() -> Reply {
    page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned())
}

/// `allowed` is a list with commas.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Reply {
    let mut reply = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {allowed}\n"));
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    reply
}

pub(crate) fn bad_request(why: &'static str) -> Reply {
    page(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n"))
}

/// The relay has a secret, and it was not shown.
pub(crate) fn unauthorized() -> Reply {
    let text = "this relay wants its secret: Authorization: Bearer SECRET\n".to_owned();
    let mut reply = page(StatusCode::UNAUTHORIZED, TEXT, text);
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    reply
}

/// A limit is reached: counts it and says so.
pub(crate) fn denied(shared: &Shared, denial: Denial) -> Reply {
    shared.denials.count(denial);
    let status = match denial {
        Denial::Full | Denial::Draining => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    };
    page(status, TEXT, format!("{}\n", denial.label()))
}
