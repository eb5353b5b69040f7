//! One tunnel that stands: what visitors need to know of it.

use std::{io, net::SocketAddr, sync::Arc};

use tagio_relay_core::{
    Denial,
    tunnel::{Access, SessionId},
};
use tagio_tunnel::{
    frames, proof,
    stream::{
        Stream,
        quic::{self, Connection},
    },
    trunk::{Lane, TrunkSlot},
};
use tagio_wire::tunnel::{Carries, Manners, RelayNote, TunnelSecret, Visit};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Visiting,
    pool::Pool,
    ports::Door,
    yamux::{YamuxLine, YamuxStream},
};

/// See the module.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) access: Access,
    pub(super) manners: Manners,
    pub(super) line: Line,
    /// Cancelled when it is to end at once: its token is not good any more.
    pub(super) revoked: CancellationToken,
    /// The port of its own, kept open by those that serve it.
    pub(super) _door: Option<Arc<Door>>,
}

/// How visitors' bytes get to the client.
pub(super) enum Line {
    /// A trunk where there is one, and connections of their own; notes go to the control connection.
    Pool { pool: Pool, pool_key: TunnelSecret, trunk: TrunkSlot, notes: mpsc::Sender<RelayNote> },
    /// Streams of one QUIC connection; notes go to the first one.
    Quic { connection: Connection, notes: mpsc::Sender<RelayNote> },
    /// All in one.
    Yamux(YamuxLine),
}

/// A way to the client for one visitor.
pub(super) enum Way {
    Stream(Stream),
    Yamux(YamuxStream),
}

impl Session {
    /// Says something to the client. One that does not read is found to be silent.
    pub(super) fn note(&self, note: RelayNote) {
        match &self.line {
            Line::Pool { notes, .. } | Line::Quic { notes, .. } => drop(notes.try_send(note)),
            Line::Yamux(_) => {}
        }
    }

    /// Whether a data connection that shows this key is its own.
    pub(super) fn has_key(&self, shown: &TunnelSecret) -> bool {
        matches!(&self.line, Line::Pool { pool_key, .. } if proof::is_same(pool_key, shown))
    }

    /// The relay is about to stop.
    pub(super) fn drain(&self) {
        self.note(RelayNote::Draining);
        if let Line::Pool { pool, .. } = &self.line {
            pool.clear();
        }
    }
}

impl Visiting {
    /// A lane in the trunk for this visit, where there is a trunk.
    pub(super) fn lane(&self, from: SocketAddr) -> Option<Lane> {
        match &self.session.line {
            Line::Pool { trunk, .. } => trunk.open(self.request, from),
            Line::Quic { .. } | Line::Yamux(_) => None,
        }
    }

    /// A connection of its own for a visit that has a lane.
    pub(super) async fn rest(&self, from: SocketAddr) -> Option<TcpStream> {
        match self.open_stream(from, Carries::Rest, &[]).await {
            Ok(Stream::Tcp(stream)) => Some(stream),
            Ok(_) | Err(_) => None,
        }
    }

    /// Gets a way for this visit. `head` are the visitor's first bytes, where they were read already.
    pub(super) async fn open(&self, from: SocketAddr, head: &[u8]) -> Result<Way, Denial> {
        let lost = |_: io::Error| Denial::TunnelWait;
        if let Line::Yamux(line) = &self.session.line {
            let mut stream = line.open(self.tunnels.relay.limits().tunnel_wait()).await?;
            // Also an empty one: the client hears of a stream by its first frame, and may have to speak first.
            let written = stream.write(head).await.map_err(lost)?;
            stream.write_all(&head[written..]).await.map_err(lost)?;
            return Ok(Way::Yamux(stream));
        }
        self.open_stream(from, Carries::Stream, head).await.map(Way::Stream)
    }

    /// As [`Visiting::open`], for a client of our own kind.
    pub(super) async fn open_stream(
        &self,
        from: SocketAddr,
        carries: Carries,
        head: &[u8],
    ) -> Result<Stream, Denial> {
        let limits = self.tunnels.relay.limits();
        let lost = |_: io::Error| Denial::TunnelWait;
        let mut stream = match &self.session.line {
            Line::Pool { pool, .. } => pool.take(limits.tunnel_waiting_max, limits.tunnel_wait()).await?,
            Line::Quic { connection, .. } => {
                let opened = timeout(limits.tunnel_wait(), quic::open(connection)).await;
                opened.map_err(|_| Denial::TunnelWait)?.map_err(lost)?
            }
            Line::Yamux(_) => return Err(Denial::TunnelClaim),
        };
        let visit = Visit { request: self.request, from, carries };
        let mut first = frames::frame(&visit);
        first.extend_from_slice(head);
        stream.write_all(&first).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        Ok(stream)
    }
}
