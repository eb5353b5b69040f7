//! Datagrams on a stream: `u16be length` and the bytes of each.

use std::{
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use tagio_wire::tunnel::TUNNEL_DATAGRAM_BYTES_MAX;

/// A flow without a datagram for so long is over: NATs keep one open for a minute or two.
pub const FLOW_IDLE: Duration = Duration::from_secs(60);

/// Writes one, with the length in front in the same piece.
///
/// # Errors
/// It is longer than a datagram, or the stream broke.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), datagram: &[u8]) -> io::Result<()> {
    let len = u16::try_from(datagram.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&len.to_be_bytes()[..], datagram].concat()).await?;
    stream.flush().await
}

/// Reads one into `buffer`, in place of what is there.
///
/// # Errors
/// The stream ended, or what comes is no datagram.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::from(stream.read_u16().await?);
    if len > TUNNEL_DATAGRAM_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    buffer.resize(len, 0);
    stream.read_exact(buffer).await.map(|_| ())
}

/// When a flow was last in use.
#[derive(Debug)]
pub struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Activity {
    /// A datagram has passed.
    pub fn mark(&self) {
        *self.last() = Instant::now();
    }

    /// Waits until none has passed for [`FLOW_IDLE`].
    pub async fn ended(&self) {
        loop {
            let quiet = self.last().elapsed();
            let Some(left) = FLOW_IDLE.checked_sub(quiet) else { return };
            sleep(left).await;
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn datagrams_keep_their_bounds() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let longest = vec![7; TUNNEL_DATAGRAM_BYTES_MAX];
        for datagram in [&b"one"[..], b"", &longest] {
            write(&mut near, datagram).await.expect("it fits");
        }
        let mut buffer = Vec::new();
        for datagram in [&b"one"[..], b"", &longest] {
            read(&mut far, &mut buffer).await.expect("it is there");
            assert_eq!(buffer, datagram);
        }
        near.write_all(&[0xff; 2]).await.expect("it fits");
        assert_eq!(
            read(&mut far, &mut buffer).await.map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
    }
}
