//! Moves a stream's bytes: some requests up and one down at a time, each asked again when its answer was lost.

use std::{
    io,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http_body_util::BodyExt as _;
use hyper::{Method, Response, StatusCode, body::Incoming};
use tagio_wire::carrier::{HTTP_ARRIVED_KEY, HTTP_LINGER_KEY, HTTP_PIECE_BYTES_MAX, HTTP_POSTS_MAX};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{
    offset::{Failures, taken},
    requests::Requests,
};
use crate::carrier::CarrierError;

/// How long the relay may take to hear that the stream is over.
const GOODBYE: Duration = Duration::from_secs(2);
/// Bytes that come later than this after the last answer have not waited for it.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Requests that send at a time.
const POSTS_MAX: usize = HTTP_POSTS_MAX as usize;
/// How long bytes that have not waited gather at most before they are sent; else their share of a request's time, so
/// that requests follow each other evenly. Congestion control takes the shortest round trip for the path's and twice
/// that for enough in flight: if some packets never waited while others do, it would send ever less.
const GATHER_MAX: Duration = Duration::from_millis(25);
/// An answer that goes on ends so long after its last bytes. A box that keeps answers until they are whole delays them
/// by as much; that none does shows in the end's coming later than the first bytes.
const LINGER: Duration = Duration::from_millis(300);
/// Answers in a row that came whole, before no more of them are asked to go on: of one the first bytes may have been lost
/// and sent again.
const KEPT_ANSWERS_MAX: u32 = 2;
/// An empty answer after less than this is none of a relay's, which waits much longer.
const WAITED: Duration = Duration::from_secs(1);

/// Moves bytes between `far` and the stream at `path` until one of them ends or the owner is gone.
pub(super) async fn run(
    up: Requests,
    down: Requests,
    path: String,
    far: DuplexStream,
    gone: oneshot::Receiver<()>,
) {
    let (read, write) = split(far);
    let mut farewell = up.another();
    let arrived = AtomicU64::new(0);
    let ended = tokio::select! {
        ended = send(up, &path, read, &arrived) => ended,
        ended = fetch(down, &path, write, &arrived) => ended,
        _ = gone => Ok(()),
    };
    match ended {
        // It is over for the relay, too.
        Err(CarrierError::Ended) => return,
        Err(error) => tracing::debug!(%error, "HTTP stream broke"),
        Ok(()) => {}
    }
    timeout(GOODBYE, farewell.ask_all(Method::DELETE, &path, Bytes::new())).await.ok();
}

/// Sends what the owner writes, by as many requests at a time as the relay takes.
async fn send(
    requests: Requests,
    path: &str,
    mut read: ReadHalf<DuplexStream>,
    arrived: &AtomicU64,
) -> Result<(), CarrierError> {
    let mut offset: u64 = 0;
    let mut piece = BytesMut::new();
    // Of the requests so far.
    let mut quickest: Option<Duration> = None;
    let another = requests.another();
    let mut idle = vec![requests];
    let mut under_way = FuturesUnordered::new();
    loop {
        let gathered = {
            // Its time comes whatever the requests do.
            let pause =
                quickest.map_or(Duration::ZERO, |quickest| (quickest / POSTS_MAX as u32).min(GATHER_MAX));
            let mut gathering = pin!(gather(&mut read, &mut piece, pause));
            loop {
                tokio::select! {
                    gathered = &mut gathering, if under_way.len() < POSTS_MAX => break gathered?,
                    Some(delivered) = under_way.next() => {
                        let (requests, took): (Requests, Duration) = delivered?;
                        quickest = Some(quickest.map_or(took, |quickest| quickest.min(took)));
                        idle.push(requests);
                    }
                }
            }
        };
        if !gathered {
            break;
        }
        let bytes = piece.split().freeze();
        let end = offset + bytes.len() as u64;
        let requests = idle.pop().unwrap_or_else(|| another.another());
        under_way.push(deliver(requests, path, offset, bytes, arrived));
        offset = end;
    }
    while let Some(delivered) = under_way.next().await {
        delivered?;
    }
    Ok(())
}

/// Asks until the relay has all of these bytes; what asked, and how long its last request took.
async fn deliver(
    mut requests: Requests,
    path: &str,
    mut offset: u64,
    mut rest: Bytes,
    arrived: &AtomicU64,
) -> Result<(Requests, Duration), CarrierError> {
    let mut failures = Failures::default();
    loop {
        let to = format!("{path}/{offset}?{HTTP_ARRIVED_KEY}={}", arrived.load(Ordering::Relaxed));
        let asked = Instant::now();
        let taken = match requests.ask_all(Method::POST, &to, rest.clone()).await {
            Ok((StatusCode::OK, answer)) => {
                taken(offset, rest.len(), &answer).ok_or(CarrierError::NotTheRelay)?
            }
            // The relay has less or more than this side thinks, as after an answer that was lost.
            Ok((StatusCode::CONFLICT, answer)) => taken(offset, rest.len(), &answer).unwrap_or(0),
            Ok((status, _)) => check(status).map(|()| 0)?,
            Err(error) => may_ask_again(error).map(|()| 0)?,
        };
        if taken == 0 {
            sleep(failures.pause().ok_or(CarrierError::TimedOut)?).await;
            continue;
        }
        offset += taken as u64;
        drop(rest.split_to(taken));
        failures.reset();
        if rest.is_empty() {
            return Ok((requests, asked.elapsed()));
        }
    }
}

/// Reads what there is, at most a piece, and after `pause` some more if it had to be waited for; false at the end.
async fn gather(
    read: &mut ReadHalf<DuplexStream>,
    piece: &mut BytesMut,
    pause: Duration,
) -> io::Result<bool> {
    piece.reserve(HTTP_PIECE_BYTES_MAX);
    let ready = Instant::now();
    let mut read = read.take(HTTP_PIECE_BYTES_MAX as u64);
    if read.read_buf(piece).await? == 0 {
        return Ok(false);
    }
    if ready.elapsed() > AT_ONCE {
        sleep(pause).await;
        if let Ok(more) = timeout(Duration::ZERO, read.read_buf(piece)).await {
            more?;
        }
    }
    Ok(true)
}

/// Fetches what the relay sends. Waits while the owner does not read.
///
/// Answers go on as bytes come, until two of them have shown that a box on the way keeps an answer until it is whole;
/// from then on each has what there is, and is over.
async fn fetch(
    mut requests: Requests,
    path: &str,
    mut write: WriteHalf<DuplexStream>,
    arrived: &AtomicU64,
) -> Result<(), CarrierError> {
    let mut failures = Failures::default();
    let mut offset = 0;
    let mut kept = 0;
    loop {
        let (before, asked) = (offset, Instant::now());
        let from = if kept < KEPT_ANSWERS_MAX {
            format!("{path}/{offset}?{HTTP_LINGER_KEY}={}", LINGER.as_millis())
        } else {
            format!("{path}/{offset}")
        };
        match requests.ask(Method::GET, &from, Bytes::new()).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let flowed = pour(answer, &mut write, &mut offset, arrived).await?;
                kept = if flowed { 0 } else { kept + 1 };
            }
            Ok(answer) if answer.status() == StatusCode::NO_CONTENT => {}
            Ok(answer) => {
                check(answer.status())?;
                // Its body is nobody's business, and is in the way of the next request.
                requests = requests.another();
            }
            Err(error) => may_ask_again(error)?,
        }
        if offset > before || asked.elapsed() >= WAITED {
            failures.reset();
        } else {
            sleep(failures.pause().ok_or(CarrierError::TimedOut)?).await;
        }
    }
}

/// Hands a body on as it comes, and counts what has `arrived`; whether its end came later than its first bytes, as the
/// relay made it. What is lost of it is asked for again.
async fn pour(
    answer: Response<Incoming>,
    write: &mut WriteHalf<DuplexStream>,
    offset: &mut u64,
    arrived: &AtomicU64,
) -> Result<bool, CarrierError> {
    let mut body = answer.into_body();
    let mut started = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(true) };
        if let Ok(bytes) = frame.into_data() {
            started.get_or_insert_with(Instant::now);
            write.write_all(&bytes).await?;
            *offset += bytes.len() as u64;
            arrived.store(*offset, Ordering::Relaxed);
        }
    }
    Ok(started.is_some_and(|started| started.elapsed() >= LINGER / 2))
}

/// Whether an unexpected answer may be asked again: a proxy's trouble passes, a relay's word does not.
fn check(status: StatusCode) -> Result<(), CarrierError> {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(CarrierError::Ended),
        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Ok(()),
        _ if status.is_server_error() => Ok(()),
        _ => Err(CarrierError::Status(status.as_u16())),
    }
}

/// Whether a failed request may be asked again.
fn may_ask_again(error: CarrierError) -> Result<(), CarrierError> {
    match error {
        CarrierError::ProxyLogin { .. } | CarrierError::ProxyRefused { .. } => Err(error),
        other => {
            tracing::debug!(error = %other, "HTTP request lost");
            Ok(())
        }
    }
}
