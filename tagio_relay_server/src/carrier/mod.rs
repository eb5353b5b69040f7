//! What the bytes of a control connection or a leg travel in: see "Carriers" in `docs/PROTOCOL.md`.
//!
//! Closed, so that plain TCP, which nearly everybody uses, pays for the others by a `match` only.

pub(crate) mod http_stream;
mod pieces;
mod socket;
mod websocket;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::tcp,
};

pub(crate) use http_stream::HttpStream;
pub(crate) use socket::{Rewound, Socket};
pub(crate) use websocket::{WebSocket, WebSocketCarrier};

/// An ordered stream of bytes from and to a client.
pub(crate) enum Carrier {
    Socket(Socket),
    WebSocket(Box<WebSocketCarrier>),
    HttpStream(HttpStream),
}

/// Calls a method of whichever carrier it is.
macro_rules! carried {
    ($carrier:expr, $stream:ident => $call:expr) => {
        match $carrier {
            Carrier::Socket($stream) => $call,
            Carrier::WebSocket($stream) => $call,
            Carrier::HttpStream($stream) => $call,
        }
    };
}

impl Carrier {
    /// Both directions, for two futures of one task.
    pub(crate) fn into_split(self) -> (CarrierRead, CarrierWrite) {
        if let Self::Socket(Socket::Tcp(stream)) = self {
            let (read, write) = stream.into_split();
            return (CarrierRead::Tcp(read), CarrierWrite::Tcp(write));
        }
        let (read, write) = tokio::io::split(self);
        (CarrierRead::Other(read), CarrierWrite::Other(write))
    }
}

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        carried!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// What a client sends.
pub(crate) enum CarrierRead {
    /// Without the lock that the halves of others share.
    Tcp(tcp::OwnedReadHalf),
    Other(tokio::io::ReadHalf<Carrier>),
}

impl AsyncRead for CarrierRead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// What a client is sent.
pub(crate) enum CarrierWrite {
    /// Without the lock that the halves of others share.
    Tcp(tcp::OwnedWriteHalf),
    Other(tokio::io::WriteHalf<Carrier>),
}

impl AsyncWrite for CarrierWrite {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Other(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
