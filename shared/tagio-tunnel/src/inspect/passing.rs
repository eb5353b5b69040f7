//! Passes a visitor's HTTP/1.1 requests on to the local service and records them. What is no HTTP passes unseen.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::{self as client, SendRequest},
    header,
    server::conn::http1 as server,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, copy_bidirectional},
    net::TcpStream,
    sync::Mutex,
    task::JoinSet,
    time::timeout,
};
use tracing::debug;

use super::{Fields, Head, Recorder, Recording};
use crate::client::{Target, connect_local};

/// A visitor that says nothing for this long waits for the service to begin.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Longest HTTP method with the blank behind it that is taken for one.
const METHOD_BYTES_MAX: usize = 16;
/// What a service gets no answer out of.
const NO_ANSWER: &str = "the local service does not answer\n";

/// Reads the first bytes of a visitor, and tells whether they are a request's.
pub(crate) async fn is_http(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let letters = head.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        match head.get(letters) {
            // The preface of HTTP/2 begins like a request, and is none.
            Some(b' ') => return Ok(letters > 0 && !head.starts_with(b"PRI ")),
            Some(_) => return Ok(false),
            None if letters >= METHOD_BYTES_MAX => return Ok(false),
            None => {}
        }
        match timeout(FIRST_WORD, stream.read_buf(head)).await {
            Ok(Ok(0)) | Err(_) => return Ok(false),
            Ok(read) => drop(read?),
        }
    }
}

/// A visitor's connection.
struct Visit {
    target: Target,
    recorder: Arc<Recorder>,
    kept: Mutex<Kept>,
}

/// The connection to the service, and tasks that end with the visitor.
#[derive(Default)]
struct Kept {
    sender: Option<SendRequest<Tapped>>,
    tasks: JoinSet<()>,
}

/// Serves a visitor whose first bytes are in `head`, with `first` as the connection to the service.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    head: Vec<u8>,
    first: TcpStream,
    target: Target,
    recorder: Arc<Recorder>,
) -> io::Result<()> {
    let (read, write) = tokio::io::split(stream);
    let stream = tokio::io::join(io::Cursor::new(head).chain(read), write);
    let mut kept = Kept::default();
    kept.sender = Some(handshake(first, &mut kept.tasks).await.map_err(io::Error::other)?);
    let visit = Arc::new(Visit { target, recorder, kept: Mutex::new(kept) });
    let answering = Arc::clone(&visit);
    let service = service_fn(move |request| {
        let visit = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    let mut builder = server::Builder::new();
    builder.preserve_header_case(true).half_close(true);
    let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    // Upgraded streams go on; everything else has ended with the visitor.
    let mut kept = visit.kept.lock().await;
    kept.sender = None;
    while kept.tasks.join_next().await.is_some() {}
    served.map_err(io::Error::other)
}

async fn handshake(stream: TcpStream, tasks: &mut JoinSet<()>) -> hyper::Result<SendRequest<Tapped>> {
    let mut builder = client::Builder::new();
    let (sender, connection) = builder.preserve_header_case(true).handshake(TokioIo::new(stream)).await?;
    while tasks.try_join_next().is_some() {}
    tasks.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "a connection to the local service ended");
        }
    });
    Ok(sender)
}

impl Visit {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Either<Tapped, Full<Bytes>>> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let seen = Head { method: request.method().to_string(), target, fields: fields(request.headers()) };
        let recording = Arc::new(self.recorder.begin(seen, None));
        let wants_upgrade = request.headers().contains_key(header::UPGRADE);
        let upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
        let request = request.map(|body| Tapped::new(body, &recording, Side::Request));
        match self.send(request).await {
            Ok(mut response) => {
                recording.answered(response.status().as_u16(), fields(response.headers()));
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(upgrade) = upgrade
                {
                    let theirs = hyper::upgrade::on(&mut response);
                    self.kept.lock().await.tasks.spawn(carry(upgrade, theirs, Arc::clone(&recording)));
                    return response.map(|body| Either::Left(Tapped::unseen(body)));
                }
                response.map(|body| Either::Left(Tapped::new(body, &recording, Side::Response)))
            }
            Err(error) => {
                debug!(%error, "no answer from the local service");
                let mut page = Response::new(Either::Right(Full::from(NO_ANSWER)));
                *page.status_mut() = StatusCode::BAD_GATEWAY;
                page
            }
        }
    }

    async fn send(&self, request: Request<Tapped>) -> io::Result<Response<Incoming>> {
        let mut kept = self.kept.lock().await;
        let mut open = None;
        if let Some(mut sender) = kept.sender.take()
            && sender.ready().await.is_ok()
        {
            open = Some(sender);
        }
        let mut sender = match open {
            Some(sender) => sender,
            None => {
                let stream = connect_local(&self.target).await?;
                handshake(stream, &mut kept.tasks).await.map_err(io::Error::other)?
            }
        };
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        kept.sender = Some(sender);
        Ok(response)
    }
}

/// Fields as text; what is none is shown as good as it goes.
pub(super) fn fields(headers: &HeaderMap) -> Fields {
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// An upgraded connection, to its end.
async fn carry(visitor: OnUpgrade, service: OnUpgrade, recording: Arc<Recording>) {
    let (Ok(visitor), Ok(service)) = tokio::join!(visitor, service) else { return };
    match copy_bidirectional(&mut TokioIo::new(visitor), &mut TokioIo::new(service)).await {
        Ok(_) => recording.done(),
        Err(error) => debug!(%error, "upgraded connection cut off"),
    }
}

/// Whose body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// A body that is recorded while it passes.
pub(super) struct Tapped {
    body: Incoming,
    seen_by: Option<(Arc<Recording>, Side)>,
}

impl Tapped {
    fn new(body: Incoming, recording: &Arc<Recording>, side: Side) -> Self {
        if side == Side::Response && body.is_end_stream() {
            recording.done();
        }
        Self { body, seen_by: Some((Arc::clone(recording), side)) }
    }

    fn unseen(body: Incoming) -> Self {
        Self { body, seen_by: None }
    }
}

impl Body for Tapped {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some((recording, side)) = &self.seen_by else { return Poll::Ready(frame) };
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            match side {
                Side::Request => recording.request_bytes(bytes),
                Side::Response => recording.response_bytes(bytes),
            }
        }
        // hyper does not ask again once a body of known length is whole.
        let is_over = frame.is_none() || matches!(&frame, Some(Ok(_))) && self.body.is_end_stream();
        if *side == Side::Response && is_over {
            recording.done();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
