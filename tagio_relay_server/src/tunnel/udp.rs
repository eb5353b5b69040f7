//! UDP ports of tunnels: each visitor's address is a flow, and each flow a stream to the client.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Weak, atomic::Ordering},
};

use tagio_relay_core::{Denial, tunnel::Route};
use tagio_tunnel::datagrams::{self, Activity};
use tagio_wire::tunnel::Carries;
use tokio::{
    io::split,
    net::UdpSocket,
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
};
use tracing::debug;

use super::Tunnels;
use crate::listeners;

/// Datagrams of one flow that wait for its client. Later ones are dropped, as a network would.
const FLOW_QUEUE: usize = 64;
/// Longest datagram that comes by UDP over IPv4 or IPv6.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Serves a port; never returns, unless the relay is gone.
pub(super) async fn serve(tunnels: Weak<Tunnels>, socket: UdpSocket, port: u16) {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (len, from) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                // Some systems tell here that an earlier answer found nobody.
                Err(error) => {
                    debug!(%error, port, "a UDP port of a tunnel");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            Some(ended) = tasks.join_next() => {
                match ended {
                    Ok(from) => drop(flows.remove(&from)),
                    Err(error) => listeners::report(Err(error)),
                }
                continue;
            }
        };
        let Some(tunnels) = tunnels.upgrade() else { return };
        let flow = flows.entry(from).or_insert_with(|| {
            let (sender, queue) = mpsc::channel(FLOW_QUEUE);
            let (tunnels, socket) = (Arc::clone(&tunnels), Arc::clone(&socket));
            tasks.spawn(async move {
                if let Err(denial) = carry(&tunnels, &socket, port, from, queue).await {
                    tunnels.deny(denial);
                    debug!(peer = %from, reason = denial.label(), "flow turned away");
                }
                from
            });
            sender
        });
        if let Err(TrySendError::Full(_)) = flow.try_send(buffer[..len].to_vec()) {
            tunnels.deny(Denial::TunnelDatagramDropped);
        }
    }
}

/// One flow, to its end.
async fn carry(
    tunnels: &Arc<Tunnels>,
    socket: &UdpSocket,
    port: u16,
    from: SocketAddr,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> Result<(), Denial> {
    let visitor = SocketAddr::new(from.ip().to_canonical(), from.port());
    let _visitor = tunnels.enter(visitor.ip())?;
    let visiting = tunnels.admit(&Route::UdpPort(port), visitor.ip())?;
    if visiting.session.access.wants_password() {
        // Only requests can show one.
        return Err(Denial::TunnelAccess);
    }
    debug!(request = visiting.request, peer = %visitor, port, "flow");
    let (mut read, mut write) = split(visiting.open_stream(visitor, Carries::Datagrams, &[]).await?);
    let activity = Activity::default();
    let inward = async {
        while let Some(datagram) = queue.recv().await {
            datagrams::write(&mut write, &datagram).await?;
            tunnels.meter.inward.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            activity.mark();
        }
        Ok::<_, io::Error>(())
    };
    let outward = async {
        let mut datagram = Vec::new();
        loop {
            datagrams::read(&mut read, &mut datagram).await?;
            // A datagram that the system does not take is lost like others.
            let _ = socket.send_to(&datagram, from).await;
            tunnels.meter.outward.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            activity.mark();
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = inward => ended,
        ended = outward => ended,
        () = activity.ended() => Ok(()),
    };
    debug!(request = visiting.request, ?ended, "flow ended");
    Ok(())
}
