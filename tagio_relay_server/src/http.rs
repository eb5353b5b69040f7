//! The few pages that the relay shows: to people, to load balancers, to Prometheus.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tagio_relay_core::Denial;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{connection::Newcomer, front_door::Head, metrics, shared::Shared};

/// Longest request line with headers: browsers send about 1 kB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time for a whole request and its answer.
const EXCHANGE: Duration = Duration::from_secs(10);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

type Page = Response<Full<Bytes>>;

/// Serves a request that came to the front door, whose first bytes were read already.
pub(crate) async fn serve_front(shared: &Arc<Shared>, newcomer: Newcomer, head: Head) -> Result<(), Denial> {
    let local = newcomer.stream.local_addr().map_err(|_| Denial::Http)?;
    let (read, write) = newcomer.stream.into_split();
    let stream = tokio::io::join(head.bytes().chain(read), write);
    exchange(stream, |request| front_page(shared, local, request)).await
}

/// Serves a request that came to the metrics address.
pub(crate) async fn serve_metrics(shared: &Shared, stream: TcpStream) -> Result<(), Denial> {
    exchange(stream, |request| match request.uri().path() {
        "/metrics" => page(StatusCode::OK, PROMETHEUS, metrics::text(shared)),
        "/health" => health(),
        _ => not_found(),
    })
    .await
}

/// One request, one answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&Request<Incoming>) -> Page,
) -> Result<(), Denial> {
    let service = service_fn(|request| {
        let page = match *request.method() {
            Method::GET | Method::HEAD => answer(&request),
            _ => page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned()),
        };
        async { Ok::<_, Infallible>(page) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
    let served = timeout(EXCHANGE, builder.serve_connection(TokioIo::new(stream), service)).await;
    served.map_err(|_| Denial::Http)?.map_err(|_| Denial::Http)
}

fn front_page(shared: &Shared, local: SocketAddr, request: &Request<Incoming>) -> Page {
    match request.uri().path() {
        "/health" => health(),
        "/" => page(StatusCode::OK, HTML, welcome(shared, local, request)),
        _ => not_found(),
    }
}

fn health() -> Page {
    page(StatusCode::OK, TEXT, "ok\n".to_owned())
}

fn not_found() -> Page {
    page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned())
}

fn page(status: StatusCode, kind: HeaderValue, text: String) -> Page {
    let mut page = Response::new(Full::new(Bytes::from(text)));
    *page.status_mut() = status;
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

/// For people who opened the relay's address in a browser.
fn welcome(shared: &Shared, local: SocketAddr, request: &Request<Incoming>) -> String {
    let address = match shared.public_addr {
        Some(public) => public.to_string(),
        None => dialled(request, local.port()).unwrap_or_else(|| local.to_string()),
    };
    let key = shared.public_key();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>TagIO relay</title>\n\
         <h1>TagIO relay</h1>\n<p>This server brings TagIO desktops together. It sees neither screens nor \
         keys.</p>\n<p>To use it, paste this into TagIO's settings:</p>\n<pre>{address}#{key}</pre>\n</html>\n"
    )
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
