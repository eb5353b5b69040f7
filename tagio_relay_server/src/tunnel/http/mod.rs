//! HTTP/1.1 visitors where tunnels have names: each request goes to the tunnel that it names, with the fields that its
//! client asked for, and is let through only with its password.
//!
//! A connection to the client is kept for the next request of the same visitor to the same tunnel. An upgrade, as to
//! WebSocket, becomes a stream.

mod fields;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self as client, SendRequest},
    header::{self, HeaderValue},
    server::conn::http1 as server,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tagio_relay_core::{
    Denial,
    tunnel::{HostName, Route},
};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::TcpStream,
    sync::Mutex,
    task::JoinSet,
};
use tracing::debug;

use super::{Tunnels, Visiting, session::Way};
use crate::http::forwarded;

/// Time for a request's line and fields, also for the next one on an idle connection.
const REQUEST_HEAD: Duration = Duration::from_secs(60);
/// Most bytes of them: twice what servers usually take.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// From whom a request comes.
struct Origin {
    /// As a believed proxy says; else the peer.
    client: SocketAddr,
    /// Who has connected.
    peer: std::net::IpAddr,
    /// Whether that is such a proxy.
    is_believed: bool,
}

type Body = Either<Incoming, Full<Bytes>>;

/// A visitor's connection.
struct Visit {
    tunnels: Arc<Tunnels>,
    peer: SocketAddr,
    kept: Mutex<Kept>,
}

/// What is kept between two requests. Its tasks end with the visitor.
struct Kept {
    upstream: Option<Upstream>,
    tasks: JoinSet<()>,
}

/// A connection to a tunnel's client.
struct Upstream {
    route: Route,
    sender: SendRequest<Incoming>,
    visiting: Visiting,
}

/// Serves a visitor's requests, the first bytes of which are in `head`.
pub(super) async fn serve(
    tunnels: &Arc<Tunnels>,
    stream: TcpStream,
    peer: SocketAddr,
    head: Vec<u8>,
) -> Result<(), Denial> {
    let (read, write) = stream.into_split();
    let stream = tokio::io::join(std::io::Cursor::new(head).chain(read), write);
    let kept = Mutex::new(Kept { upstream: None, tasks: JoinSet::new() });
    let visit = Arc::new(Visit { tunnels: Arc::clone(tunnels), peer, kept });
    let answering = Arc::clone(&visit);
    let service = service_fn(move |request| {
        let visit = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    let mut builder = server::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD);
    builder.max_buf_size(HEAD_BYTES_MAX).half_close(true);
    let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    // Upgraded streams go on; everything else has ended with the visitor.
    let mut kept = visit.kept.lock().await;
    kept.upstream = None;
    while kept.tasks.join_next().await.is_some() {}
    served.map_err(|_| Denial::Http)
}

impl Visit {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.forward(request).await {
            Ok(response) => response,
            Err(problem) => {
                self.tunnels.deny(problem.denial());
                problem.page()
            }
        }
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let route = self.route(&request)?;
        let from = self.tunnels.relay.with_trusted_proxies(|trusted| {
            let is_believed = trusted.contains(self.peer.ip());
            Origin {
                client: forwarded::client(request.headers(), self.peer, trusted),
                is_believed,
                peer: self.peer.ip(),
            }
        });
        let mut kept = self.kept.lock().await;
        let password = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let mut upstream = match kept.reusable(&route).await {
            Some(upstream) => {
                // A believed proxy may come for somebody else now.
                if !upstream.visiting.session.access.allows(from.client.ip()) {
                    return Err(Problem::Denied(Denial::TunnelAccess));
                }
                upstream.visiting.is_welcome(password)?;
                upstream
            }
            None => {
                let visiting = self.tunnels.admit(&route, from.client.ip()).map_err(Problem::Denied)?;
                visiting.is_welcome(password)?;
                self.connect(route, visiting, from.client, &mut kept.tasks).await?
            }
        };
        let Visiting { session, request: number, .. } = &upstream.visiting;
        debug!(request = number, method = %request.method(), "request");
        let upgrade = fields::is_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        fields::rewrite(&mut request, &session.manners, session.access.wants_password(), &from);
        let sent = upstream.sender.send_request(request).await;
        let mut response = sent.map_err(|error| {
            debug!(request = number, %error, "no response");
            Problem::Service
        })?;
        debug!(request = number, status = response.status().as_u16(), "response");
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or(Problem::Service)?;
            let theirs = hyper::upgrade::on(&mut response);
            kept.tasks.spawn(carry(upgrade, theirs, upstream.visiting));
        } else {
            fields::remove_hop_by_hop(response.headers_mut());
            kept.upstream = Some(upstream);
        }
        Ok(response.map(Either::Left))
    }

    /// The tunnel that a request names; a name that nobody has may be the one tunnel's that has the whole port.
    fn route(&self, request: &Request<Incoming>) -> Result<Route, Problem> {
        let named = request.uri().authority().map(hyper::http::uri::Authority::as_str);
        let field = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let name = named.or_else(field).and_then(HostName::parse_authority);
        let desk = self.tunnels.desk();
        let by_name = name.map(Route::Name).filter(|route| desk.book.choose(route).is_some());
        let route = by_name.or_else(|| desk.book.choose(&Route::Ingress).map(|_| Route::Ingress));
        route.ok_or(Problem::Unknown)
    }

    async fn connect(
        &self,
        route: Route,
        visiting: Visiting,
        from: SocketAddr,
        tasks: &mut JoinSet<()>,
    ) -> Result<Upstream, Problem> {
        let sender = match visiting.open(from, &[]).await.map_err(Problem::Denied)? {
            Way::Stream(stream) => handshake(stream, tasks).await?,
            Way::Yamux(stream) => handshake(stream, tasks).await?,
        };
        Ok(Upstream { route, sender, visiting })
    }
}

async fn handshake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    tasks: &mut JoinSet<()>,
) -> Result<SendRequest<Incoming>, Problem> {
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(|_| Problem::Service)?;
    while tasks.try_join_next().is_some() {}
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "a connection to a tunnel's client ended");
        }
    });
    Ok(sender)
}

impl Kept {
    /// The connection of the last request, if it can take another one to the same tunnel.
    async fn reusable(&mut self, route: &Route) -> Option<Upstream> {
        let mut upstream = self.upstream.take().filter(|upstream| upstream.route == *route)?;
        upstream.sender.ready().await.ok()?;
        Some(upstream)
    }
}

impl Visiting {
    fn is_welcome(&self, password: Option<&[u8]>) -> Result<(), Problem> {
        if self.session.access.accepts(password) { Ok(()) } else { Err(Problem::Password) }
    }
}

/// An upgraded connection, to its end.
async fn carry(visitor: OnUpgrade, service: OnUpgrade, visiting: Visiting) {
    let (Ok(visitor), Ok(service)) = tokio::join!(visitor, service) else { return };
    let moved = copy_bidirectional(&mut TokioIo::new(visitor), &mut TokioIo::new(service)).await;
    if let Err(error) = moved {
        debug!(request = visiting.request, %error, "upgraded connection cut off");
    }
}

/// Why a request gets no answer from its service.
enum Problem {
    /// No tunnel has this name.
    Unknown,
    Denied(Denial),
    /// The tunnel wants a password.
    Password,
    /// The service behind the tunnel does not answer.
    Service,
}

impl Problem {
    fn denial(&self) -> Denial {
        match self {
            Self::Unknown => Denial::TunnelUnknown,
            Self::Denied(denial) => *denial,
            Self::Password => Denial::TunnelAccess,
            Self::Service => Denial::TunnelService,
        }
    }

    fn page(&self) -> Response<Body> {
        let (status, text) = match self {
            Self::Unknown | Self::Denied(Denial::TunnelUnknown) => {
                (StatusCode::NOT_FOUND, "no tunnel is open under this name\n")
            }
            Self::Denied(Denial::TunnelAccess) => {
                (StatusCode::FORBIDDEN, "this tunnel is not for your address\n")
            }
            Self::Denied(Denial::TunnelWait) => {
                (StatusCode::GATEWAY_TIMEOUT, "the tunnel's client does not answer\n")
            }
            Self::Denied(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many visitors; try again soon\n"),
            Self::Password => (StatusCode::UNAUTHORIZED, "this tunnel wants a name and a password\n"),
            Self::Service => (StatusCode::BAD_GATEWAY, "the service behind this tunnel does not answer\n"),
        };
        let mut page = Response::new(Either::Right(Full::from(text)));
        *page.status_mut() = status;
        let headers = page.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::Password) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tunnel\""));
        }
        page
    }
}
