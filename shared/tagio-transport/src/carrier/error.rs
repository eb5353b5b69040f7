//! Why a carrier could not be opened, or broke.

use std::io;

use thiserror::Error;

/// Why a carrier could not be opened, or broke.
#[derive(Debug, Error)]
pub(crate) enum CarrierError {
    /// The relay's name is not known, or its text is no `HOST:PORT`.
    #[error("the name {0} is not known")]
    Name(String),
    /// No TCP connection: nothing else will work with this address and port either.
    #[error("{0}")]
    Connect(io::Error),
    /// The proxy cannot be reached.
    #[error("the proxy {proxy} cannot be reached ({source})")]
    ProxyConnect {
        /// As configured, without name and password.
        proxy: String,
        /// The system's word.
        source: io::Error,
    },
    /// The proxy asks for a name and a password, or for others.
    #[error("the proxy {proxy} asks for a name and a password")]
    ProxyLogin {
        /// As configured, without name and password.
        proxy: String,
        /// Whether it was given some.
        was_given: bool,
    },
    /// The proxy lets nobody through to the relay.
    #[error("the proxy {proxy} refuses with status {status}")]
    ProxyRefused {
        /// As configured, without name and password.
        proxy: String,
        /// Its answer.
        status: u16,
    },
    /// No TLS.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// No WebSocket.
    #[error("no WebSocket: {0}")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    /// No answer to an HTTP request.
    #[error("no HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// Another answer to an HTTP request than a relay's.
    #[error("HTTP status {0} is no relay's answer")]
    Status(u16),
    /// The relay knows the stream no more.
    #[error("the relay ended the stream")]
    Ended,
    /// It carries, and what answers is no TagIO relay, or not the one with the expected key.
    #[error("what answers is not the relay")]
    NotTheRelay,
    /// It carried, and broke.
    #[error("it broke: {0}")]
    Broken(#[source] io::Error),
    /// Nothing came in time.
    #[error("no answer")]
    TimedOut,
}

/// A carrier that carries nothing itself says why by the system's errors.
impl From<io::Error> for CarrierError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Broken)
    }
}

impl CarrierError {
    /// Why the relay's own answer stays out: the carrier's trouble, or what is there is no relay.
    pub(crate) fn instead_of_answer(error: io::Error) -> Self {
        match Self::from(error) {
            Self::Broken(_) => Self::NotTheRelay,
            own => own,
        }
    }
}
