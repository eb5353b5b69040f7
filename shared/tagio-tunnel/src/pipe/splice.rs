//! One direction of a connection through a pipe of the kernel, by splice(2).

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice as kernel_splice};
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

/// What a pipe is asked to hold: four times the usual, which halves the calls. The system may give less.
const PIPE_BYTES: usize = 256 * 1024;
/// A direction that is quiet for this long gives its pipe back.
const QUIET: Duration = Duration::from_secs(1);

/// Why it stopped. The pipe is empty then.
pub(super) enum Pause {
    /// Nothing more comes.
    Ended,
    /// Nothing has come for a while.
    Quiet,
}

/// Moves bytes until they pause.
pub(super) async fn splice(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<Pause> {
    let pipe = Pipe::new()?;
    loop {
        let moved = match timeout(QUIET, pipe.fill(from)).await {
            Err(Elapsed { .. }) => return Ok(Pause::Quiet),
            Ok(moved) => moved?,
        };
        if moved == 0 {
            return Ok(Pause::Ended);
        }
        pipe.empty(to, moved).await?;
        count.fetch_add(moved as u64, Ordering::Relaxed);
    }
}

/// A pipe that only this direction uses. Never holds anything between two calls.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user with many pipes gets no larger ones.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }

    /// Takes what has come, at least a byte, but for the end.
    async fn fill(&self, from: &TcpStream) -> io::Result<usize> {
        from.async_io(Interest::READABLE, || moved(from, &self.write, PIPE_BYTES)).await
    }

    /// Sends `len` bytes on.
    async fn empty(&self, to: &TcpStream, mut len: usize) -> io::Result<()> {
        while len > 0 {
            match to.async_io(Interest::WRITABLE, || moved(&self.read, to, len)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => len -= sent,
            }
        }
        Ok(())
    }
}

fn moved(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(kernel_splice(from, None, to, None, len, flags)?)
}
