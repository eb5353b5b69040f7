//! Doors for programs that speak SOCKS5 or HTTP to a proxy.
//!
//! A door that others than this machine can reach asks for a password, or is not opened.

mod http;
mod socks;
mod sources;

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::{Credentials, DialError, Target};
use sources::{Place, Sources};

/// Pause when the system has no file descriptor left: others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Before somebody hears that a password is wrong, so that guessing one takes long.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_secs(1);
/// A program that is gone without a word is noticed after this time and some more.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// A way out for what comes in by a door.
pub trait Outlet: Send + Sync + 'static {
    /// Somebody who was let in.
    type Client: Send + Sync;
    /// A connection to a target.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Datagrams to and from targets.
    type Datagrams: Datagrams;

    /// Whether a door asks for name and password. Doors on loopback alone may do without.
    fn wants_password(&self) -> bool;

    /// Lets somebody in, or not. Called for each connection, and for each request by HTTP.
    fn admit(&self, peer: Peer<'_>) -> Option<Self::Client>;

    /// Counts somebody who was turned away before they were asked for anything.
    fn turned_away(&self, _why: TurnedAway) {}

    /// Connects to `target`. Has a time-out of its own.
    fn connect(
        &self,
        client: &Self::Client,
        target: &Target,
    ) -> impl Future<Output = Result<Self::Stream, DialError>> + Send;

    /// Prepares for datagrams of one client, until it is dropped.
    fn datagrams(
        &self,
        client: &Self::Client,
    ) -> impl Future<Output = Result<Self::Datagrams, DialError>> + Send;

    /// Moves bytes until both directions have ended, each by itself. `early` came from `socket` first.
    fn carry(
        &self,
        mut socket: TcpStream,
        early: Bytes,
        mut stream: Self::Stream,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let carried = async {
                stream.write_all(&early).await?;
                copy_bidirectional(&mut socket, &mut stream).await
            };
            let carried = carried.await;
            if carried.is_err() {
                // A reset, so that the program does not take an accident for the end of a file.
                let _ = socket.set_zero_linger();
            }
            carried.map(drop)
        }
    }
}

/// Datagrams of one client. Nothing waits for anybody: what cannot be sent at once is dropped.
pub trait Datagrams: Send + Sync {
    /// Sends one.
    fn send(&self, target: &Target, payload: Bytes);

    /// The next one, and where it comes from, named as when it was sent there; `None` when there will be no more.
    /// Nothing is lost when this is dropped while it waits.
    fn receive(&self) -> impl Future<Output = Option<(Target, Bytes)>> + Send;
}

/// Who knocks.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Where they are.
    pub addr: SocketAddr,
    /// What they show.
    pub shown: Option<&'a Credentials>,
}

/// Why a connection is closed as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// The door has as many as it may have.
    Full,
    /// Too many from the same source have not shown yet who they are.
    Source,
}

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// SOCKS 5 (RFC 1928): `CONNECT` and `UDP ASSOCIATE`.
    Socks5,
    /// HTTP: `CONNECT` and requests for `http:` addresses (RFC 9110, RFC 9112).
    Http,
}

/// Bounds of one door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontLimits {
    /// Connections at once; more are closed as they come.
    pub connections_max: usize,
    /// Of them from one source (IPv6: one /64) that have not shown yet who they are, where a password is wanted; more
    /// are closed as they come.
    pub openings_per_source_max: usize,
    /// UDP associations among them: each has a socket of its own.
    pub associations_max: usize,
    /// How long somebody may take to say what they want; by HTTP, until the end of each request's head.
    pub opening: Duration,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            // Two sockets each, within the usual 65 536 file descriptors.
            connections_max: 16_384,
            // Openings are done in three round trips: an office's burst fits, and 32 sources are needed to fill a door.
            openings_per_source_max: 512,
            // A program's name service is done in a second.
            associations_max: 1_024,
            opening: Duration::from_secs(10),
        }
    }
}

/// Why a door was not opened.
#[derive(Debug, Error)]
pub enum FrontError {
    /// Everybody could use it.
    #[error("{0} can be reached by others: set a user name and a password, or listen on 127.0.0.1")]
    NeedsPassword(SocketAddr),
    /// The system does not give the address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
}

/// A door, before anybody is served.
pub struct Front<O> {
    listener: TcpListener,
    addr: SocketAddr,
    door: Door,
    shared: Arc<Shared<O>>,
}

/// What all connections of a door share.
struct Shared<O> {
    outlet: Arc<O>,
    limits: FrontLimits,
    associations: Arc<Semaphore>,
    sources: Sources,
}

impl<O: Outlet> Front<O> {
    /// Listens at `addr`.
    ///
    /// # Errors
    /// The address is taken, or not this machine's alone while the outlet asks for no password.
    pub async fn bind(
        addr: SocketAddr,
        door: Door,
        outlet: Arc<O>,
        limits: FrontLimits,
    ) -> Result<Self, FrontError> {
        if !is_local(addr.ip()) && !outlet.wants_password() {
            return Err(FrontError::NeedsPassword(addr));
        }
        let failed = |error| FrontError::Listen(addr, error);
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let associations = Arc::new(Semaphore::new(limits.associations_max));
        let shared = Shared { outlet, limits, associations, sources: Sources::default() };
        Ok(Self { listener, addr, door, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets clients in until `stop`, and serves them until they have ended. Dropping it ends them.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, door, shared, .. } = self;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match shared.enter(connections.len(), peer) {
                        Ok(place) => drop(connections.spawn(serve(Arc::clone(&shared), door, stream, peer, place))),
                        Err(why) => {
                            debug!(%peer, ?why, "turned away");
                            shared.outlet.turned_away(why);
                        }
                    },
                    Err(error) => {
                        debug!(%error, "accept");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => report(ended),
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    }
}

impl<O: Outlet> Shared<O> {
    /// Whether there is room for somebody beside `connected` others; a place where they have to show who they are.
    fn enter(&self, connected: usize, peer: SocketAddr) -> Result<Option<Place>, TurnedAway> {
        if connected >= self.limits.connections_max {
            return Err(TurnedAway::Full);
        }
        if !self.outlet.wants_password() {
            return Ok(None);
        }
        let place = self.sources.enter(peer.ip(), self.limits.openings_per_source_max);
        place.map(Some).ok_or(TurnedAway::Source)
    }
}

/// Whether only this machine reaches the address.
fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

async fn serve<O: Outlet>(
    shared: Arc<Shared<O>>,
    door: Door,
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<Place>,
) {
    // A socket that refuses is dying.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let served = match door {
        Door::Socks5 => socks::serve(&shared, stream, peer, place).await,
        Door::Http => http::serve(&shared, stream, peer, place).await,
    };
    if let Err(error) = served {
        debug!(%peer, %error, "connection closed");
    }
}

/// A panic ends its own connection only, and is a bug worth a line.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection's task panicked");
    }
}
