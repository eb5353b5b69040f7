//! Moves a stream's bytes: some requests up and one down at a time, each asked again when its answer was lost, but for
//! the first one up, which has to show that there is a relay.

use std::{
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http_body_util::BodyExt as _;
use hyper::{Method, Response, StatusCode, body::Incoming};
use tagio_wire::carrier::{
    HTTP_ARRIVED_KEY, HTTP_LINGER_KEY, HTTP_OPEN_KEY, HTTP_PIECE_BYTES_MAX, HTTP_POSTS_MAX,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split},
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
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
/// How long bytes that have not waited gather at most while a request is under way; else their share of a request's time, so
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

/// How far the stream is at the relay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Unknown,
    /// The request that opens it is under way.
    Opening,
    /// The relay has answered it.
    Open,
}

/// Moves bytes between `far` and the stream at `path` until one of them ends or the owner is gone; why stands in `end`
/// when `far` ends.
pub(super) async fn run(
    requests: Requests,
    path: String,
    far: DuplexStream,
    gone: oneshot::Receiver<()>,
    end: Arc<Mutex<Option<CarrierError>>>,
) {
    let (read, write) = split(far);
    let (down, mut farewell) = (requests.another(), requests.another());
    let (arrived, stage) = (AtomicU64::new(0), watch::Sender::new(Stage::Unknown));
    let is_over = {
        let sending = send(requests, &path, read, &arrived, &stage);
        let fetching = fetch(down, &path, write, &arrived, stage.subscribe());
        // Both halves are dropped with these, after the reason is known.
        tokio::pin!(sending, fetching);
        let ended = tokio::select! {
            ended = &mut sending => ended,
            ended = &mut fetching => ended,
            _ = gone => Ok(()),
        };
        // For the relay, too.
        let is_over = matches!(ended, Err(CarrierError::Ended));
        if let Err(error) = ended {
            tracing::debug!(%error, "HTTP stream broke");
            *end.lock().expect("no thread panics while it holds the end") = Some(error);
        }
        is_over
    };
    if !is_over && *stage.borrow() != Stage::Unknown {
        timeout(GOODBYE, farewell.ask_all(Method::DELETE, &path, Bytes::new())).await.ok();
    }
}

/// Sends what the owner writes, by as many requests at a time as the relay takes.
async fn send(
    mut requests: Requests,
    path: &str,
    mut read: ReadHalf<DuplexStream>,
    arrived: &AtomicU64,
    stage: &watch::Sender<Stage>,
) -> Result<(), CarrierError> {
    let mut piece = BytesMut::new();
    if !read_some(&mut read, &mut piece).await? {
        return Ok(());
    }
    stage.send_replace(Stage::Opening);
    let asked = Instant::now();
    let mut offset = begin(&mut requests, path, &mut piece).await?;
    stage.send_replace(Stage::Open);
    let mut posts = Posts {
        another: requests.another(),
        idle: vec![requests],
        under_way: FuturesUnordered::new(),
        quickest: asked.elapsed(),
    };
    let mut is_ended = false;
    while !is_ended {
        while posts.under_way.len() >= POSTS_MAX {
            posts.next().await?;
        }
        if piece.is_empty() {
            is_ended = !gather(&mut read, &mut piece, &mut posts).await?;
        }
        if !piece.is_empty() {
            let bytes = piece.split().freeze();
            let end = offset + bytes.len() as u64;
            let requests = posts.idle.pop().unwrap_or_else(|| posts.another.another());
            posts.under_way.push(Box::pin(deliver(requests, path, offset, bytes, arrived)));
            offset = end;
        }
    }
    while !posts.under_way.is_empty() {
        posts.next().await?;
    }
    Ok(())
}

/// The requests that bring bytes to the relay. INVARIANT: at most [`POSTS_MAX`] under way.
struct Posts<'a> {
    /// To make others of.
    another: Requests,
    idle: Vec<Requests>,
    under_way: FuturesUnordered<BoxFuture<'a, Result<(Requests, Duration), CarrierError>>>,
    /// What one of them took at least so far.
    quickest: Duration,
}

impl Posts<'_> {
    /// Waits for one to be done, for ever where none is under way. Cancel safe.
    async fn next(&mut self) -> Result<(), CarrierError> {
        let Some(delivered) = self.under_way.next().await else { return pending().await };
        let (requests, took) = delivered?;
        self.quickest = self.quickest.min(took);
        self.idle.push(requests);
        Ok(())
    }
}

/// Opens the stream with its first bytes; how many of them the relay has taken, which go out of `piece`. A failure is the
/// road's, and is not tried again here.
async fn begin(requests: &mut Requests, path: &str, piece: &mut BytesMut) -> Result<u64, CarrierError> {
    let to = format!("{path}/0?{HTTP_OPEN_KEY}=1");
    let bytes = piece.clone().freeze();
    match requests.ask_all(Method::POST, &to, bytes).await? {
        (StatusCode::OK, answer) => {
            let taken = taken(0, piece.len(), &answer).ok_or(CarrierError::NotTheRelay)?;
            drop(piece.split_to(taken));
            Ok(taken as u64)
        }
        (status, _) => Err(CarrierError::Status(status.as_u16())),
    }
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

/// Waits for bytes, and then for more of them if those have not waited and a request is under way; false at the end.
async fn gather(
    read: &mut ReadHalf<DuplexStream>,
    piece: &mut BytesMut,
    posts: &mut Posts<'_>,
) -> Result<bool, CarrierError> {
    let ready = Instant::now();
    loop {
        tokio::select! {
            some = read_some(read, piece) => if some? { break } else { return Ok(false) },
            done = posts.next() => done?,
        }
    }
    if ready.elapsed() <= AT_ONCE || posts.under_way.is_empty() {
        return Ok(true);
    }
    let until = Instant::now() + (posts.quickest / POSTS_MAX as u32).min(GATHER_MAX);
    loop {
        tokio::select! {
            () = sleep_until(until) => break,
            done = posts.next() => done?,
        }
    }
    Ok(timeout(Duration::ZERO, read_some(read, piece)).await.unwrap_or(Ok(true))?)
}

/// Waits for bytes and reads what there is, up to a piece in all; false at the end. Cancel safe.
async fn read_some(read: &mut ReadHalf<DuplexStream>, piece: &mut BytesMut) -> io::Result<bool> {
    let room = HTTP_PIECE_BYTES_MAX - piece.len();
    if room == 0 {
        return Ok(true);
    }
    piece.reserve(room);
    Ok(read.take(room as u64).read_buf(piece).await? > 0)
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
    mut stage: watch::Receiver<Stage>,
) -> Result<(), CarrierError> {
    let mut failures = Failures::default();
    let mut offset = 0;
    // Its sender lives in the same task.
    stage.wait_for(|stage| *stage != Stage::Unknown).await.ok();
    let mut kept = 0;
    loop {
        let (before, asked) = (offset, Instant::now());
        let is_open = *stage.borrow() == Stage::Open;
        let from = match (is_open, kept < KEPT_ANSWERS_MAX) {
            (false, _) => {
                format!("{path}/{offset}?{HTTP_OPEN_KEY}=1&{HTTP_LINGER_KEY}={}", LINGER.as_millis())
            }
            (true, true) => format!("{path}/{offset}?{HTTP_LINGER_KEY}={}", LINGER.as_millis()),
            (true, false) => format!("{path}/{offset}"),
        };
        match requests.ask(Method::GET, &from, Bytes::new()).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let flowed = pour(answer, &mut write, &mut offset, arrived).await?;
                kept = if flowed { 0 } else { kept + 1 };
            }
            Ok(answer) if answer.status() == StatusCode::NO_CONTENT => {}
            // Whether there is a stream only the request that opens it can say.
            _ if !is_open => {
                requests = requests.another();
                stage.wait_for(|stage| *stage == Stage::Open).await.ok();
                continue;
            }
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
