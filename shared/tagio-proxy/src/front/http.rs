//! A proxy for HTTP: `CONNECT` (RFC 9110, 9.3.6) and requests in absolute form (RFC 9112, 3.2.2).
//!
//! Every request for an `http:` address has a connection of its own behind the proxy: programs that send many use
//! `CONNECT`.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1 as client,
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, task::JoinSet, time::sleep};
use zeroize::Zeroizing;

use super::{Outlet, Peer, Place, Shared, WRONG_PASSWORD_PAUSE};
use crate::{Credentials, DialError, Target};

/// Longest request line with headers; browsers send about 1 kB, some sites' cookies make it 16.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Fields that belong to one connection (RFC 9110, 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("proxy-connection"),
];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

type Body = BoxBody<Bytes, hyper::Error>;
type Reply = Response<Body>;

/// One program's connection.
struct Visit<'a, O: Outlet> {
    shared: &'a Shared<O>,
    peer: SocketAddr,
    /// Held until somebody has shown who they are.
    place: Mutex<Option<Place>>,
    /// What a `CONNECT` leads to.
    tunnel: Mutex<Option<(OnUpgrade, O::Stream)>>,
    /// Connections to targets, of requests under way; they end with the program's.
    upstreams: Mutex<JoinSet<()>>,
}

/// Serves a connection to its end.
pub(super) async fn serve<O: Outlet>(
    shared: &Shared<O>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<Place>,
) -> io::Result<()> {
    let visit = Visit {
        shared,
        peer,
        place: Mutex::new(place),
        tunnel: Mutex::new(None),
        upstreams: Mutex::new(JoinSet::new()),
    };
    let service = service_fn(|request| async { Ok::<_, Infallible>(visit.answer(request).await) });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(shared.limits.opening).max_buf_size(HEAD_BYTES_MAX);
    let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    served.map_err(io::Error::other)?;
    let tunnel = visit.tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some((upgrade, upstream)) = tunnel else { return Ok(()) };
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| io::Error::other("the connection is not the one that was served"))?;
    shared.outlet.carry(parts.io.into_inner(), parts.read_buf, upstream).await
}

impl<O: Outlet> Visit<'_, O> {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let shown = credentials(request.headers());
        let peer = Peer { addr: self.peer, shown: shown.as_ref() };
        let Some(client) = self.shared.outlet.admit(peer) else {
            if shown.is_some() {
                sleep(WRONG_PASSWORD_PAUSE).await;
            }
            return password_wanted();
        };
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let answered = match *request.method() {
            Method::CONNECT => self.connect(&client, request).await,
            _ => self.forward(&client, request).await,
        };
        answered.unwrap_or_else(refusal)
    }

    async fn connect(&self, client: &O::Client, request: Request<Incoming>) -> Result<Reply, DialError> {
        let authority = request.uri().authority().ok_or(DialError::BadTarget)?;
        let target = Target::parse(authority.as_str(), None).map_err(|_| DialError::BadTarget)?;
        let upstream = self.shared.outlet.connect(client, &target).await?;
        let upgrade = hyper::upgrade::on(request);
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, upstream));
        Ok(Response::new(body("")))
    }

    async fn forward(&self, client: &O::Client, mut request: Request<Incoming>) -> Result<Reply, DialError> {
        let uri = request.uri();
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => authority.clone(),
            // A request for the proxy itself: it has no pages.
            _ => return Err(DialError::BadTarget),
        };
        // Names in the address never go to the target, which would take them for its own.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let target = Target::parse(host, Some(80)).map_err(|_| DialError::BadTarget)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let host = HeaderValue::from_str(host).map_err(|_| DialError::BadTarget)?;
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| DialError::BadTarget)?;
        strip(request.headers_mut());
        request.headers_mut().insert(header::HOST, host);
        let upstream = self.shared.outlet.connect(client, &target).await?;
        let opened = client::handshake(TokioIo::new(upstream)).await;
        let (mut sender, connection) = opened.map_err(|_| DialError::Refused)?;
        self.drive(async move {
            // Who waits for the answer hears of it.
            let _ = connection.await;
        });
        let mut answer = sender.send_request(request).await.map_err(|_| DialError::Unreachable)?;
        strip(answer.headers_mut());
        Ok(answer.map(BodyExt::boxed))
    }

    fn drive(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        // At most one is under way, and perhaps a few that have just ended.
        while upstreams.try_join_next().is_some() {}
        upstreams.spawn(connection);
    }
}

/// Removes what is between two neighbours only.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(',').filter_map(|name| name.trim().parse().ok()))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP).chain([&KEEP_ALIVE]) {
        headers.remove(name);
    }
}

/// RFC 7617, of the proxy.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, encoded) = headers.get(header::PROXY_AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim().as_bytes()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some(Credentials { user, password: Zeroizing::new(decoded[colon + 1..].to_vec()) })
}

fn password_wanted() -> Reply {
    let mut reply = page(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "this proxy wants a name and a password");
    let challenge = HeaderValue::from_static("Basic realm=\"tagio\", charset=\"UTF-8\"");
    reply.headers_mut().insert(header::PROXY_AUTHENTICATE, challenge);
    reply
}

fn refusal(error: DialError) -> Reply {
    let status = match error {
        DialError::NotAllowed => StatusCode::FORBIDDEN,
        DialError::BadTarget => StatusCode::BAD_REQUEST,
        DialError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        DialError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        DialError::Refused | DialError::Unreachable | DialError::UnknownName => StatusCode::BAD_GATEWAY,
    };
    page(status, error)
}

fn page(status: StatusCode, text: impl std::fmt::Display) -> Reply {
    let mut reply = Response::new(body(&format!("{text}\n")));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

fn body(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed()
}
