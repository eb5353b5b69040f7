//! Ports of their own: a listener lives as long as a tunnel that was given its number.

use std::{io, net::SocketAddr, sync::Arc};

use tagio_relay_core::tunnel::Route;
use tagio_wire::tunnel::TunnelRefusal;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::debug;

use super::{Tunnels, ingress, udp};
use crate::listeners::{self, PortUse};

/// A port that is listened on. Sessions of one owner share it.
pub(super) struct Door {
    pub(super) route: Route,
    _task: AbortOnDropHandle<()>,
}

/// What a port carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Tcp,
    Udp,
}

impl Kind {
    fn route(self, port: u16) -> Route {
        match self {
            Self::Tcp => Route::TcpPort(port),
            Self::Udp => Route::UdpPort(port),
        }
    }
}

/// Opens a port, or finds it open; 0 is the first that is free.
pub(super) fn open(tunnels: &Arc<Tunnels>, kind: Kind, port: u16) -> Result<Arc<Door>, TunnelRefusal> {
    let mut desk = tunnels.desk();
    desk.doors.retain(|_, door| door.strong_count() > 0);
    if let Some(door) = desk.doors.get(&kind.route(port)).and_then(std::sync::Weak::upgrade) {
        return Ok(door);
    }
    let candidates: Vec<u16> =
        if port == 0 { desk.book.free_ports(|port| kind.route(port)).collect() } else { vec![port] };
    for port in candidates {
        match serve(tunnels, kind, port) {
            Ok(task) => {
                let route = kind.route(port);
                let door = Arc::new(Door { route: route.clone(), _task: AbortOnDropHandle::new(task) });
                desk.doors.insert(route, Arc::downgrade(&door));
                return Ok(door);
            }
            Err(error) => debug!(port, %error, "a port for tunnels is not free"),
        }
    }
    Err(TunnelRefusal::Taken)
}

fn serve(tunnels: &Arc<Tunnels>, kind: Kind, port: u16) -> io::Result<tokio::task::JoinHandle<()>> {
    let addr = SocketAddr::new(tunnels.ingress.ip(), port);
    // Not the tunnels as a whole: they hold the door.
    let (relay, tunnels) = (Arc::clone(&tunnels.relay), Arc::downgrade(tunnels));
    Ok(match kind {
        Kind::Tcp => {
            let listener = TcpListener::from_std(listeners::open_tcp(addr, false)?)?;
            let accept =
                listeners::accept(relay, listener, CancellationToken::new(), move |_, stream, peer| {
                    let tunnels = tunnels.upgrade();
                    async move {
                        if let Some(tunnels) = tunnels {
                            ingress::serve_port(tunnels, stream, peer, port).await;
                        }
                    }
                });
            tokio::spawn(accept)
        }
        Kind::Udp => {
            let socket = UdpSocket::from_std(listeners::open_udp(addr, false, PortUse::Alone)?)?;
            tokio::spawn(udp::serve(tunnels, socket, port))
        }
    })
}
