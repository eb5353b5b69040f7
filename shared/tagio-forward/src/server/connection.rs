//! One client, from its first packet to its end.
//!
//! What came by 0-RTT may be a recording that somebody sends again (RFC 9001, 9.2). A token may come so, as showing it
//! twice does nothing; targets are dialled, and datagrams passed on, only once the handshake is complete.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use noq::{Connection, PathId, RecvStream, SendStream, VarInt};
use socket2::{SockRef, TcpKeepalive};
use tagio_proxy::{BadTarget, DialError, Target};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, SemaphorePermit, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{Instrument, debug, debug_span};

use super::{ConnectionFacts, Doorkeeper, Inner, Refusal, datagrams, report, unmapped};
use crate::{
    pump::{self, Meter},
    wire::{self, Answer, Malformed, Reason, Request},
};

/// What a connection is closed with that may not come in.
const NOT_ADMITTED: VarInt = VarInt::from_u32(2);
/// How long somebody has to hear that they may not come in.
const LAST_WORD: Duration = Duration::from_secs(1);
/// A target that is gone without a word is noticed after this time and some more.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// Whether a client may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Undecided,
    Granted,
    Denied,
}

/// What others see of a client that was let in.
pub(super) struct Seen {
    id: u64,
    connection: Connection,
    since: Instant,
    meter: Meter,
}

/// One client.
pub(super) struct Visit<D> {
    pub(super) inner: Arc<Inner<D>>,
    pub(super) seen: Arc<Seen>,
    ip: IpAddr,
    access: watch::Sender<Access>,
}

pub(super) async fn serve<D: Doorkeeper>(inner: Arc<Inner<D>>, incoming: noq::Incoming) {
    let ip = unmapped(incoming.remote_address()).ip();
    let Some(pass) = inner.doorkeeper.knock(ip) else {
        inner.counters.refuse(Refusal::Clients);
        return incoming.refuse();
    };
    let Ok(handshake) = inner.handshakes.try_acquire() else {
        inner.counters.refuse(Refusal::Clients);
        return incoming.refuse();
    };
    let Ok(connecting) = incoming.accept() else { return };
    // A server may always use a connection before its handshake is done.
    let Ok((connection, _)) = connecting.into_0rtt() else { return };
    let id = inner.ids.fetch_add(1, Ordering::Relaxed);
    let access = if inner.doorkeeper.wants_token() { Access::Undecided } else { Access::Granted };
    let seen = Seen { id, connection: connection.clone(), since: Instant::now(), meter: Meter::default() };
    let visit =
        Visit { inner: Arc::clone(&inner), seen: Arc::new(seen), ip, access: watch::Sender::new(access) };
    let visit = Arc::new(visit);
    let span = debug_span!("forward", id);
    async {
        debug!("client");
        tokio::select! {
            () = run(&visit, &pass, handshake) => {}
            reason = connection.closed() => debug!(%reason, "client gone"),
        }
    }
    .instrument(span)
    .await;
    inner.lock_connections().retain(|other| other.id != id);
}

/// Serves streams until the connection is to be closed. Dropping it ends them.
async fn run<D: Doorkeeper>(visit: &Arc<Visit<D>>, pass: &D::Pass, handshake: SemaphorePermit<'_>) {
    let connection = &visit.seen.connection;
    let mut tasks = JoinSet::new();
    let mut draining = visit.inner.draining.subscribe();
    let mut entering = Box::pin(visit.enter(handshake));
    let mut is_in = false;
    let mut datagrams = JoinSet::new();
    loop {
        tokio::select! {
            admitted = &mut entering, if !is_in => {
                is_in = admitted;
                if !is_in {
                    visit.inner.counters.refuse(Refusal::Token);
                    let _ = timeout(LAST_WORD, async { while tasks.join_next().await.is_some() {} }).await;
                    return connection.close(NOT_ADMITTED, b"not admitted");
                }
                visit.inner.doorkeeper.establish(pass);
                connection.set_max_concurrent_bi_streams(visit.inner.limits.streams_per_client_max.into());
                visit.inner.lock_connections().push(Arc::clone(&visit.seen));
                datagrams.spawn(datagrams::run(Arc::clone(visit)));
            }
            accepted = connection.accept_bi() => match accepted {
                Ok(stream) => drop(tasks.spawn(serve_stream(Arc::clone(visit), stream).in_current_span())),
                Err(_) => return,
            },
            Some(ended) = tasks.join_next() => report(ended),
            // With what is under way done; then the next look is at an empty set again.
            () = stopping(&mut draining), if tasks.is_empty() => {
                return connection.close(super::STOPPING, b"the server stops");
            }
        }
    }
}

/// Waits until the server takes no more work.
async fn stopping(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        // The server is gone, and this task in a moment.
        std::future::pending::<()>().await;
    }
}

async fn serve_stream<D: Doorkeeper>(
    visit: Arc<Visit<D>>,
    (mut send, mut receive): (SendStream, RecvStream),
) {
    let request = timeout(visit.inner.limits.opening, wire::read_request(&mut receive)).await;
    let answer = match request.unwrap_or(Err(Malformed)) {
        Ok(Request::Token(token)) => visit.look_at(&token),
        Ok(Request::Tcp(target)) => match visit.dial(target, &send).await {
            Ok((mut socket, _permit)) => return visit.carry(&mut socket, send, receive).await,
            Err(reason) => Answer::Failed(Some(reason)),
        },
        Err(Malformed) => {
            visit.inner.counters.refuse(Refusal::Malformed);
            Answer::Failed(Some(Reason::BadRequest))
        }
    };
    // A client that is gone hears nothing.
    if send.write_all(&answer.bytes()).await.is_ok() && send.finish().is_ok() {
        let _ = timeout(LAST_WORD, send.stopped()).await;
    }
}

impl<D: Doorkeeper> Visit<D> {
    /// Whether it shows in time that it may come in.
    async fn enter(&self, handshake: SemaphorePermit<'_>) -> bool {
        let entered = timeout(self.inner.limits.opening, async {
            let is_there = self.seen.connection.authenticated().await.is_ok();
            drop(handshake);
            is_there && self.is_granted().await
        });
        entered.await.unwrap_or(false)
    }

    async fn is_granted(&self) -> bool {
        let mut access = self.access.subscribe();
        let decided = access.wait_for(|access| *access != Access::Undecided).await;
        decided.is_ok_and(|access| *access == Access::Granted)
    }

    /// The first token decides.
    fn look_at(&self, token: &[u8]) -> Answer {
        self.access.send_if_modified(|access| {
            let is_open = *access == Access::Undecided;
            if is_open {
                let admitted = self.inner.doorkeeper.admits(self.ip, token);
                *access = if admitted { Access::Granted } else { Access::Denied };
            }
            is_open
        });
        match *self.access.borrow() {
            Access::Granted => Answer::Done,
            Access::Undecided | Access::Denied => Answer::Failed(Some(Reason::NotAllowed)),
        }
    }

    /// Connects for a client that may do so, and is still there.
    async fn dial(
        &self,
        target: Result<Target, BadTarget>,
        send: &SendStream,
    ) -> Result<(TcpStream, OwnedSemaphorePermit), Reason> {
        let inner = &self.inner;
        let may_dial = timeout(inner.limits.opening, async {
            self.is_granted().await && self.seen.connection.authenticated().await.is_ok()
        });
        if !may_dial.await.unwrap_or(false) {
            return Err(Reason::NotAllowed);
        }
        inner.counters.streams.fetch_add(1, Ordering::Relaxed);
        let target = target.map_err(|_| {
            inner.counters.refuse(Refusal::Malformed);
            Reason::BadRequest
        })?;
        let permit = Arc::clone(&inner.streams).try_acquire_owned();
        let (Ok(permit), false) = (permit, *inner.draining.borrow()) else {
            inner.counters.refuse(Refusal::Streams);
            return Err(Reason::Unreachable);
        };
        let connected = tokio::select! {
            connected = inner.dialer.connect(&target) => connected,
            // It does not wait any more.
            _ = send.stopped() => Err(DialError::Unavailable),
        };
        match connected {
            Ok(socket) => Ok((socket, permit)),
            Err(error) => {
                if error == DialError::NotAllowed {
                    inner.counters.refuse(Refusal::Target);
                }
                debug!(%error, "not connected");
                Err(error.into())
            }
        }
    }

    async fn carry(&self, socket: &mut TcpStream, mut send: SendStream, mut receive: RecvStream) {
        // A socket that refuses is dying.
        let _ = socket.set_nodelay(true);
        let _ = SockRef::from(&*socket).set_tcp_keepalive(&KEEPALIVE);
        if send.write_all(&Answer::Done.bytes()).await.is_err() {
            return;
        }
        let meters = [&self.inner.meter, &self.seen.meter];
        if let Err(error) = pump::join(socket, (&mut send, &mut receive), &meters).await {
            debug!(%error, "a connection broke");
        }
    }
}

impl Seen {
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn facts(&self) -> ConnectionFacts {
        let path = self.connection.path(PathId::ZERO);
        ConnectionFacts {
            id: self.id,
            addr: path.and_then(|path| path.remote_address().ok()).map(unmapped),
            age: self.since.elapsed(),
            rtt: self.connection.rtt(PathId::ZERO),
            bytes_received: self.meter.received.load(Ordering::Relaxed),
            bytes_sent: self.meter.sent.load(Ordering::Relaxed),
        }
    }
}
