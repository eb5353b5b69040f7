//! Clients of TAGIO messages by HTTP: a message is the body of a `POST`, and its answer is the answer's.
//!
//! Such a client has no connection. It has a token, by which it is known again, and a mailbox that its next `PING`
//! empties.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::{Body, Incoming},
    header::{self, HeaderMap, HeaderValue},
};
use tagio_relay_core::{
    Denial,
    messages::{
        Budget, ClientId, ErrorCode, Framing, Reply, SessionToken, denial,
        message::{LEADING_BYTES_MAX, find},
    },
};
use tokio::time::Instant;

use super::{carry_out, is_ping, join, line::Line, refusal};
use crate::{
    access,
    http::{
        Visit,
        reply::{self, BYTES},
    },
    lock::lock,
};

/// By which a client is known again: 32 hexadecimal digits.
const SESSION: &str = "x-tagio-session";
/// How long a `PING` waits for messages, in seconds.
const WAIT: &str = "x-tagio-wait";
/// With `1`: all messages that wait, each behind its length.
const BATCH: &str = "x-tagio-batch";
/// How long a `PING` waits when it does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(25);

/// Why there is no ordinary answer.
struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    denial: Denial,
}

impl Refusal {
    fn new(status: StatusCode, code: ErrorCode) -> Self {
        Self { status, code, denial: denial(code) }
    }

    fn denied(denial: Denial) -> Self {
        let status = match denial {
            Denial::WrongSecret => StatusCode::UNAUTHORIZED,
            Denial::Draining | Denial::TagioClientsFull => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        Self { status, code: refusal(denial), denial }
    }
}

/// How the client wants its answer.
struct Wishes {
    batch: bool,
    wait: Duration,
}

impl Wishes {
    fn of(headers: &HeaderMap, wait_max: Duration) -> Result<Self, Refusal> {
        let wait = match headers.get(WAIT) {
            None => WAIT_DEFAULT,
            Some(value) => {
                let secs = value.to_str().ok().and_then(|text| text.trim().parse().ok());
                Duration::from_secs(secs.ok_or_else(bad_request)?)
            }
        };
        let batch = headers.get(BATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"1");
        Ok(Self { batch, wait: wait.min(wait_max) })
    }

    /// One message, as it was asked for.
    fn frame(&self, message: Vec<u8>) -> Vec<u8> {
        if !self.batch {
            return message;
        }
        let len = u32::try_from(message.len()).expect("replies are short");
        [&len.to_be_bytes()[..], &message].concat()
    }
}

fn bad_request() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadMessage)
}

/// Answers a `POST`.
pub(crate) async fn answer(visit: &Visit, request: Request<Incoming>) -> reply::Reply {
    try_answer(visit, request).await.unwrap_or_else(|Refusal { status, code, denial }| {
        visit.shared.denials.count(denial);
        let mut reply = reply::of(status, BYTES, Reply::Error(code).bytes());
        // Its body may not be read to the end.
        reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UNAUTHORIZED {
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        reply
    })
}

async fn try_answer(visit: &Visit, request: Request<Incoming>) -> Result<reply::Reply, Refusal> {
    let limits = visit.shared.limits();
    let (head, body) = request.into_parts();
    let wishes = Wishes::of(&head.headers, Duration::from_secs(limits.tagio_poll_secs_max.into()))?;
    let peer = visit.client(&head.headers);
    let client = known(visit, &head.headers, peer)?;
    let bytes_max = limits.tagio_message_bytes_max as usize;
    let body = read(visit, body, bytes_max + LEADING_BYTES_MAX).await?;
    let message = find(&body).ok_or_else(bad_request)?;
    match client {
        Some((id, line)) => {
            let reply = proceed(visit, id, &line, message, &wishes).await?;
            Ok(reply::of(StatusCode::OK, BYTES, reply))
        }
        None => begin(visit, peer, message, &wishes),
    }
}

/// The client of an earlier request, if this one names it.
fn known(
    visit: &Visit,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Option<(ClientId, Arc<Line>)>, Refusal> {
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, ErrorCode::UnknownSession);
    let Some(shown) = headers.get(SESSION) else {
        // Whoever was let in once has shown the secret then.
        access::check_secret(&visit.shared, access::bearer(headers), peer.ip().into())
            .map_err(Refusal::denied)?;
        return Ok(None);
    };
    let shown = shown.to_str().ok().filter(|text| text.len() == 32);
    let token = shown.and_then(|text| u128::from_str_radix(text, 16).ok()).ok_or_else(unknown)?;
    let token = SessionToken(token.to_be_bytes());
    let now = std::time::Instant::now();
    let found = lock(&visit.shared.messages.rules).resume(token, peer.ip(), now);
    let found = found.ok_or_else(unknown)?;
    visit.visitor.pass.establish();
    Ok(Some(found))
}

/// The first message of a client: it is told its ID and its token.
fn begin(visit: &Visit, peer: SocketAddr, message: &[u8], wishes: &Wishes) -> Result<reply::Reply, Refusal> {
    let shared = &visit.shared;
    let (id, line) = join(shared, Framing::Length, peer).map_err(Refusal::denied)?;
    let token = lock(&shared.messages.rules).open_session(id).expect("the client has just come");
    let handled = lock(&shared.messages.rules).handle(id, message, std::time::Instant::now());
    let then = handled.and_then(|handled| carry_out(shared, handled.then));
    if let Some(answer) = then {
        // Behind the ACK; the next PING brings it. An empty mailbox has room for an answer.
        let _ = line.answer(&answer.bytes());
    }
    visit.visitor.pass.establish();
    let mut reply = reply::of(StatusCode::OK, BYTES, wishes.frame(Reply::Ack(id).bytes()));
    let token = format!("{:032x}", u128::from_be_bytes(token.0));
    let token = HeaderValue::from_str(&token).expect("hexadecimal digits may stand in a header");
    reply.headers_mut().insert(SESSION, token);
    Ok(reply)
}

/// A later message.
async fn proceed(
    visit: &Visit,
    id: ClientId,
    line: &Line,
    message: &[u8],
    wishes: &Wishes,
) -> Result<Bytes, Refusal> {
    let shared = &visit.shared;
    let handled = lock(&shared.messages.rules).handle(id, message, std::time::Instant::now());
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, ErrorCode::UnknownSession);
    let answer = carry_out(shared, handled.ok_or_else(unknown)?.then);
    if !is_ping(message) {
        // A message that was taken is answered, too: no reply at all would look like a lost one.
        let answer = answer.unwrap_or(Reply::Ack(id));
        return Ok(wishes.frame(answer.bytes()).into());
    }
    visit.allow(wishes.wait);
    let fetched = line.fetch(wishes.batch, Instant::now() + wishes.wait).await;
    lock(&shared.messages.rules).heard(id, std::time::Instant::now());
    Ok(fetched.unwrap_or_else(|| wishes.frame(Reply::Ack(id).bytes())).into())
}

/// A request's body, which may not be longer than `bytes_max`.
async fn read(visit: &Visit, body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge);
    let announced =
        body.size_hint().upper().map_or(bytes_max, |len| usize::try_from(len).unwrap_or(usize::MAX));
    if announced > bytes_max {
        return Err(too_large());
    }
    let _paid = Paid::take(visit, announced)?;
    let read = Limited::new(body, bytes_max).collect().await;
    read.map(|body| body.to_bytes())
        .map_err(|error| if error.is::<LengthLimitError>() { too_large() } else { bad_request() })
}

/// What a body that is being read takes of what all may hold together.
struct Paid {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Paid {
    fn take(visit: &Visit, bytes: usize) -> Result<Self, Refusal> {
        let budget = Arc::clone(&visit.shared.messages.partial);
        let bytes_max = visit.shared.limits().tagio_queues_bytes_max as usize;
        let taken = budget.take(bytes, bytes_max);
        taken.map_err(|_| Refusal::denied(Denial::TagioQueuesFull))?;
        Ok(Self { budget, bytes })
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}
