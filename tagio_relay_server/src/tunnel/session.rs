//! One tunnel that stands: what visitors need to know of it.

use std::{io, sync::Arc};

use tagio_relay_core::{
    Denial,
    tunnel::{Access, SessionId},
};
use tagio_tunnel::frames;
use tagio_wire::tunnel::{Carries, Manners, RelayNote, TunnelSecret, Visit};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::{Visiting, pool::Pool, ports::Door, yamux::YamuxLine};

/// See the module.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) access: Access,
    pub(super) manners: Manners,
    pub(super) line: Line,
    /// The port of its own, kept open by those that serve it.
    pub(super) _door: Option<Arc<Door>>,
}

/// How visitors' bytes get to the client.
pub(super) enum Line {
    /// Connections of their own; notes go to the control connection.
    Pool { pool: Pool, pool_key: TunnelSecret, notes: mpsc::Sender<RelayNote> },
    /// All in one.
    Yamux(YamuxLine),
}

/// A way to the client for one visitor.
pub(super) enum Way {
    Tcp(TcpStream),
    Yamux(Compat<::yamux::Stream>),
}

impl Session {
    /// Says something to the client. One that does not read is found to be silent.
    pub(super) fn note(&self, note: RelayNote) {
        match &self.line {
            Line::Pool { notes, .. } => drop(notes.try_send(note)),
            Line::Yamux(_) => {}
        }
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
    /// Gets a way for this visit. `head` are the visitor's first bytes, where they were read already.
    pub(super) async fn open(&self, from: std::net::SocketAddr, head: &[u8]) -> Result<Way, Denial> {
        let limits = self.tunnels.relay.limits();
        let lost = |_: io::Error| Denial::TunnelWait;
        match &self.session.line {
            Line::Pool { pool, .. } => {
                let mut stream = pool.take(limits.tunnel_waiting_max, limits.tunnel_wait()).await?;
                let visit = Visit { request: self.request, from, carries: Carries::Stream };
                let mut first = frames::frame(&visit);
                first.extend_from_slice(head);
                stream.write_all(&first).await.map_err(lost)?;
                Ok(Way::Tcp(stream))
            }
            Line::Yamux(line) => {
                let mut stream = line.open(limits.tunnel_wait()).await?.compat();
                stream.write_all(head).await.map_err(lost)?;
                Ok(Way::Yamux(stream))
            }
        }
    }
}
