//! How the tunnel's packets leave: by the relay's own sockets.

use std::{future::Future, io, net::SocketAddr, num::NonZeroUsize, pin::Pin, sync::Arc};

use tagio_forward::server::Doorway;
use tagio_relay_core::SocketIndex;

use crate::udp::UdpSockets;

pub(super) struct Sockets(pub(super) Arc<UdpSockets>);

impl Doorway for Sockets {
    fn try_send(&self, socket: u8, to: SocketAddr, packets: &[u8], segment: usize) -> io::Result<()> {
        self.0.try_send(SocketIndex(socket), packets, segment, to)
    }

    fn writable(&self, socket: u8) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let sockets = Arc::clone(&self.0);
        Box::pin(async move {
            // A socket that fails says so at the next try.
            let _ = sockets.writable(SocketIndex(socket)).await;
        })
    }

    fn segments_max(&self) -> NonZeroUsize {
        self.0.segments_max()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}
