//! The inspector: the recorded requests on a page of this machine, without a script.
//!
//! Other pages in the same browser must not read it: its path begins with a secret, and requests by another name than
//! this machine's (DNS rebinding) are refused.

use std::{convert::Infallible, fmt::Write, io, net::SocketAddr, sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use super::{Body, Exchange, ExchangeState, Recorder, masked_target, replay};
use crate::client::Target;

/// Connections of browsers at once.
const CONNECTIONS_MAX: usize = 16;

/// An inspector that listens.
pub struct Inspector {
    listener: TcpListener,
    addr: SocketAddr,
    shown: Arc<Shown>,
}

struct Shown {
    recorder: Arc<Recorder>,
    /// Who is asked again.
    target: Target,
    /// First part of every path.
    secret: String,
    port: u16,
}

impl Inspector {
    /// Listens at `addr`, which has to be this machine's own.
    ///
    /// # Errors
    /// It is another one, or is taken.
    pub async fn bind(addr: SocketAddr, recorder: Arc<Recorder>, target: Target) -> io::Result<Self> {
        if !addr.ip().is_loopback() {
            let why = "the inspector shows what passes, secrets too: it listens on this machine only, as 127.0.0.1:4040";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let secret = rand::random::<[u8; 16]>().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let shown = Shown { recorder, target, secret, port: addr.port() };
        Ok(Self { listener, addr, shown: Arc::new(shown) })
    }

    /// Where its page is, secret included.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.addr, self.shown.secret)
    }

    /// Serves browsers; never returns.
    pub async fn serve(self) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut browsers = JoinSet::new();
        loop {
            while browsers.try_join_next().is_some() {}
            let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes it");
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let shown = Arc::clone(&self.shown);
            browsers.spawn(async move {
                let service = service_fn(move |request| {
                    let shown = Arc::clone(&shown);
                    async move { Ok::<_, Infallible>(shown.answer(request).await) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).keep_alive(false);
                // A browser that goes away is no trouble.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                drop(permit);
            });
        }
    }
}

impl Shown {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.is_by_own_name(&request) {
            return page(StatusCode::FORBIDDEN, "Open this page by the address that was printed.");
        }
        let mut parts = request.uri().path().trim_start_matches('/').split('/');
        let hash = |text: &str| Sha256::digest(text);
        let shown = parts.next().unwrap_or_default();
        if !bool::from(hash(shown).ct_eq(&hash(&self.secret))) {
            return page(StatusCode::NOT_FOUND, "Nothing is here.");
        }
        let rest: Vec<&str> = parts.collect();
        match (request.method(), rest.as_slice()) {
            (&Method::GET, [""]) => page(StatusCode::OK, &self.list()),
            (&Method::GET, [id]) => match id.parse().ok().and_then(|id| self.recorder.find(id)) {
                Some(exchange) => page(StatusCode::OK, &detail(&exchange)),
                None => page(StatusCode::NOT_FOUND, "This request is not kept any more."),
            },
            (&Method::POST, ["replay", id]) => self.replay(id).await,
            _ => page(StatusCode::NOT_FOUND, "Nothing is here."),
        }
    }

    /// Whether the browser believes to speak with this machine.
    fn is_by_own_name(&self, request: &Request<Incoming>) -> bool {
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == format!("{name}:{}", self.port))
    }

    async fn replay(&self, id: &str) -> Response<Full<Bytes>> {
        let Ok(id) = id.parse() else { return page(StatusCode::NOT_FOUND, "Nothing is here.") };
        match replay(&self.recorder, id, &self.target.host, self.target.port).await {
            Ok(again) => {
                let mut answer = page(StatusCode::SEE_OTHER, "");
                let at = format!("/{}/{again}", self.secret).parse().expect("letters and digits are a value");
                answer.headers_mut().insert(header::LOCATION, at);
                answer
            }
            Err(error) => page(StatusCode::BAD_GATEWAY, &escaped(&error.to_string())),
        }
    }

    fn list(&self) -> String {
        let mut out =
            "<h1>Requests</h1><table><tr><th>#<th>time<th>method<th>target<th>status<th>ms<th>in<th>out</tr>"
                .to_owned();
        for line in self.recorder.list() {
            let seconds = line.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() % 86_400);
            let time = format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let status = match line.state {
                ExchangeState::Failed => "failed".to_owned(),
                ExchangeState::Open | ExchangeState::Done => line.status.to_string(),
            };
            let ms = line.total.map_or_else(|| "…".to_owned(), |total| total.as_millis().to_string());
            let _ = write!(
                out,
                "<tr><td><a href=\"{id}\">{id}</a>{again}<td>{time}<td>{method}<td>{target}<td>{status}<td>{ms}\
                 <td>{inward}<td>{outward}</tr>",
                id = line.id,
                again = line.replay_of.map_or_else(String::new, |of| format!(" (again {of})")),
                method = escaped(&line.method),
                target = escaped(&line.target),
                inward = line.request_bytes,
                outward = line.response_bytes,
            );
        }
        out + "</table>"
    }
}

fn detail(exchange: &Exchange) -> String {
    let mut out = format!(
        "<p><a href=\"./\">All requests</a></p><h1>{} {}</h1>\
         <form method=\"post\" action=\"replay/{}\"><button>Send again</button></form>",
        escaped(&exchange.request.method),
        escaped(&masked_target(&exchange.request.target)),
        exchange.id
    );
    for (title, fields, body) in [
        ("Request".to_owned(), &exchange.request.fields, &exchange.request_body),
        (format!("Answer {}", exchange.status), &exchange.fields, &exchange.body),
    ] {
        let _ = write!(out, "<h2>{title}</h2><table>");
        for (name, value) in Exchange::shown(fields) {
            let _ = write!(out, "<tr><td>{}<td>{}</tr>", escaped(name), escaped(value));
        }
        let _ = write!(out, "</table><pre>{}</pre>", text(body));
    }
    out
}

fn text(body: &Body) -> String {
    let kept = escaped(&String::from_utf8_lossy(&body.kept));
    if body.is_whole() { kept } else { format!("{kept}\n… {} bytes in all", body.len) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(status: StatusCode, content: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>TagIO tunnel</title>\
         <style>body{{font:14px sans-serif}}td,th{{text-align:left;padding:2px 8px}}pre{{white-space:pre-wrap}}</style>\
         {content}"
    );
    let mut answer = Response::new(Full::from(html));
    *answer.status_mut() = status;
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    answer
}
