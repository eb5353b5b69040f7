//! Resolves a target, asks the policy about each address, and connects to just those.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{Host, Target, TargetPolicy};

/// Names that are looked up at once. Each takes a thread of the runtime's 512, also when nobody waits for it any more.
const LOOKUPS_MAX: usize = 128;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// An address that has not answered after this time has a rival (RFC 8305, 5).
const RIVAL_AFTER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialError {
    /// The target does not take connections there.
    #[error("the target refuses the connection")]
    Refused,
    /// There is no way to it.
    #[error("the target cannot be reached")]
    Unreachable,
    /// It did not answer in time.
    #[error("the target does not answer")]
    TimedOut,
    /// Whoever owns the way out does not want it used for this.
    #[error("this target is not allowed")]
    NotAllowed,
    /// It is no target.
    #[error("that is no target")]
    BadTarget,
    /// The name has no address.
    #[error("nobody knows this name")]
    UnknownName,
    /// The way out is closed, or full.
    #[error("there is no way out now")]
    Unavailable,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            // No file descriptor, no port.
            io::ErrorKind::OutOfMemory | io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => {
                Self::Unavailable
            }
            _ if error.raw_os_error().is_some_and(is_out_of_files) => Self::Unavailable,
            _ => Self::Unreachable,
        }
    }
}

/// `EMFILE` and `ENFILE`, which have no [`io::ErrorKind`].
fn is_out_of_files(code: i32) -> bool {
    cfg!(unix) && matches!(code, 23 | 24)
}

/// Dials for others. Clones share its bounds.
#[derive(Clone, Debug)]
pub struct Dialer {
    policy: Arc<TargetPolicy>,
    patience: Duration,
    lookups: Arc<Semaphore>,
}

impl Dialer {
    /// Dials what `policy` allows; an attempt, with its look-up, ends after `patience`.
    pub fn new(policy: TargetPolicy, patience: Duration) -> Self {
        Self { policy: Arc::new(policy), patience, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// Connects to the first address of `target` that is allowed and answers.
    ///
    /// # Errors
    /// What the last address said; [`DialError::NotAllowed`] where none may be tried.
    pub async fn connect(&self, target: &Target) -> Result<TcpStream, DialError> {
        let connected = timeout(self.patience, async { race(self.resolve(target).await?).await });
        connected.await.map_err(|_| DialError::TimedOut)?
    }

    /// A UDP socket that is connected to the first address of `target` that is allowed, so that it hears nobody else.
    ///
    /// # Errors
    /// As [`Dialer::connect`].
    pub async fn connect_udp(&self, target: &Target) -> Result<UdpSocket, DialError> {
        let resolved = timeout(self.patience, self.resolve(target)).await;
        let mut failure = DialError::Unreachable;
        for addr in resolved.map_err(|_| DialError::TimedOut)?? {
            match open_udp(addr).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    /// The addresses of `target` that may be dialled; never none.
    async fn resolve(&self, target: &Target) -> Result<VecDeque<SocketAddr>, DialError> {
        let found = match &target.host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, target.port)],
            Host::Name(name) => self.look_up(name, target.port).await?,
        };
        if found.is_empty() {
            return Err(DialError::UnknownName);
        }
        let allowed: Vec<_> = found.into_iter().filter(|addr| self.policy.allows(addr.ip())).collect();
        if allowed.is_empty() {
            return Err(DialError::NotAllowed);
        }
        Ok(interleaved(allowed))
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let permit = permit.map_err(|_| DialError::Unavailable)?;
        let name = name.to_owned();
        let found = spawn_blocking(move || {
            // Held for as long as the thread is.
            let _permit = permit;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        found.await.map_err(|_| DialError::Unavailable)?.map_err(|_| DialError::UnknownName)
    }
}

/// Address families in turns, the resolver's first one first (RFC 8305, 4).
fn interleaved(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = VecDeque::new();
    while mixed.len() < ADDRESSES_MAX {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        mixed.extend(pair.into_iter().flatten());
    }
    mixed.truncate(ADDRESSES_MAX);
    mixed
}

/// The first connection of several attempts, each begun a little after the one before, or as soon as that has failed.
async fn race(mut addrs: VecDeque<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut attempts = JoinSet::new();
    let mut failure = DialError::Unreachable;
    loop {
        if let Some(addr) = addrs.pop_front() {
            attempts.spawn(TcpStream::connect(addr));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => failure = error.into(),
                Some(Err(_)) => {}
                None => return Err(failure),
            },
            () = sleep(RIVAL_AFTER), if !addrs.is_empty() => {}
        }
    }
}

async fn open_udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}
