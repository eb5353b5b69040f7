//! Ports of their own: a listener lives as long as a tunnel that was given its number.

use std::{net::SocketAddr, sync::Arc};

use tagio_relay_core::tunnel::Route;
use tagio_wire::tunnel::TunnelRefusal;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::debug;

use super::{Tunnels, ingress};
use crate::listeners;

/// A port that is listened on. Sessions of one owner share it.
pub(super) struct Door {
    pub(super) port: u16,
    _task: AbortOnDropHandle<()>,
}

/// Opens a port, or finds it open; 0 is the first that is free.
pub(super) fn open(tunnels: &Arc<Tunnels>, port: u16) -> Result<Arc<Door>, TunnelRefusal> {
    let mut desk = tunnels.desk();
    desk.doors.retain(|_, door| door.strong_count() > 0);
    if let Some(door) = desk.doors.get(&port).and_then(std::sync::Weak::upgrade) {
        return Ok(door);
    }
    let candidates: Vec<u16> =
        if port == 0 { desk.book.free_ports(Route::TcpPort).collect() } else { vec![port] };
    for port in candidates {
        let addr = SocketAddr::new(tunnels.ingress.ip(), port);
        match listeners::open_tcp(addr, false).and_then(TcpListener::from_std) {
            Ok(listener) => {
                let door = Arc::new(Door { port, _task: serve(tunnels, listener, port) });
                desk.doors.insert(port, Arc::downgrade(&door));
                return Ok(door);
            }
            Err(error) => debug!(port, %error, "a port for tunnels is not free"),
        }
    }
    Err(TunnelRefusal::Taken)
}

fn serve(tunnels: &Arc<Tunnels>, listener: TcpListener, port: u16) -> AbortOnDropHandle<()> {
    // Not the tunnels as a whole: they hold the door.
    let (relay, tunnels) = (Arc::clone(&tunnels.relay), Arc::downgrade(tunnels));
    let accept = listeners::accept(relay, listener, CancellationToken::new(), move |_, stream, peer| {
        let tunnels = tunnels.upgrade();
        async move {
            if let Some(tunnels) = tunnels {
                ingress::serve_port(tunnels, stream, peer, port).await;
            }
        }
    });
    AbortOnDropHandle::new(tokio::spawn(accept))
}
