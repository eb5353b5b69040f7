//! The admin's page: sign in, look, sign out. What it shows is made in `crate::admin`.

use std::time::Duration;

use http_body_util::Either;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use tagio_relay_core::{Denial, SourceNet};

use super::{
    body,
    pages::VERSION,
    reply::{self, Reply},
    template::fill,
    visit::Visit,
};
use crate::admin::Admin;

const PAGE: &str = include_str!("../web/admin.html");
const LOGIN: &str = include_str!("../web/login.html");
/// Longest form: one field with a token.
const FORM_BYTES_MAX: usize = 4096;
/// How long one stream of events lasts; browsers open the next one by themselves.
const EVENTS: Duration = Duration::from_secs(600);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Answers a request below `/admin`.
pub(super) async fn answer(visit: &Visit, request: Request<Incoming>) -> Reply {
    let admin = &visit.shared.admin;
    if !admin.is_there() {
        let text = "there is no such page: the configuration file has no admin-token\n";
        return reply::page(StatusCode::NOT_FOUND, reply::TEXT, text.to_owned());
    }
    let cookies = cookies(&request);
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/admin") if admin.is_signed_in(&cookies) => {
            reply::html(StatusCode::OK, fill(PAGE, &[("version", VERSION)]))
        }
        (&Method::GET | &Method::HEAD, "/admin") => login(StatusCode::OK, ""),
        (&Method::POST, "/admin/login") => sign_in(visit, request).await,
        (&Method::POST, "/admin/logout") => {
            let cookie = admin.sign_out(&cookies, is_secure(visit, &request));
            back_to_page(&cookie)
        }
        (&Method::GET, "/admin/events") if admin.is_signed_in(&cookies) => events(visit, &cookies),
        (&Method::GET, "/admin/events") => {
            reply::page(StatusCode::UNAUTHORIZED, reply::TEXT, "sign in first\n".to_owned())
        }
        (_, "/admin") => reply::method_not_allowed("GET, HEAD"),
        (_, "/admin/login" | "/admin/logout") => reply::method_not_allowed("POST"),
        (_, "/admin/events") => reply::method_not_allowed("GET"),
        _ => reply::not_found(),
    }
}

async fn sign_in(visit: &Visit, request: Request<Incoming>) -> Reply {
    let is_secure = is_secure(visit, &request);
    let net = SourceNet::from(visit.client(request.headers()).ip());
    let form = match body::read(request.into_body(), FORM_BYTES_MAX).await {
        Ok(form) => form,
        Err(reply) => return *reply,
    };
    let token = form_urlencoded::parse(&form).find(|(name, _)| name == "token");
    let token = token.map(|(_, value)| value.into_owned()).unwrap_or_default();
    match visit.shared.admin.sign_in(&visit.shared, net, &token, is_secure) {
        Ok(cookie) => back_to_page(&cookie),
        Err(denial) => {
            visit.shared.denials.count(denial);
            match denial {
                Denial::WrongSecret => login(StatusCode::FORBIDDEN, "That is not the token."),
                _ => login(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many wrong tokens from this address. Try again in ten seconds.",
                ),
            }
        }
    }
}

fn login(status: StatusCode, notice: &str) -> Reply {
    reply::html(status, fill(LOGIN, &[("notice", notice)]))
}

/// After a form: the page, so that loading it anew sends no form again.
fn back_to_page(cookie: &str) -> Reply {
    let mut reply = reply::page(StatusCode::SEE_OTHER, reply::TEXT, String::new());
    reply.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/admin"));
    let cookie = HeaderValue::from_str(cookie).expect("a cookie of ours is plain text");
    reply.headers_mut().insert(header::SET_COOKIE, cookie);
    reply
}

fn events(visit: &Visit, cookies: &str) -> Reply {
    let Some(events) = Admin::events(&visit.shared, cookies) else { return reply::not_found() };
    visit.allow(EVENTS);
    let mut reply = Response::new(Either::Right(Either::Right(events)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    // nginx would keep events back until its buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    reply
}

/// All cookies that the browser sent.
fn cookies(request: &Request<Incoming>) -> String {
    let all = request.headers().get_all(header::COOKIE).into_iter();
    all.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(";")
}

/// Whether the browser came by TLS, to this relay or to a proxy before it. Who lies about that weakens only the cookie
/// that they get themselves.
fn is_secure(visit: &Visit, request: &Request<Incoming>) -> bool {
    let forwarded = request.headers().get("x-forwarded-proto");
    visit.is_tls || forwarded.is_some_and(|scheme| scheme == "https")
}
