//! How a client gets to its relay and learns who it is: by QUIC or TLS, whichever answers first, or by bare TCP.

use std::{fmt, io, net::SocketAddr, time::Duration};

use noq::{Connection, Endpoint};
use tagio_wire::{
    PublicKey,
    tunnel::{GREETING_REPLY_BYTES, TunnelPreface},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tracing::debug;

use super::{AttemptError, ClientConfig};
use crate::{
    greeting::{Binding, Greeting, GreetingHash},
    stream::{Stream, quic, tls::SessionTls},
    tuning,
};

/// QUIC is alone for so long: TLS starts when a round trip should be over.
const HEAD_START: Duration = Duration::from_millis(250);

/// What a tunnel may travel in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarrierChoice {
    /// QUIC or TLS, whichever answers first; QUIC is asked a moment earlier.
    #[default]
    Auto,
    /// QUIC only.
    Quic,
    /// TLS only.
    Tls,
    /// Bare TCP: everybody on the way can read along. The fastest in one place that one trusts.
    Tcp,
}

/// What a tunnel travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A QUIC connection.
    Quic,
    /// TLS connections.
    Tls,
    /// Bare TCP connections.
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "QUIC",
            Self::Tls => "TLS",
            Self::Tcp => "bare TCP",
        })
    }
}

/// A relay that has proven a key.
pub(super) struct Met {
    /// The control connection, after the greeting.
    pub(super) stream: Stream,
    pub(super) way: Way,
    pub(super) relay_key: PublicKey,
    pub(super) hash: GreetingHash,
}

/// How visitors get here.
pub(super) enum Way {
    /// By connections that this side makes ahead.
    Dialled { at: SocketAddr, tls: Option<SessionTls> },
    /// By streams that the relay opens.
    Quic { _endpoint: Endpoint, connection: Connection },
}

impl Way {
    pub(super) fn carrier(&self) -> Carrier {
        match self {
            Self::Dialled { tls: None, .. } => Carrier::Tcp,
            Self::Dialled { tls: Some(_), .. } => Carrier::Tls,
            Self::Quic { .. } => Carrier::Quic,
        }
    }
}

/// Connects as `config` wants, and hears the relay's greeting.
pub(super) async fn meet(config: &ClientConfig) -> Result<Met, AttemptError> {
    match config.carrier {
        CarrierChoice::Auto => race(config).await,
        CarrierChoice::Quic => meet_by(config, Carrier::Quic).await,
        CarrierChoice::Tls => meet_by(config, Carrier::Tls).await,
        CarrierChoice::Tcp => meet_by(config, Carrier::Tcp).await,
    }
}

async fn race(config: &ClientConfig) -> Result<Met, AttemptError> {
    let by_quic = meet_by(config, Carrier::Quic);
    let by_tls = meet_by(config, Carrier::Tls);
    tokio::pin!(by_quic, by_tls);
    match timeout(HEAD_START, &mut by_quic).await {
        Ok(Ok(met)) => return Ok(met),
        Ok(Err(error)) => {
            debug!(%error, "no QUIC");
            return by_tls.await;
        }
        Err(_) => {}
    }
    tokio::select! {
        met = &mut by_quic => match met {
            Ok(met) => Ok(met),
            Err(_) => by_tls.await,
        },
        met = &mut by_tls => match met {
            Ok(met) => Ok(met),
            // The word of TLS says more than that QUIC has no answer either.
            Err(error) => by_quic.await.map_err(|_| error),
        },
    }
}

async fn meet_by(config: &ClientConfig, carrier: Carrier) -> Result<Met, AttemptError> {
    let (mut stream, binding, way) = connect(config, carrier).await.map_err(AttemptError::Connect)?;
    let (greeting, message) = Greeting::ask(binding);
    let mut reply = [0; GREETING_REPLY_BYTES];
    let exchanged = async {
        stream.write_all(&[&TunnelPreface::Control.bytes()[..], &message].concat()).await?;
        stream.flush().await?;
        stream.read_exact(&mut reply).await
    };
    exchanged.await.map_err(AttemptError::Connect)?;
    let (relay_key, hash) = greeting.hear(&reply)?;
    if config.key.is_some_and(|key| key != relay_key) {
        return Err(AttemptError::NotTheRelay);
    }
    Ok(Met { stream, way, relay_key, hash })
}

async fn connect(config: &ClientConfig, carrier: Carrier) -> io::Result<(Stream, Binding, Way)> {
    if carrier == Carrier::Quic {
        let (endpoint, connection) = connect_quic(config).await?;
        let stream = quic::open(&connection).await?;
        quic::prioritise(&stream);
        let binding = quic::binding(&connection)?;
        return Ok((stream, Some(binding), Way::Quic { _endpoint: endpoint, connection }));
    }
    let stream = TcpStream::connect((config.host.as_str(), config.port)).await?;
    tuning::tune(&stream);
    let at = stream.peer_addr()?;
    let tls = (carrier == Carrier::Tls).then(|| SessionTls::new(&config.host));
    let stream = wrap(stream, tls.as_ref()).await?;
    let binding = stream.binding()?;
    Ok((stream, binding, Way::Dialled { at, tls }))
}

/// Tries all addresses of the relay's name, one after the other.
async fn connect_quic(config: &ClientConfig) -> io::Result<(Endpoint, Connection)> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for at in lookup_host((config.host.as_str(), config.port)).await? {
        match quic::connect(at, &config.host).await {
            Ok(connected) => return Ok(connected),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Puts TLS around a connection where it is wanted.
pub(super) async fn wrap(stream: TcpStream, tls: Option<&SessionTls>) -> io::Result<Stream> {
    Ok(match tls {
        Some(tls) => Stream::Tls(Box::new(tls.connect(stream).await?)),
        None => Stream::Tcp(stream),
    })
}
