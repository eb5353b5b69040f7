//! What a control or data connection travels in: bare TCP, TLS, or a stream of a QUIC connection.

pub mod quic;
pub mod tls;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use noq::{RecvStream, SendStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

use crate::{greeting::Binding, tuning};

/// An ordered stream of bytes between a relay and a client, either direction ended on its own.
pub enum Stream {
    /// Nothing around it.
    Tcp(TcpStream),
    /// TLS 1.3.
    Tls(Box<TlsStream<TcpStream>>),
    /// One of many in a connection.
    Quic(SendStream, RecvStream),
}

impl Stream {
    /// What a greeting on this stream is bound to. A QUIC stream's is its connection's: see [`quic::binding`].
    pub fn binding(&self) -> io::Result<Binding> {
        match self {
            Self::Tcp(_) | Self::Quic(..) => Ok(None),
            Self::Tls(stream) => tls::binding(stream).map(Some),
        }
    }

    /// Makes the coming close a reset, so that the other end does not take an accident for the end of a file.
    pub fn abort(&mut self) {
        match self {
            Self::Tcp(stream) => tuning::abort(stream),
            Self::Tls(stream) => tuning::abort(stream.get_ref().0),
            Self::Quic(send, recv) => {
                // Either may have ended before.
                let _ = send.reset(quic::ABORTED);
                let _ = recv.stop(quic::ABORTED);
            }
        }
    }

    /// The socket below, where it is this stream's alone.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Quic(..) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Quic(_, recv) => AsyncRead::poll_read(Pin::new(recv), cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Quic(send, _) => AsyncWrite::poll_write(Pin::new(send), cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Quic(send, _) => AsyncWrite::poll_flush(Pin::new(send), cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Quic(send, _) => AsyncWrite::poll_shutdown(Pin::new(send), cx),
        }
    }
}
