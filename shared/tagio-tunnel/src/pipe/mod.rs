//! Moves bytes between two TCP connections until both directions have ended.
//!
//! A direction that has ended on one side is ended on the other and no more: whoever has said all may still listen.
//! Small pieces are copied; on Linux, what flows without a pause moves by `splice` and is never seen by the program.
//! A direction that waits holds no memory.

#[cfg(target_os = "linux")]
mod splice;

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::net::TcpStream;

use crate::tuning;

/// Bytes that are copied at once: as many as a pipe holds.
const COPY_BYTES: usize = 64 * 1024;
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

/// Moves bytes until both directions have ended. When either connection breaks, both are reset.
///
/// # Errors
/// Of the connection that broke.
pub async fn join(visitor: &TcpStream, local: &TcpStream, meter: &Meter) -> io::Result<()> {
    let inward = flow(visitor, local, &meter.inward);
    let outward = flow(local, visitor, &meter.outward);
    let joined = tokio::try_join!(inward, outward);
    if joined.is_err() {
        tuning::abort(visitor);
        tuning::abort(local);
    }
    joined.map(|_| ())
}

/// Moves one direction to its end, and tells the receiver.
async fn flow(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<()> {
    loop {
        match copy(from, to, count).await? {
            Pause::Ended => break,
            #[cfg(target_os = "linux")]
            Pause::Flowing => match splice::splice(from, to, count).await? {
                splice::Pause::Ended => break,
                splice::Pause::Quiet => {}
            },
        }
    }
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

async fn copy(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<Pause> {
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

/// Writes all bytes to a connection that others may be reading.
///
/// # Errors
/// When the connection breaks.
pub async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
