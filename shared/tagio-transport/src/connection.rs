//! One session's connection and its streams, without a type of the QUIC library in sight.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{sync::watch, time::timeout};

use crate::{
    error::{Lost, StreamError},
    socket::Switch,
};

/// Close code of a host whose key is not the one that the viewer asked for.
const WRONG_PEER: u32 = 1;
/// Reset code of a stream whose data would come too late.
const LATE: u32 = 2;
/// Most bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// How long last words may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A connection between two peers, over any number of paths. Cheap to clone; ends when the last clone and
/// stream are gone, or by [`Self::close`].
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) quic: noq::Connection,
    pub(crate) switch: Arc<Switch>,
    /// When one of the two began to make it.
    pub(crate) begun: Instant,
    /// Counts the times when what was under way may have been lost with a path.
    strandings: watch::Sender<u64>,
}

/// Hears when something may be lost; see [`Connection::strandings`].
#[derive(Debug)]
pub struct Strandings(watch::Receiver<u64>);

impl Strandings {
    /// Waits for the next time; for ever once the connection is forgotten. Cancel safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The sending half of a stream.
#[derive(Debug)]
pub struct SendStream(noq::SendStream);

/// The receiving half of a stream.
#[derive(Debug)]
pub struct RecvStream(noq::RecvStream);

impl Connection {
    pub(crate) fn new(quic: noq::Connection, switch: Arc<Switch>, begun: Instant) -> Self {
        Self { quic, switch, begun, strandings: watch::Sender::default() }
    }

    /// 32 bytes that only the two ends of this very TLS channel know (RFC 8446, section 7.5).
    pub fn exporter(&self) -> [u8; 32] {
        let mut out = [0; 32];
        self.quic
            .export_keying_material(&mut out, b"EXPORTER-tagio-session", b"")
            .expect("32 bytes are within what TLS can export, and the handshake is done");
        out
    }

    /// Round trip of the first path, as measured so far. [`crate::PathFacts`] has that of the one in use.
    pub fn rtt(&self) -> Duration {
        self.quic.rtt(noq::PathId::ZERO).unwrap_or_default()
    }

    /// Hears when what was under way may have been lost with a path: QUIC sends it again, but only a good while later.
    pub fn strandings(&self) -> Strandings {
        Strandings(self.strandings.subscribe())
    }

    pub(crate) fn strand(&self) {
        self.strandings.send_modify(|count| *count += 1);
    }

    /// Opens a bidirectional stream.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), Lost> {
        let (send, recv) = self.quic.open_bi().await.map_err(lost)?;
        Ok((SendStream(send), RecvStream(recv)))
    }

    /// Waits for a bidirectional stream of the peer.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Lost> {
        let (send, recv) = self.quic.accept_bi().await.map_err(lost)?;
        Ok((SendStream(send), RecvStream(recv)))
    }

    /// Opens a stream to the peer. Streams of higher priority are sent first.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn open_uni(&self, priority: i32) -> Result<SendStream, Lost> {
        let send = SendStream(self.quic.open_uni().await.map_err(lost)?);
        send.set_priority(priority);
        Ok(send)
    }

    /// Waits for a stream of the peer.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn accept_uni(&self) -> Result<RecvStream, Lost> {
        Ok(RecvStream(self.quic.accept_uni().await.map_err(lost)?))
    }

    /// Sends a datagram that may be lost. One that cannot be sent now counts as lost.
    pub fn send_datagram(&self, data: Vec<u8>) {
        if let Err(error) = self.quic.send_datagram(Bytes::from(data)) {
            tracing::trace!(%error, "datagram not sent");
        }
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn read_datagram(&self) -> Result<Bytes, Lost> {
        self.quic.read_datagram().await.map_err(lost)
    }

    /// Ends the connection and tells the peer that it meant somebody else.
    pub fn close_as_wrong_peer(&self) {
        self.quic.close(WRONG_PEER.into(), b"");
    }

    /// Ends the connection and tells the peer.
    pub fn close(&self) {
        self.quic.close(0u32.into(), b"");
    }

    /// Waits until the connection is over and says why.
    pub async fn closed(&self) -> Lost {
        lost(self.quic.closed().await)
    }
}

impl SendStream {
    /// Streams of higher priority are sent first.
    pub fn set_priority(&self, priority: i32) {
        // Fails only on a stream that is closed, which sends nothing any more.
        self.0.set_priority(priority).ok();
    }

    /// Sends all of `bytes`; waits while the peer takes no more.
    ///
    /// # Errors
    /// The connection is over, or the peer wants no more of this stream.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.0.write_all(bytes).await.map_err(write_error)
    }

    /// Like [`Self::write`], without a copy.
    ///
    /// # Errors
    /// As there.
    pub async fn write_owned(&mut self, bytes: Vec<u8>) -> Result<(), StreamError> {
        self.0.write_chunk(Bytes::from(bytes)).await.map_err(write_error)
    }

    /// Sends as many of `chunks` as the peer takes now, at least some; what is sent is taken out. Cancel safe.
    pub(crate) async fn write_chunks(&mut self, chunks: &mut VecDeque<Bytes>) -> Result<(), StreamError> {
        let mut rest = chunks.make_contiguous();
        let before = rest.len();
        let written = self.0.write_many_chunks(&mut rest).await;
        let done = before - rest.len();
        chunks.drain(..done);
        written.map(drop).map_err(write_error)
    }

    /// Waits until the peer wants no more of it, or the connection is over.
    pub(crate) async fn stopped(&self) {
        self.0.stopped().await.ok();
    }

    /// Sends nothing more of it, and nothing again.
    pub(crate) fn reset(&mut self) {
        // Fails only on a stream that is closed, of which nothing is under way.
        self.0.reset(LATE.into()).ok();
    }

    /// Sends a frame: `u16be length` and the bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_frame(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let len = u16::try_from(bytes.len()).map_err(|_| StreamError::TooLong(bytes.len()))?;
        let mut frame = Vec::with_capacity(2 + bytes.len());
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(bytes);
        self.write(&frame).await
    }

    /// Says that nothing more comes, and waits until the peer has all of it, but not for long: this is for
    /// last words before closing.
    pub async fn finish_soon(&mut self) {
        if self.0.finish().is_ok() {
            timeout(LAST_WORDS, self.0.stopped()).await.ok();
        }
    }
}

impl SendStream {
    /// Says that nothing more comes, and waits until the peer has all of it, at most for `deadline`; then what
    /// is not sent yet is dropped, and what is lost is not sent again. Whether the peer has it all.
    pub async fn finish_within(mut self, deadline: Duration) -> bool {
        if self.0.finish().is_err() {
            return false;
        }
        match timeout(deadline, self.0.stopped()).await {
            Ok(stopped) => matches!(stopped, Ok(None)),
            Err(_) => {
                self.reset();
                false
            }
        }
    }
}

impl RecvStream {
    /// Reads everything up to the end of the stream, at most `max` bytes.
    ///
    /// # Errors
    /// The connection is over, the peer dropped the stream, or there is more.
    pub async fn read_to_end(&mut self, max: usize) -> Result<Vec<u8>, StreamError> {
        self.0.read_to_end(max).await.map_err(|error| match error {
            noq::ReadToEndError::Read(noq::ReadError::ConnectionLost(reason)) => {
                StreamError::Lost(lost(reason))
            }
            noq::ReadToEndError::TooLong => StreamError::TooLong(max),
            noq::ReadToEndError::Read(_) => StreamError::EndedEarly,
        })
    }

    /// Reads exactly as many bytes as `buf` holds.
    ///
    /// # Errors
    /// The connection is over, or the stream ended before.
    pub async fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), StreamError> {
        self.0.read_exact(buf).await.map_err(|error| match error {
            noq::ReadExactError::ReadError(noq::ReadError::ConnectionLost(reason)) => {
                StreamError::Lost(lost(reason))
            }
            _ => StreamError::EndedEarly,
        })
    }

    /// Reads what is here, or waits for some; `None` at the end of the stream. Cancel safe.
    pub(crate) async fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        self.0.read_chunk(CHUNK).await.map_err(|error| match error {
            noq::ReadError::ConnectionLost(reason) => StreamError::Lost(lost(reason)),
            _ => StreamError::EndedEarly,
        })
    }

    /// Greater for a stream that the peer opened later.
    pub(crate) fn order(&self) -> u64 {
        self.0.id().index()
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`Self::read_exact`].
    pub async fn read_u8(&mut self) -> Result<u8, StreamError> {
        let mut byte = [0];
        self.read_exact(&mut byte).await?;
        Ok(byte[0])
    }

    /// Reads a frame of `u16be length` and bytes, at most `max` of them.
    ///
    /// # Errors
    /// As [`Self::read_exact`], and a frame over the limit.
    pub async fn read_frame(&mut self, max: usize) -> Result<Vec<u8>, StreamError> {
        let mut len = [0; 2];
        self.read_exact(&mut len).await?;
        self.read_body(usize::from(u16::from_be_bytes(len)), max).await
    }

    /// Reads a frame of `u32be length` and bytes, at most `max` of them.
    ///
    /// # Errors
    /// As [`Self::read_frame`].
    pub async fn read_long_frame(&mut self, max: usize) -> Result<Vec<u8>, StreamError> {
        let mut len = [0; 4];
        self.read_exact(&mut len).await?;
        let len = usize::try_from(u32::from_be_bytes(len)).map_err(|_| StreamError::TooLong(usize::MAX))?;
        self.read_body(len, max).await
    }

    async fn read_body(&mut self, len: usize, max: usize) -> Result<Vec<u8>, StreamError> {
        if len > max {
            return Err(StreamError::TooLong(len));
        }
        let mut body = vec![0; len];
        self.read_exact(&mut body).await?;
        Ok(body)
    }
}

fn write_error(error: noq::WriteError) -> StreamError {
    match error {
        noq::WriteError::ConnectionLost(reason) => StreamError::Lost(lost(reason)),
        _ => StreamError::EndedEarly,
    }
}

fn lost(error: noq::ConnectionError) -> Lost {
    match error {
        noq::ConnectionError::TimedOut => Lost::TimedOut,
        noq::ConnectionError::LocallyClosed => Lost::ByUs,
        noq::ConnectionError::ApplicationClosed(close) if close.error_code == WRONG_PEER.into() => {
            Lost::WrongPeer
        }
        noq::ConnectionError::ApplicationClosed(_) | noq::ConnectionError::ConnectionClosed(_) => {
            Lost::ByPeer
        }
        other => Lost::Broken(other.to_string()),
    }
}
