//! What can go wrong between peers, and what each error asks its reader to do.

use std::{io, net::SocketAddr};

use thiserror::Error;

/// A connection to a peer could not be made.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address cannot be used.
    #[error("{0} cannot be connected to")]
    Address(SocketAddr),
    /// Nobody answered.
    #[error("no answer")]
    TimedOut,
    /// The other side speaks no TagIO session.
    #[error("the other side refused: {0}")]
    Refused(String),
}

/// A connection that was made is over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Lost {
    /// Nothing came for too long.
    #[error("the connection went silent")]
    TimedOut,
    /// The peer closed it.
    #[error("the peer closed the connection")]
    ByPeer,
    /// The peer does not have the key that it was asked for.
    #[error("the peer has another key than expected")]
    WrongPeer,
    /// This side closed it.
    #[error("closed")]
    ByUs,
    /// The peer broke the protocol, or something in between did.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// Reading or writing a stream failed.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The connection is over.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The stream ended in the middle of a message, or was reset.
    #[error("the stream ended early")]
    EndedEarly,
    /// A message is longer than the limit.
    #[error("a message of {0} bytes is over the limit")]
    TooLong(usize),
}

/// A relay leg could not be bound.
#[derive(Debug, Error)]
pub enum LegError {
    /// Neither UDP nor any carrier to the relay worked in time.
    #[error("the relay {relay} answers neither over UDP nor in any other way")]
    Unreachable {
        /// The relay, as `HOST:PORT`.
        relay: String,
    },
    /// The relay does not know the grant, as after its restart.
    #[error("the relay no longer knows this call")]
    Unknown,
    /// The system refused a socket.
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
}

/// There is no connection over a relay leg.
#[derive(Debug, Error)]
pub enum LegConnectError {
    /// The leg was not to be had.
    #[error(transparent)]
    Leg(#[from] LegError),
    /// Nobody at its other end, or somebody else.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}
