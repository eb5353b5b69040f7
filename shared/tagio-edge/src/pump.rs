//! Moves bytes between a TCP connection and a session, in both directions, each to its own end.

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::{session::SessionStream, wire::DATA_BYTES_MAX};

/// Once one direction has ended, the other one may be silent for so long, and up to twice that: POPs and nodes of older
/// versions are not told, or do not understand, that one has ended, and would keep the session for good.
const HALF_CLOSED_SILENCE: Duration = Duration::from_secs(60);
/// For so long is read, after the end, what the connection still sends: else its system would throw away what its
/// program has not read yet.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that were moved.
#[derive(Debug, Default)]
pub struct Moved {
    /// From the connection to the session.
    pub sent: AtomicU64,
    /// From the session to the connection.
    pub received: AtomicU64,
}

impl Moved {
    fn sum(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.received.load(Ordering::Relaxed)
    }
}

/// Serves a session until both directions have ended, or the other end has closed it.
///
/// # Errors
/// The connection or the link failed, or one direction alone was silent for too long. The connection is reset then,
/// so that nobody takes an accident for the end of a file.
pub async fn pump(mut socket: TcpStream, session: SessionStream, moved: &Moved) -> io::Result<()> {
    let over = session.over();
    let ended = {
        let (mut from_session, mut to_session) = tokio::io::split(session);
        let (mut from_socket, mut to_socket) = socket.split();
        // Each direction says once that it is done; there is room for both.
        let (done, mut halves) = mpsc::channel(2);
        let inward = async {
            copy(&mut from_session, &mut to_socket, &moved.received).await?;
            let _ = done.try_send(());
            // Whoever closes a session is done with both directions.
            over.cancelled().await;
            Ok(())
        };
        let outward = async {
            match copy(&mut from_socket, &mut to_session, &moved.sent).await {
                Ok(()) => drop(done.try_send(())),
                // The other direction knows why, and may have something left to write.
                Err(_) if over.is_cancelled() => {}
                Err(error) => return Err(error),
            }
            pending().await
        };
        tokio::select! {
            ended = inward => ended,
            ended = outward => ended,
            ended = watch(&mut halves, moved) => ended,
        }
    };
    match ended {
        Ok(()) => drop(timeout(LINGER, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await),
        // A socket that refuses is dying.
        Err(_) => drop(socket.set_zero_linger()),
    }
    ended
}

/// Moves bytes to the end, and passes the end on.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; DATA_BYTES_MAX];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..len]).await?;
        moved.fetch_add(len as u64, Ordering::Relaxed);
    }
}

/// Ends when both directions are done, or one is and the other silent.
async fn watch(halves: &mut mpsc::Receiver<()>, moved: &Moved) -> io::Result<()> {
    halves.recv().await;
    loop {
        let before = moved.sum();
        match timeout(HALF_CLOSED_SILENCE, halves.recv()).await {
            Ok(_) => return Ok(()),
            Err(_) if moved.sum() == before => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}
