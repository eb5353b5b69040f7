//! The client's end: a connection that is kept, and what it offers to the doors of `tagio-proxy`.

mod backoff;
mod connecting;
mod datagrams;
mod outlet;
mod trust;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use noq::Connection;
use rand::RngExt;
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use zeroize::Zeroizing;

pub use outlet::{Associated, TunnelOutlet};
pub use trust::{BadTrust, Trust};

use backoff::Backoff;
use connecting::Connector;
use datagrams::Routes;

/// A connection that lasted so long was a good one: the next try after it comes soon.
const GOOD: Duration = Duration::from_secs(10);
/// How long a program's connection waits for a tunnel that is down: a server restarts in less.
const WAIT_FOR_TUNNEL: Duration = Duration::from_secs(15);

/// What a client needs to know.
#[derive(Clone)]
pub struct ClientConfig {
    /// Name or address of the server.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
    /// The name that its certificate is to have; `host` where none is given.
    pub server_name: Option<String>,
    /// Which certificates are good.
    pub trust: Trust,
    /// What the server asks for; at most [`TOKEN_BYTES_MAX`](crate::wire::TOKEN_BYTES_MAX) bytes.
    pub token: Option<Zeroizing<String>>,
    /// A sign of life after so much silence.
    pub keep_alive: Duration,
}

/// What happens to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// It stands.
    Up {
        /// Round trip.
        rtt: Duration,
    },
    /// It does not; the client tries again.
    Down(String),
}

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TunnelError {
    /// The server's name has no address.
    #[error("nobody knows the name {0}")]
    UnknownName(String),
    /// No socket, or no way.
    #[error("no way to the server: {0}")]
    Network(String),
    /// Nobody answers by QUIC.
    #[error("the server does not answer; is UDP let through, and is the tunnel turned on there (--forward)?")]
    Silent,
    /// It is somebody else, or nobody can tell.
    #[error("the server's certificate is not trusted ({0}); give --ca FILE or --pin SHA256, or --insecure")]
    Certificate(String),
    /// The server does not want this client.
    #[error("the server does not take the token; give the right one with --token")]
    Token,
    /// The connection broke.
    #[error("the connection ended: {0}")]
    Lost(String),
}

impl TunnelError {
    /// Whether there is no sense in trying again.
    fn is_final(&self) -> bool {
        match self {
            Self::Certificate(_) | Self::Token => true,
            Self::UnknownName(_) | Self::Network(_) | Self::Silent | Self::Lost(_) => false,
        }
    }
}

/// A tunnel that stands again when it has fallen. Clones are the same one.
#[derive(Clone)]
pub struct Tunnel {
    current: watch::Receiver<Option<Arc<Live>>>,
}

/// One connection of a tunnel.
pub(crate) struct Live {
    pub(crate) connection: Connection,
    pub(crate) routes: Mutex<Routes>,
}

/// Connects once and shows the token: the round trip.
///
/// # Errors
/// Why there is no tunnel.
pub async fn test(config: &ClientConfig) -> Result<Duration, TunnelError> {
    let connector = Connector::new(config)?;
    let connection = connector.connect().await?;
    let rtt = connection.rtt(noq::PathId::ZERO).unwrap_or_default();
    connector.close(&connection).await;
    Ok(rtt)
}

impl Tunnel {
    /// A tunnel, and the future that keeps it: it ends only by being dropped, or with what trying again would not mend.
    /// Events that nobody takes are waited for.
    ///
    /// # Errors
    /// No socket, or nothing to check certificates with.
    pub fn new(
        config: &ClientConfig,
        events: mpsc::Sender<ClientEvent>,
    ) -> Result<(Self, impl Future<Output = TunnelError> + Send + use<>), TunnelError> {
        let connector = Connector::new(config)?;
        let (sender, current) = watch::channel(None);
        Ok((Self { current }, keep(connector, sender, events)))
    }

    /// The connection, once it stands.
    async fn live(&self) -> Option<Arc<Live>> {
        let mut current = self.current.clone();
        let live = tokio::time::timeout(WAIT_FOR_TUNNEL, current.wait_for(Option::is_some)).await;
        live.ok()?.ok()?.clone()
    }

    /// The connection, if it stands.
    fn live_now(&self) -> Option<Arc<Live>> {
        self.current.borrow().clone()
    }
}

async fn keep(
    connector: Connector,
    current: watch::Sender<Option<Arc<Live>>>,
    events: mpsc::Sender<ClientEvent>,
) -> TunnelError {
    let mut backoff = Backoff::default();
    let mut stood = false;
    loop {
        let problem = match connector.connect().await {
            Ok(connection) => {
                stood = true;
                let since = Instant::now();
                let rtt = connection.rtt(noq::PathId::ZERO).unwrap_or_default();
                let live = Arc::new(Live { connection, routes: Mutex::default() });
                current.send_replace(Some(Arc::clone(&live)));
                // Nobody listens any more: then nobody has to know.
                let _ = events.send(ClientEvent::Up { rtt }).await;
                let reason = tokio::select! {
                    reason = live.connection.closed() => reason.to_string(),
                    reason = datagrams::distribute(&live) => reason,
                    reason = connector.watch_network(&live.connection) => reason,
                };
                current.send_replace(None);
                if since.elapsed() >= GOOD {
                    backoff = Backoff::default();
                }
                reason
            }
            Err(error) if error.is_final() && !stood => return error,
            Err(error) => error.to_string(),
        };
        let _ = events.send(ClientEvent::Down(problem)).await;
        let pause = backoff.next(rand::rng().random());
        sleep(pause).await;
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        f.debug_struct("ClientConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("server_name", &self.server_name)
            .field("trust", &self.trust)
            .field("token", &token)
            .finish_non_exhaustive()
    }
}
