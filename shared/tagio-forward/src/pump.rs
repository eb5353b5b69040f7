//! Moves bytes between a TCP connection and a QUIC stream until both directions have ended, each by itself.
//!
//! What QUIC has received is written to the socket from where it lies, many pieces by one call; what comes from the
//! socket is read once and handed over. A direction that waits holds no memory.

use std::{
    io::{self, IoSlice},
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use noq::{RecvStream, SendStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

/// Bytes that are read at once: little from who says little, and up to what keeps QUIC's batches full.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Pieces that one call writes: a batch of received packets, and then some.
const PIECES: usize = 32;
/// What a stream is reset with when the connection beside it broke.
pub(crate) const BROKEN: noq::VarInt = noq::VarInt::from_u32(1);

/// Bytes that were moved, counted while they go.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Out of QUIC.
    pub(crate) received: AtomicU64,
    /// Into QUIC.
    pub(crate) sent: AtomicU64,
}

/// Moves bytes until both directions have ended. When either end breaks, both are reset.
pub(crate) async fn join(
    socket: &mut TcpStream,
    (send, receive): (&mut SendStream, &mut RecvStream),
    meters: &[&Meter],
) -> io::Result<()> {
    let (from_socket, to_socket) = socket.split();
    let joined = tokio::try_join!(
        into_quic(from_socket, send, |bytes| count(meters, |meter| &meter.sent, bytes)),
        out_of_quic(receive, to_socket, |bytes| count(meters, |meter| &meter.received, bytes)),
    );
    if joined.is_err() {
        // Who is gone already needs no word.
        let _ = socket.set_zero_linger();
        let _ = send.reset(BROKEN);
        let _ = receive.stop(BROKEN);
    }
    joined.map(drop)
}

fn count(meters: &[&Meter], direction: impl Fn(&Meter) -> &AtomicU64, bytes: usize) {
    for meter in meters {
        direction(meter).fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

async fn into_quic(mut from: ReadHalf<'_>, to: &mut SendStream, count: impl Fn(usize)) -> io::Result<()> {
    let mut wanted = READ_BYTES_MIN;
    let mut stopped = pin!(to.stopped());
    loop {
        tokio::select! {
            // A stream that was stopped says so to who writes, too.
            biased;
            ready = from.readable() => ready?,
            // Nobody is left who would read it.
            stopped = &mut stopped => match stopped {
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(error) => return Err(error.into()),
            },
        }
        let mut buffer = BytesMut::with_capacity(wanted);
        let read = from.read_buf(&mut buffer).await?;
        if read == 0 {
            // A stream that was reset meanwhile has ended as well.
            let _ = to.finish();
            return Ok(());
        }
        wanted = if read == wanted { READ_BYTES_MAX.min(wanted * 4) } else { READ_BYTES_MIN.max(read) };
        to.write_chunk(buffer.freeze()).await?;
        count(read);
    }
}

async fn out_of_quic(from: &mut RecvStream, mut to: WriteHalf<'_>, count: impl Fn(usize)) -> io::Result<()> {
    loop {
        let mut pieces = [const { Bytes::new() }; PIECES];
        let Some(filled) = from.read_many_chunks(&mut pieces).await? else { break };
        let mut slices = [IoSlice::new(&[]); PIECES];
        for (slice, piece) in slices.iter_mut().zip(&pieces[..filled]) {
            *slice = IoSlice::new(piece);
        }
        let mut left = &mut slices[..filled];
        while !left.is_empty() {
            let written = to.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            count(written);
            IoSlice::advance_slices(&mut left, written);
        }
    }
    match to.shutdown().await {
        // It has left already, and wants no end.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        ended => ended,
    }
}
