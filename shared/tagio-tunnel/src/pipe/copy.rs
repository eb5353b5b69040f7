//! Both directions between a socket and something that no kernel can splice: copied, through a buffer of the stack.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are copied at once: two records of TLS.
const COPY_BYTES: usize = 32 * 1024;
/// Pieces in a row after which other tasks have their turn.
const TURN: usize = 16;

/// Moves bytes until both directions have ended; `counts` are those from `a` and those from `b`.
pub(super) async fn join<A, B>(a: &mut A, b: &mut B, counts: [&AtomicU64; 2]) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let there = there.poll(cx, a, b, counts[0])?;
        let back = back.poll(cx, b, a, counts[1])?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// What a direction does next.
#[derive(Default)]
enum Stage {
    #[default]
    Flowing,
    Ending,
    Ended,
}

/// One direction. Holds memory only while its receiver is slower than its sender.
#[derive(Default)]
struct Direction {
    stage: Stage,
    /// Read and not yet written: from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            match self.stage {
                Stage::Flowing => ready!(self.poll_piece(cx, from, to, count))?,
                Stage::Ending => {
                    match ready!(Pin::new(&mut *to).poll_shutdown(cx)) {
                        // It has left already, and wants no end.
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                        ended => ended?,
                    }
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Passes one piece on, or what is left of the last one.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        (self.waiting, self.sent) = (Vec::new(), 0);
        let mut storage = [MaybeUninit::<u8>::uninit(); COPY_BYTES];
        let mut buffer = ReadBuf::uninit(&mut storage);
        if Pin::new(from).poll_read(cx, &mut buffer)?.is_pending() {
            // Nothing follows soon: what was written shall leave.
            ready!(Pin::new(to).poll_flush(cx))?;
            return Poll::Pending;
        }
        let piece = buffer.filled();
        if piece.is_empty() {
            self.stage = Stage::Ending;
            return Poll::Ready(Ok(()));
        }
        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let sent = match Pin::new(to).poll_write(cx, piece)? {
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(sent) => sent,
            Poll::Pending => 0,
        };
        self.waiting.extend_from_slice(&piece[sent..]);
        Poll::Ready(Ok(()))
    }
}
