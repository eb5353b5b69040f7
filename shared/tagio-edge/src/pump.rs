//! Moves bytes between a TCP connection and a session, in both directions, each to its own end.

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{session::SessionStream, wire::DATA_BYTES_MAX};

/// Once one direction has ended, the other one may be silent for so long, and up to twice that: POPs and nodes of older
/// versions are not told, or do not understand, that one has ended, and would keep the session for good.
const HALF_CLOSED_SILENCE: Duration = Duration::from_secs(60);
/// For so long is read, after the end, what the connection still sends: else its system would throw away what its
/// program has not read yet.
const LINGER: Duration = Duration::from_secs(2);

/// Whether anything happens in either direction.
#[derive(Default)]
struct Progress {
    bytes: AtomicU64,
    /// Directions whose bytes wait because their meter says so, which is no silence.
    held: AtomicUsize,
}

/// Serves a session until both directions have ended, or the other end has closed it. `early` came from `socket` first.
///
/// # Errors
/// The connection or the link failed, or one direction alone was silent for too long. The connection is reset then,
/// so that nobody takes an accident for the end of a file.
pub async fn pump(mut socket: TcpStream, early: Bytes, session: SessionStream) -> io::Result<()> {
    let ended = {
        let (over, pace, progress) = (session.over(), session.pace(), Progress::default());
        let (mut from_session, mut to_session) = tokio::io::split(session);
        let (from_socket, mut to_socket) = socket.split();
        // Each direction says once that it is done; there is room for both.
        let (done, mut halves) = mpsc::channel(2);
        let inward = async {
            copy(&mut from_session, &mut to_socket, &progress, |bytes| pace.inward(bytes)).await?;
            let _ = done.try_send(());
            // Whoever closes a session is done with both directions.
            over.cancelled().await;
            Ok(())
        };
        let outward = async {
            let mut from_socket = early.as_ref().chain(from_socket);
            match copy(&mut from_socket, &mut to_session, &progress, |bytes| pace.outward(bytes)).await {
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
            ended = watch(&mut halves, &progress) => ended,
        }
    };
    match ended {
        Ok(()) => drop(timeout(LINGER, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await),
        // A socket that refuses is dying.
        Err(_) => drop(socket.set_zero_linger()),
    }
    ended
}

/// Moves bytes to the end, each piece after it has waited for so long, and passes the end on.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    progress: &Progress,
    wait_for: impl Fn(usize) -> Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; DATA_BYTES_MAX];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        let wait = wait_for(len);
        if !wait.is_zero() {
            progress.held.fetch_add(1, Ordering::Relaxed);
            sleep(wait).await;
            progress.held.fetch_sub(1, Ordering::Relaxed);
        }
        to.write_all(&buffer[..len]).await?;
        progress.bytes.fetch_add(len as u64, Ordering::Relaxed);
    }
}

/// Ends when both directions are done, or one is and the other silent.
async fn watch(halves: &mut mpsc::Receiver<()>, progress: &Progress) -> io::Result<()> {
    halves.recv().await;
    loop {
        let before = progress.bytes.load(Ordering::Relaxed);
        match timeout(HALF_CLOSED_SILENCE, halves.recv()).await {
            Ok(_) => return Ok(()),
            Err(_) if progress.held.load(Ordering::Relaxed) > 0 => {}
            Err(_) if progress.bytes.load(Ordering::Relaxed) == before => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(_) => {}
        }
    }
}
