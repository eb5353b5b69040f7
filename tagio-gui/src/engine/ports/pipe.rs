//! One connection through a session: a local socket at this end, a port's stream to the other.
//!
//! What comes is taken from the stream at once and waits here for the socket, within the sender's
//! [budget](super::budget): a socket that stands still must not fill the connection's window, which belongs to the
//! picture too, and credit for the other direction may come behind its bytes.

use std::{
    io, mem,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tagio_transport::{RecvStream, SendStream, StreamError};
use tagio_tunnel::tuning;
use tagio_wire::port::{PORT_PIECE_BYTES_MAX, PORT_STREAM_BYTES_MIN, PortPiece};
use thiserror::Error;
use tokio::{net::TcpStream, select, sync::Notify};

use super::{PortFlow, PortMeter, PortStream, budget::Share};

const LOCK: &str = "no task panics while it holds what waits";

/// Credit is given for at least so much: half of what a stream may have in any case, so that nobody waits for it.
const CREDIT_BYTES_MIN: usize = PORT_STREAM_BYTES_MIN / 2;

/// Why a connection broke.
#[derive(Debug, Error)]
pub(in crate::engine) enum PipeError {
    /// On the local side.
    #[error("the socket: {0}")]
    Socket(#[from] io::Error),
    /// On the way to the peer, or by it.
    #[error("the session: {0}")]
    Stream(#[from] StreamError),
    /// What came is no piece, or more than was allowed.
    #[error("the other side broke the rules")]
    Rules,
}

/// Moves bytes until both directions have ended; each may end on its own. When either side breaks, or nobody waits for
/// the end any more, both are reset: what was cut off must not look complete.
pub(in crate::engine) async fn join(
    socket: &TcpStream,
    stream: &mut PortStream,
    flow: &PortFlow,
    meter: &PortMeter,
) -> Result<(), PipeError> {
    let pipe = Pipe {
        share: Share::new(&flow.budget),
        flow,
        meter,
        waiting: Mutex::default(),
        news: Notify::new(),
        owed: AtomicUsize::new(0),
        is_drained: AtomicBool::new(false),
        owes: Notify::new(),
    };
    let mut cut = Cut { socket, is_whole: false };
    let joined = tokio::try_join!(
        pipe.send(socket, &mut stream.send),
        pipe.receive(&mut stream.recv),
        pipe.deliver(socket),
    );
    cut.is_whole = joined.is_ok();
    if joined.is_err() {
        stream.send.reset();
    }
    joined.map(|_| ())
}

/// Makes the close of a socket a reset when it is dropped before both directions have ended.
struct Cut<'a> {
    socket: &'a TcpStream,
    is_whole: bool,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            tuning::abort(self.socket);
        }
    }
}

/// What came and waits for the socket.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Nothing more comes.
    is_last: bool,
}

struct Pipe<'a> {
    share: Share,
    flow: &'a PortFlow,
    meter: &'a PortMeter,
    waiting: Mutex<Waiting>,
    /// More waits, or that was the last.
    news: Notify,
    /// Bytes that the socket has taken and the peer has not heard of.
    owed: AtomicUsize,
    /// The socket has taken all there will be.
    is_drained: AtomicBool,
    /// There is credit to be given, or never will be any more.
    owes: Notify,
}

impl Pipe<'_> {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect(LOCK)
    }

    /// From the socket to the peer, and credit for the other direction. The only one who writes to the stream.
    async fn send(&self, from: &TcpStream, to: &mut SendStream) -> Result<(), PipeError> {
        let mut has_ended = false;
        loop {
            let is_drained = self.is_drained.load(Ordering::Acquire);
            if has_ended && is_drained {
                to.finish();
                return Ok(());
            }
            let owed = self.owed.load(Ordering::Relaxed);
            if owed >= CREDIT_BYTES_MIN && !is_drained {
                self.owed.fetch_sub(owed, Ordering::Relaxed);
                let credit = u32::try_from(owed).expect("what is owed was allowed, and that is megabytes");
                to.write(&PortPiece::Credit(credit).bytes()).await?;
                continue;
            }
            select! {
                biased;
                () = self.owes.notified() => {}
                room = self.readable(from), if !has_ended => {
                    has_ended = self.send_piece(from, room?, to).await?;
                }
            }
        }
    }

    /// Waits until there is something to read, and room for it.
    async fn readable(&self, from: &TcpStream) -> io::Result<usize> {
        let room = self.share.room().await;
        from.readable().await?;
        Ok(room)
    }

    /// Sends what the socket has, at most `room` bytes. True at its end.
    async fn send_piece(
        &self,
        from: &TcpStream,
        room: usize,
        to: &mut SendStream,
    ) -> Result<bool, PipeError> {
        // Made when there is something to read: idle connections are many.
        let mut piece = vec![0; PortPiece::DATA_HEADER_BYTES + room];
        let read = match from.try_read(&mut piece[PortPiece::DATA_HEADER_BYTES..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            to.write(&PortPiece::End.bytes()).await?;
            return Ok(true);
        }
        let len = u16::try_from(read).expect("a room is at most a piece");
        piece[..PortPiece::DATA_HEADER_BYTES].copy_from_slice(&PortPiece::Data(len).bytes());
        // What was not filled is not kept until it is acknowledged.
        piece.truncate(PortPiece::DATA_HEADER_BYTES + read);
        piece.shrink_to_fit();
        self.share.take(read);
        to.write_owned(piece).await?;
        self.meter.sent.fetch_add(read as u64, Ordering::Relaxed);
        Ok(false)
    }

    /// From the peer to what waits.
    async fn receive(&self, from: &mut RecvStream) -> Result<(), PipeError> {
        let mut has_ended = false;
        while let Some(first) = from.read_first().await? {
            let mut bytes = [first, 0, 0, 0, 0];
            let rest = PortPiece::rest_len(first).ok_or(PipeError::Rules)?;
            from.read_exact(&mut bytes[1..=rest]).await?;
            match PortPiece::parse(&bytes[..=rest]).ok_or(PipeError::Rules)? {
                PortPiece::Data(_) | PortPiece::End if has_ended => return Err(PipeError::Rules),
                PortPiece::Data(len) => self.take_data(from, usize::from(len)).await?,
                PortPiece::Credit(bytes) => {
                    if !self.share.give_back(bytes as usize) {
                        return Err(PipeError::Rules);
                    }
                }
                PortPiece::End => {
                    has_ended = true;
                    self.waiting().is_last = true;
                    self.news.notify_one();
                }
            }
        }
        if has_ended { Ok(()) } else { Err(StreamError::EndedEarly.into()) }
    }

    async fn take_data(&self, from: &mut RecvStream, len: usize) -> Result<(), PipeError> {
        if !self.flow.has_room(len) {
            return Err(PipeError::Rules);
        }
        let mut data = vec![0; len];
        if let Err(error) = from.read_exact(&mut data).await {
            self.flow.left(len);
            return Err(error.into());
        }
        self.waiting().bytes.append(&mut data);
        self.news.notify_one();
        Ok(())
    }

    /// From what waits to the socket.
    async fn deliver(&self, to: &TcpStream) -> Result<(), PipeError> {
        loop {
            let (bytes, is_last) = {
                let mut waiting = self.waiting();
                (mem::take(&mut waiting.bytes), waiting.is_last)
            };
            let mut due = Due { flow: self.flow, bytes: bytes.len() };
            // In pieces, so that the sender hears of each as soon as it is taken.
            for piece in bytes.chunks(PORT_PIECE_BYTES_MAX) {
                write_all(to, piece).await?;
                due.done(piece.len());
                self.meter.received.fetch_add(piece.len() as u64, Ordering::Relaxed);
                self.owed.fetch_add(piece.len(), Ordering::Relaxed);
                self.owes.notify_one();
            }
            if is_last {
                // One that has left already wants no end.
                tuning::finish(to).ok();
                self.is_drained.store(true, Ordering::Release);
                self.owes.notify_one();
                return Ok(());
            }
            if bytes.is_empty() {
                self.news.notified().await;
            }
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        self.flow.left(self.waiting().bytes.len());
    }
}

/// Bytes on their way to the socket, that wait no longer once this is dropped.
struct Due<'a> {
    flow: &'a PortFlow,
    bytes: usize,
}

impl Due<'_> {
    fn done(&mut self, bytes: usize) {
        self.flow.left(bytes);
        self.bytes -= bytes;
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.flow.left(self.bytes);
    }
}
