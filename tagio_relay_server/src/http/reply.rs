//! Answers.

use std::{convert::Infallible, pin::Pin};

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{self, HeaderValue},
};
use tagio_relay_core::Denial;

use crate::{admin::Events, shared::Shared};

/// What a request is answered with.
pub(crate) type Reply = Response<Body>;

/// Bytes at once; or as they come, or the events of the admin's page.
pub(crate) type Body = Either<Full<Bytes>, Either<Flow, Events>>;

/// Bytes as they come.
pub(crate) type Flow = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// What pages may load: their own relay's files, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An answer of any kind, after which the connection serves on. Nobody may store it.
pub(crate) fn of(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Reply {
    with_body(status, kind, Either::Left(Full::new(body.into())))
}

/// As [`of`], with a body that comes little by little.
pub(crate) fn flow(kind: HeaderValue, body: Flow) -> Reply {
    with_body(StatusCode::OK, kind, Either::Right(Either::Left(body)))
}

fn with_body(status: StatusCode, kind: HeaderValue, body: Body) -> Reply {
    let mut reply = Response::new(body);
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

/// A page for a browser, which fetches its files by the same connection.
pub(crate) fn html(status: StatusCode, text: String) -> Reply {
    let mut reply = of(status, HTML, text);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
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

/// By HTTP/2 there are pages and messages, no carriers.
pub(crate) fn http_1_only() -> Reply {
    page(StatusCode::HTTP_VERSION_NOT_SUPPORTED, TEXT, "only by HTTP/1.1\n".to_owned())
}

/// A request that took longer than any may.
pub(crate) fn too_slow() -> Reply {
    page(StatusCode::REQUEST_TIMEOUT, TEXT, "too slow\n".to_owned())
}

pub(crate) fn bad_request(why: &'static str) -> Reply {
    page(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n"))
}

/// The relay has a secret.
pub(crate) const WANTS_SECRET: &str = "this relay wants its secret: Authorization: Bearer SECRET\n";

/// Something secret was to be shown, and was not.
pub(crate) fn unauthorized(what: &'static str) -> Reply {
    let mut reply = page(StatusCode::UNAUTHORIZED, TEXT, what.to_owned());
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    reply
}

/// A limit is reached: counts it and says so.
pub(crate) fn denied(shared: &Shared, denial: Denial) -> Reply {
    shared.denials.count(denial);
    let status = match denial {
        Denial::Full | Denial::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Denial::EdgeStranger => StatusCode::FORBIDDEN,
        _ => StatusCode::TOO_MANY_REQUESTS,
    };
    page(status, TEXT, format!("{}\n", denial.label()))
}
