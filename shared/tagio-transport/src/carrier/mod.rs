//! Carriers: ordered streams of bytes to a relay by whatever gets through, see docs/PROTOCOL.md.
//!
//! [`Dialer`] knows a relay's name and what worked before; it races the ways of a [`plan`] and lets whoever asks
//! decide, by the relay's own protocol, which of them is open.

mod address;
mod dialer;
mod error;
mod http_stream;
mod plan;
mod proxy;
mod road;
mod tls;
mod websocket;

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use dialer::{Dialer, Won};
pub(crate) use error::CarrierError;
pub(crate) use plan::Patience;
pub use proxy::{FixedProxy, ProxySetting};

/// What wraps the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarrierKind {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// A WebSocket in TLS.
    WebSocketTls,
    /// A WebSocket.
    WebSocket,
    /// Requests and answers of HTTP/1.1 in TLS.
    HttpTls,
    /// Requests and answers of HTTP/1.1.
    Http,
}

impl CarrierKind {
    /// The cheapest first.
    pub(crate) const ALL: [Self; 6] =
        [Self::Tcp, Self::Tls, Self::WebSocketTls, Self::WebSocket, Self::HttpTls, Self::Http];

    fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::WebSocketTls | Self::HttpTls)
    }
}

impl fmt::Display for CarrierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::WebSocketTls => "WebSocket over TLS",
            Self::WebSocket => "WebSocket",
            Self::HttpTls => "HTTP over TLS",
            Self::Http => "HTTP",
        })
    }
}

/// How packets or messages get to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As UDP datagrams.
    Udp,
    /// In a stream.
    Stream {
        /// What wraps it.
        kind: CarrierKind,
        /// Whether a proxy stands between.
        proxied: bool,
    },
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp => f.pad("UDP"),
            Self::Stream { kind, proxied: false } => kind.fmt(f),
            Self::Stream { kind, proxied: true } => write!(f, "{kind} through a proxy"),
        }
    }
}

/// Which carriers may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarrierChoice {
    /// Whatever answers first, and UDP for legs.
    #[default]
    Automatic,
    /// TLS only.
    Tls,
    /// WebSocket only, in TLS or not.
    WebSocket,
    /// HTTP requests only, in TLS or not.
    Http,
}

impl CarrierChoice {
    /// Whether legs may travel by UDP.
    pub(crate) fn allows_udp(self) -> bool {
        self == Self::Automatic
    }

    pub(crate) fn allows(self, kind: CarrierKind) -> bool {
        match self {
            Self::Automatic => true,
            Self::Tls => kind == CarrierKind::Tls,
            Self::WebSocket => matches!(kind, CarrierKind::WebSocketTls | CarrierKind::WebSocket),
            Self::Http => matches!(kind, CarrierKind::HttpTls | CarrierKind::Http),
        }
    }
}

/// How relays may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachSettings {
    /// Which carriers may be used.
    pub carriers: CarrierChoice,
    /// Which proxy may be used beside the direct way.
    pub proxy: ProxySetting,
}

/// What is sent into one end comes out at the relay's, in order. Flush after each message: some carriers gather.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

pub(crate) type BoxedStream = Box<dyn ByteStream>;
