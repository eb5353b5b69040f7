//! `UDP ASSOCIATE` (RFC 1928, 7): datagrams for as long as the TCP connection stands that asked for it.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};
use tracing::debug;

use super::wire::{self, Reply};
use crate::front::Datagrams;

/// The longest UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams that one turn takes before the other direction has its own.
const BATCH: usize = 64;

/// Serves an association to its end. The first datagram from the client's address tells its port.
pub(super) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    datagrams: impl Datagrams,
) -> io::Result<()> {
    let local = stream.local_addr()?.ip();
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await?;
    let bound = socket.local_addr()?;
    let bound = SocketAddr::new(bound.ip().to_canonical(), bound.port());
    stream.write_all(&wire::reply(Reply::Done, bound)).await?;
    let mut association = Association { socket, peer, client: None, head: Vec::new(), datagrams };
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            read = stream.read(&mut ignored) => match read {
                Ok(0) | Err(_) => return Ok(()),
                // Nothing is to be said there.
                Ok(_) => {}
            },
            ready = association.socket.readable() => {
                ready?;
                association.take_in(&mut buffer);
            }
            received = association.datagrams.receive() => match received {
                Some((from, payload)) => association.give_back(&from, &payload),
                None => return Ok(()),
            },
        }
    }
}

struct Association<D> {
    socket: UdpSocket,
    /// Of the TCP connection.
    peer: SocketAddr,
    /// Where its datagrams come from, once one has come.
    client: Option<SocketAddr>,
    /// Kept for its memory.
    head: Vec<u8>,
    datagrams: D,
}

impl<D: Datagrams> Association<D> {
    fn take_in(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let (len, from) = match self.socket.try_recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An earlier datagram found nobody.
                Err(error) => return debug!(%error, "UDP receive"),
            };
            let is_stranger = match self.client {
                Some(client) => client != from,
                None => from.ip().to_canonical() != self.peer.ip(),
            };
            if is_stranger {
                continue;
            }
            if let Some((target, payload)) = wire::parse_datagram(&buffer[..len]) {
                self.client = Some(from);
                self.datagrams.send(&target, Bytes::copy_from_slice(payload));
            }
        }
    }

    fn give_back(&mut self, from: &crate::Target, payload: &[u8]) {
        let Some(client) = self.client else { return };
        self.head.clear();
        wire::put_datagram_head(&mut self.head, from);
        self.head.extend_from_slice(payload);
        // A client that does not keep up loses some, as with any UDP.
        let _ = self.socket.try_send_to(&self.head, client);
    }
}
