//! Moves bytes between a socket and a stream until both directions have ended.
//!
//! A direction that has ended on one side is ended on the other and no more: whoever has said all may still listen.
//! Between two sockets small pieces are copied; on Linux, what flows without a pause moves by `splice` and is never seen
//! by the program. What is encrypted in between is copied, and so is what shares a trunk.
//! A direction that waits holds no memory.

mod copy;
mod lane;
#[cfg(target_os = "linux")]
mod splice;

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{stream::Stream, tuning};

pub use lane::join_lane;

/// Bytes that are copied at once: what a page of text fits into.
const COPY_BYTES: usize = 32 * 1024;
/// Reads in a row that fill the buffer at least half, after which a direction counts as flowing.
#[cfg(target_os = "linux")]
const FLOWING_READS: u32 = 2;

/// Bytes that went either way, counted while they go.
#[derive(Debug, Default)]
pub struct Meter {
    /// From visitors to the local service.
    pub inward: AtomicU64,
    /// From the local service to visitors.
    pub outward: AtomicU64,
}

/// Which end of a stream is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The relay's: the socket is a visitor's.
    Relay,
    /// The client's: the socket is the local service's.
    Client,
}

/// As [`join`], between a socket and whatever leads to the other end.
///
/// # Errors
/// Of the connection that broke.
pub async fn join_stream(
    socket: &mut TcpStream,
    stream: &mut Stream,
    end: End,
    meter: &Meter,
) -> io::Result<()> {
    if let Stream::Tcp(stream) = stream {
        return match end {
            End::Relay => join(socket, stream, meter).await,
            End::Client => join(stream, socket, meter).await,
        };
    }
    join_copied(socket, stream, end, meter).await
}

/// As [`join`], between a socket and a stream that no kernel knows.
///
/// # Errors
/// Of the connection that broke.
pub async fn join_copied<S>(socket: &mut TcpStream, stream: &mut S, end: End, meter: &Meter) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Abort + Unpin,
{
    let counts = match end {
        End::Relay => [&meter.inward, &meter.outward],
        End::Client => [&meter.outward, &meter.inward],
    };
    let mut pair = Pair { a: socket, b: stream, is_done: false };
    copy::join(pair.a, pair.b, counts).await?;
    pair.is_done = true;
    Ok(())
}

/// Moves bytes until both directions have ended. When either connection breaks, or this is dropped before its end, both
/// are reset.
///
/// # Errors
/// Of the connection that broke.
pub async fn join(visitor: &mut TcpStream, local: &mut TcpStream, meter: &Meter) -> io::Result<()> {
    let mut pair = Pair { a: visitor, b: local, is_done: false };
    let (visitor, local) = (&*pair.a, &*pair.b);
    tokio::try_join!(flow(visitor, local, &meter.inward), flow(local, visitor, &meter.outward))?;
    pair.is_done = true;
    Ok(())
}

/// What can be closed so that the other end does not take it for the end of a file.
pub trait Abort {
    /// Makes the coming close a reset.
    fn abort(&mut self);
}

impl Abort for TcpStream {
    fn abort(&mut self) {
        tuning::abort(self);
    }
}

impl Abort for Stream {
    fn abort(&mut self) {
        Self::abort(self);
    }
}

/// Both ends of a visit, reset when they are let go of before it is done: also by a task that is given up.
struct Pair<'a, A: Abort, B: Abort> {
    a: &'a mut A,
    b: &'a mut B,
    is_done: bool,
}

impl<A: Abort, B: Abort> Drop for Pair<'_, A, B> {
    fn drop(&mut self) {
        if !self.is_done {
            self.a.abort();
            self.b.abort();
        }
    }
}

/// Moves one direction to its end, and tells the receiver.
async fn flow(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<()> {
    loop {
        match copy_small(from, to, count).await? {
            Pause::Ended => return finish(to),
            #[cfg(target_os = "linux")]
            Pause::Flowing => match splice::splice(from, to, count).await? {
                splice::Pause::Ended => return finish(to),
                splice::Pause::Quiet => {}
            },
        }
    }
}

fn finish(to: &TcpStream) -> io::Result<()> {
    match tuning::finish(to) {
        // It has left already, and wants no end.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        finished => finished,
    }
}

/// Why copying stopped.
enum Pause {
    /// Nothing more comes.
    Ended,
    /// So much comes that another way is better.
    #[cfg(target_os = "linux")]
    Flowing,
}

async fn copy_small(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<Pause> {
    #[cfg(target_os = "linux")]
    let mut full_reads = 0;
    loop {
        from.readable().await?;
        // Made when there is something to read and dropped before the next wait: idle connections are many.
        let mut buffer = Vec::with_capacity(COPY_BYTES);
        let read = match from.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(Pause::Ended),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        write_all(to, &buffer).await?;
        count.fetch_add(read as u64, Ordering::Relaxed);
        #[cfg(target_os = "linux")]
        {
            full_reads = if read >= COPY_BYTES / 2 { full_reads + 1 } else { 0 };
            if full_reads >= FLOWING_READS {
                return Ok(Pause::Flowing);
            }
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
