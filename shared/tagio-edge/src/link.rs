//! One WebSocket between a POP and a node, and the sessions on it. The same at both ends.
//!
//! [`run`] reads, writes and asks for signs of life. Reading never waits for a session: what a session's own task has
//! not taken waits in its [`Inbox`], and a session that lets too much wait is cut off alone. Only where the other end
//! knows of no windows, and a session's [`Meter`] slows it down, reading waits for that: else the session would not slow
//! down but be cut off.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitSink, stream::SplitStream};
use rand::RngExt as _;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message as Frame,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    inbox::{Inbound, Inbox, Refused, Room},
    meter::Meter,
    session::Session,
    window::{self, Window},
    wire::{CreateSessionReply, MESSAGE_BYTES_MAX, Message, MessageType, read},
};

/// Messages that wait to be written, about 1 MiB: sessions wait for their turn.
const OUTBOX: usize = 64;
/// Messages that are written before what is more urgent is looked at.
const BATCH: usize = 64;
/// Pings that nobody answers before the other end counts as gone.
const MISSED_MAX: u32 = 3;
/// Time for the last word.
const GOODBYE: Duration = Duration::from_secs(1);
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;
/// Closes a node's link whose place a newer one with the same ID has taken.
const CLOSE_REPLACED: CloseCode = CloseCode::Library(4001);

/// How a link is run.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// How often a sign of life is asked for.
    pub ping: Duration,
    /// Sessions at once.
    pub sessions_max: usize,
    /// How much may wait of each session.
    pub room: Room,
    /// How many bytes of a session this end holds, as it said; less than there is room for.
    pub window: u32,
    /// How many the other end holds, if it said so; see [`crate::wire::FLOW_HEADER`].
    pub peer_window: Option<u32>,
}

impl LinkConfig {
    /// Reads what the other end says of itself.
    pub fn parse_window(text: &str) -> Option<u32> {
        window::parse(text)
    }
}

/// What a link's messages may hold.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Why a link ended.
#[derive(Debug, Error)]
pub enum LinkEnd {
    /// The other end closed it.
    #[error("the other end closed the connection")]
    Closed,
    /// Somebody newer has this node's place.
    #[error("another node with this ID has taken the place")]
    Replaced,
    /// It was to end.
    #[error("stopped")]
    Stopped,
    /// The other end does not live.
    #[error("the other end does not answer")]
    Silent,
    /// What came is no message.
    #[error("the other end sends what is no message")]
    Malformed,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    WebSocket(#[from] tungstenite::Error),
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// There are as many as may be.
    #[error("too many sessions")]
    Full,
    /// The link is gone.
    #[error("the connection is gone")]
    Gone,
    /// There is one with this ID.
    #[error("a session with this ID exists")]
    Taken,
}

/// What a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Who is told what a link itself does not handle. Called while it reads, so nothing here may wait.
pub trait Host {
    /// Something for a session that there is not.
    fn stranger(&mut self, message: Message);
    /// A session was cut off: more of it waited than may.
    fn overflow(&mut self);
}

/// A handle of a link.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    outbox: mpsc::Sender<Message>,
    slots: Mutex<Slots>,
    config: LinkConfig,
    /// Told when `Slots::ended` has something.
    ended: Notify,
    stop: CancellationToken,
    is_replaced: AtomicBool,
}

#[derive(Default)]
struct Slots {
    by_id: HashMap<String, Arc<Slot>>,
    /// Sessions of which the other end has not heard yet that they ended. They keep their places until then, so there
    /// are as many as there may be sessions, at most.
    ended: Vec<String>,
    is_gone: bool,
}

/// What a link knows of a session.
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) inbox: Inbox,
    pub(crate) window: Option<Window>,
    pub(crate) reply: Mutex<Option<oneshot::Sender<CreateSessionReply>>>,
    /// The other end has closed it, or it is lost: nothing can be sent any more.
    pub(crate) over: CancellationToken,
    /// The other end wants no word about its end.
    is_closed: AtomicBool,
}

/// What waits to be written; for [`run`].
pub struct Outgoing(mpsc::Receiver<Message>);

impl Link {
    /// A link that does nothing yet.
    pub fn new(config: LinkConfig, stop: CancellationToken) -> (Self, Outgoing) {
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let shared = Shared {
            outbox,
            slots: Mutex::default(),
            config,
            ended: Notify::new(),
            stop,
            is_replaced: AtomicBool::new(false),
        };
        (Self(Arc::new(shared)), Outgoing(outgoing))
    }

    /// Opens this end of a session. It ends when the [`Session`] is dropped.
    ///
    /// # Errors
    /// There is no room, or the link is gone.
    pub fn open(&self, id: &str, kind: Kind, meter: Arc<dyn Meter>) -> Result<Session, OpenError> {
        let window = self.0.config.peer_window.filter(|_| kind == Kind::Tcp).map(Window::new);
        let slot = Arc::new(Slot {
            kind,
            meter,
            inbox: Inbox::new(self.0.config.room.clone()),
            window,
            reply: Mutex::default(),
            over: CancellationToken::new(),
            is_closed: AtomicBool::new(false),
        });
        let mut slots = self.slots();
        if slots.is_gone {
            return Err(OpenError::Gone);
        }
        if slots.by_id.contains_key(id) {
            return Err(OpenError::Taken);
        }
        if slots.by_id.len() + slots.ended.len() >= self.0.config.sessions_max {
            return Err(OpenError::Full);
        }
        slots.by_id.insert(id.to_owned(), Arc::clone(&slot));
        drop(slots);
        Ok(Session::new(self.clone(), id.to_owned(), slot))
    }

    /// A session's task has ended. The other end hears of it after all that the session has sent.
    pub(crate) fn end_session(&self, id: &str, slot: &Slot) {
        let mut slots = self.slots();
        slots.by_id.remove(id);
        // Flows of datagrams end by silence at either end: there are POPs that fail when they hear of it.
        if slots.is_gone || slot.kind == Kind::Udp || slot.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let close = Message::new(MessageType::ProxySessionClose, id, Bytes::new());
        if let Err(mpsc::error::TrySendError::Full(close)) = self.0.outbox.try_send(close) {
            slots.ended.push(close.session_id);
            drop(slots);
            self.0.ended.notify_one();
        }
    }

    pub(crate) fn outbox(&self) -> &mpsc::Sender<Message> {
        &self.0.outbox
    }

    /// Whether the other end knows of windows.
    pub(crate) fn has_windows(&self) -> bool {
        self.0.config.peer_window.is_some()
    }

    /// How many bytes that were passed on are worth a word; none are where the other end would not understand.
    pub(crate) fn credit_step(&self) -> Option<u32> {
        self.0.config.peer_window.map(|_| (self.0.config.window / 4).max(1))
    }

    /// Sends a message that belongs to no session of this end, if there is room for it.
    pub fn try_send(&self, message: Message) {
        // The other end has flooded this one, and waits in vain for one answer.
        let _ = self.0.outbox.try_send(message);
    }

    /// Ends it.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Ends it and says that a newer one has its place.
    pub fn replace(&self) {
        self.0.is_replaced.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Sessions at the moment.
    pub fn sessions(&self) -> usize {
        self.slots().by_id.len()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to its session; how long the next one has to wait.
    fn deliver(&self, message: Message, host: &mut impl Host) -> Duration {
        let Some(slot) = self.slots().by_id.get(&message.session_id).cloned() else {
            host.stranger(message);
            return Duration::ZERO;
        };
        let mut wait = Duration::ZERO;
        match (MessageType::try_from(message.kind), slot.kind) {
            (Ok(MessageType::ProxySessionData), Kind::Tcp) => {
                if !self.has_windows() {
                    wait = slot.meter.inward(message.payload.len());
                }
                if slot.inbox.change(|inbound| inbound.extend(message.payload)) == Err(Refused::Full) {
                    slot.lose();
                    host.overflow();
                }
            }
            // A datagram that does not fit is lost, as elsewhere on its way.
            (Ok(MessageType::ProxyUdpData), Kind::Udp) => {
                let _ = slot.inbox.change(|inbound| inbound.push(message.payload));
            }
            (Ok(MessageType::ProxySessionHalfClose), Kind::Tcp) => slot.inbox.change(Inbound::finish),
            (Ok(MessageType::ProxySessionClose), _) => {
                slot.is_closed.store(true, Ordering::Relaxed);
                slot.inbox.change(Inbound::close);
                slot.end();
            }
            (Ok(MessageType::ProxySessionCreate), _) => {
                let waiting = slot.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
                match waiting.zip(read::<CreateSessionReply>(message.payload.clone()).ok()) {
                    // Who waited may have given up.
                    Some((waiting, reply)) => drop(waiting.send(reply)),
                    None => host.stranger(message),
                }
            }
            (Ok(MessageType::Command), Kind::Tcp) => {
                let bytes = message.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
                if let (Some(window), Some(bytes)) = (&slot.window, bytes) {
                    window.grant(bytes);
                }
            }
            // Of a newer version, or for a session of another kind.
            (Ok(_) | Err(_), _) => {}
        }
        wait
    }

    fn end(&self) {
        let slots = {
            let mut slots = self.slots();
            slots.is_gone = true;
            std::mem::take(&mut slots.by_id)
        };
        slots.values().for_each(|slot| slot.lose());
    }
}

impl Slot {
    fn lose(&self) {
        self.inbox.change(Inbound::lose);
        self.end();
    }

    fn end(&self) {
        self.over.cancel();
        if let Some(window) = &self.window {
            window.wake();
        }
    }
}

/// Serves a link to its end; then all its sessions are over.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    outgoing: Outgoing,
    socket: WebSocketStream<S>,
    host: &mut impl Host,
) -> LinkEnd {
    let (mut sink, mut frames) = socket.split();
    let life = Life::default();
    let (pings, pings_due) = mpsc::channel(1);
    let end = tokio::select! {
        end = receive(link, &mut frames, &life, host) => end,
        end = send(link, outgoing, pings_due, &mut sink) => end,
        end = watch(link, &pings, &life) => end,
    };
    link.end();
    let code = match end {
        LinkEnd::Stopped if link.0.is_replaced.load(Ordering::Relaxed) => Some(CLOSE_REPLACED),
        LinkEnd::Stopped => Some(CloseCode::Away),
        LinkEnd::Malformed => Some(CloseCode::Invalid),
        LinkEnd::Closed | LinkEnd::Replaced | LinkEnd::Silent | LinkEnd::WebSocket(_) => None,
    };
    let goodbye = code.map(|code| Frame::Close(Some(CloseFrame { code, reason: "".into() })));
    let _ = timeout(GOODBYE, async {
        match goodbye {
            Some(goodbye) => sink.send(goodbye).await,
            // What answers the other end's close.
            None => sink.flush().await,
        }
    })
    .await;
    end
}

/// Signs of life of the other end.
#[derive(Default)]
struct Life {
    /// Times it was asked since the last one.
    missed: AtomicU32,
    /// Nobody listens for them now.
    is_unheard: AtomicBool,
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    frames: &mut SplitStream<WebSocketStream<S>>,
    life: &Life,
    host: &mut impl Host,
) -> LinkEnd {
    while let Some(frame) = frames.next().await {
        life.missed.store(0, Ordering::Relaxed);
        match frame {
            Ok(Frame::Binary(bytes)) => {
                let Ok(message) = Message::read(bytes) else { return LinkEnd::Malformed };
                let wait = link.deliver(message, host);
                if !wait.is_zero() {
                    life.is_unheard.store(true, Ordering::Relaxed);
                    sleep(wait).await;
                    life.is_unheard.store(false, Ordering::Relaxed);
                }
            }
            // Pings are answered by the library.
            Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_)) => {}
            Ok(Frame::Text(_)) => return LinkEnd::Malformed,
            Ok(Frame::Close(Some(close))) if close.code == CLOSE_REPLACED => return LinkEnd::Replaced,
            Ok(Frame::Close(_)) => return LinkEnd::Closed,
            Err(error) => return error.into(),
        }
    }
    LinkEnd::Closed
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    Outgoing(mut outgoing): Outgoing,
    mut pings: mpsc::Receiver<[u8; 8]>,
    sink: &mut SplitSink<WebSocketStream<S>, Frame>,
) -> LinkEnd {
    let sending = async {
        loop {
            tokio::select! {
                // What is urgent first.
                biased;
                Some(ping) = pings.recv() => sink.feed(Frame::Ping(ping.to_vec().into())).await?,
                () = link.0.ended.notified() => {
                    let ended = std::mem::take(&mut link.slots().ended);
                    // What those sessions have sent is among these.
                    for _ in 0..OUTBOX {
                        let Ok(message) = outgoing.try_recv() else { break };
                        sink.feed(Frame::Binary(message.bytes())).await?;
                    }
                    for id in ended {
                        let close = Message::new(MessageType::ProxySessionClose, &id, Bytes::new());
                        sink.feed(Frame::Binary(close.bytes())).await?;
                    }
                }
                Some(message) = outgoing.recv() => {
                    sink.feed(Frame::Binary(message.bytes())).await?;
                    for _ in 1..BATCH {
                        let Ok(message) = outgoing.try_recv() else { break };
                        sink.feed(Frame::Binary(message.bytes())).await?;
                    }
                }
            }
            sink.flush().await?;
        }
    };
    let ended: Result<std::convert::Infallible, tungstenite::Error> = sending.await;
    match ended {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}

/// Asks for signs of life; anything that comes is one.
async fn watch(link: &Link, pings: &mpsc::Sender<[u8; 8]>, life: &Life) -> LinkEnd {
    let mut ticks = interval(link.0.config.ping);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = link.0.stop.cancelled() => return LinkEnd::Stopped,
            _ = ticks.tick() => {}
        }
        if life.is_unheard.load(Ordering::Relaxed) {
            continue;
        }
        if life.missed.fetch_add(1, Ordering::Relaxed) >= MISSED_MAX {
            return LinkEnd::Silent;
        }
        // One that waits behind what cannot be written is as good as this one.
        let _ = pings.try_send(rand::rng().random());
    }
}
