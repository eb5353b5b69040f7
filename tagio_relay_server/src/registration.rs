//! The length-prefixed protocol: a client registers a name, learns its public address, and looks others up, who hear
//! of it.
//!
//! The rules are `tagio_relay_core::registrations`, the bytes in its `wire`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tagio_relay_core::{
    Denial, Denials, Limits,
    messages::{Bounds, Framing},
    registrations::{
        RegistrationId, Registrations,
        wire::{Answer, LOOK_UP, Name, SECRET_BYTES_MAX},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::timeout_at,
};
use tracing::debug;

use crate::{
    access,
    connection::Visitor,
    lock::lock,
    messages::line::{Line, stalled, turn_away},
    shared::Shared,
};

/// Silence after which the system asks a registered client's one whether it is there: the protocol has no ping.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// How often it asks until it gives up, with [`KEEPALIVE_TRIES`].
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;

/// The names of one relay.
pub(crate) struct Registry(Mutex<Registrations<Arc<Line>>>);

impl Registry {
    pub(crate) fn new(limits: Limits, denials: Arc<Denials>) -> Self {
        Self(Mutex::new(Registrations::new(limits, denials)))
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        lock(&self.0).set_limits(limits);
    }

    pub(crate) fn handle_timeout(&self) {
        lock(&self.0).handle_timeout(std::time::Instant::now());
    }

    /// How many names are registered.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Has the system notice when a registered client is gone without a word.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_TRIES);
    #[cfg(windows)]
    let _ = KEEPALIVE_TRIES;
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        debug!(%error, "no keep-alive");
    }
}

/// Serves a connection that began with a name's length.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    visitor: Visitor,
) -> Result<(), Denial> {
    let (mut read, mut write) = tokio::io::split(stream);
    let opening = timeout_at(visitor.deadline, let_in(shared, &visitor, &mut read)).await;
    let registered = match opening.map_err(|_| Denial::OpeningDeadline)? {
        Ok(registered) => registered,
        Err(denial) => {
            let answer = match denial {
                Denial::WrongSecret | Denial::WrongSecretRate => Some(Answer::WrongSecret),
                Denial::RegistrationTaken => Some(Answer::Taken),
                _ => None,
            };
            if let Some(answer) = answer {
                turn_away(read, write, &answer.bytes(), shared.limits().write_stall()).await;
            }
            return Err(denial);
        }
    };
    visitor.pass.establish();
    registered.say(&Answer::Registered(visitor.peer))?;
    let writing = registered.line.write_to(&mut write, shared.limits().write_stall());
    tokio::pin!(writing);
    let received = tokio::select! {
        received = receive(&registered, &visitor, &mut read) => received,
        written = &mut writing => return stalled(written),
    };
    registered.line.finish();
    let written = stalled(writing.await);
    received.and(written)
}

/// A held name; given back when it is dropped.
struct Registered {
    shared: Arc<Shared>,
    id: RegistrationId,
    name: Name,
    line: Arc<Line>,
}

impl Registered {
    /// A client that does not read what it is told is let go.
    fn say(&self, answer: &Answer<'_>) -> Result<(), Denial> {
        self.line.push_raw(&answer.bytes()).map_err(|_| Denial::RegistrationQueueFull)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.shared.registrations.0).leave(self.id, &self.name);
    }
}

/// Reads name and secret, and registers the one if the other is good.
async fn let_in(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    read: &mut (impl AsyncRead + Unpin),
) -> Result<Registered, Denial> {
    if lock(&shared.hub).is_draining() {
        return Err(Denial::Draining);
    }
    let name = read_name(read).await?.ok_or(Denial::OpeningAborted)?;
    if shared.auth().is_some() {
        let secret = read_text(read, |len| len as usize <= SECRET_BYTES_MAX).await?;
        let secret = secret.ok_or(Denial::OpeningAborted)?;
        access::check_secret(shared, str::from_utf8(&secret).ok(), visitor.pass.net())?;
    }
    let limits = shared.limits();
    let bounds = Bounds {
        own_bytes_max: limits.registration_queue_bytes_max as usize,
        all_bytes_max: limits.tagio_queues_bytes_max as usize,
    };
    let line = shared.messages.line(Framing::Bare, bounds);
    let registered = lock(&shared.registrations.0).register(name.clone(), visitor.peer, Arc::clone(&line))?;
    if let Some(older) = registered.replaced {
        older.cut();
    }
    Ok(Registered { shared: Arc::clone(shared), id: registered.id, name, line })
}

/// Answers questions until the client is gone.
async fn receive(
    registered: &Registered,
    visitor: &Visitor,
    read: &mut (impl AsyncRead + Unpin),
) -> Result<(), Denial> {
    while let Ok(kind) = read.read_u32().await {
        if kind != LOOK_UP {
            return Err(Denial::RegistrationMalformed);
        }
        let Some(name) = read_name(read).await? else { break };
        let now = std::time::Instant::now();
        let found = lock(&registered.shared.registrations.0).look_up(registered.id, visitor.peer, &name, now);
        let (addr, tell) = found.map_or((None, None), |found| (Some(found.addr), found.tell));
        registered.say(&Answer::Found { name: &name, addr })?;
        let wanted = Answer::Wanted { by: &registered.name, addr: visitor.peer };
        // One that does not read misses the news; its own connection deals with that.
        if tell.is_some_and(|line| line.push(&[&wanted.bytes()]).is_err()) {
            registered.shared.denials.count(Denial::RegistrationQueueFull);
        }
    }
    Ok(())
}

async fn read_name(read: &mut (impl AsyncRead + Unpin)) -> Result<Option<Name>, Denial> {
    let Some(bytes) = read_text(read, Name::fits).await? else { return Ok(None) };
    Name::new(bytes).map(Some).map_err(|_| Denial::RegistrationMalformed)
}

/// Reads a text whose length `fits`; `None` when the connection ends.
async fn read_text(
    read: &mut (impl AsyncRead + Unpin),
    fits: impl FnOnce(u32) -> bool,
) -> Result<Option<Vec<u8>>, Denial> {
    let Ok(len) = read.read_u32().await else { return Ok(None) };
    if !fits(len) {
        return Err(Denial::RegistrationMalformed);
    }
    let mut bytes = vec![0; len as usize];
    Ok(read.read_exact(&mut bytes).await.is_ok().then_some(bytes))
}
