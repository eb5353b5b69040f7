//! The client's end of a trunk: made when the tunnel is opened, and again when it is lost.

use std::{io, sync::Arc, time::Duration};

use tagio_wire::tunnel::TunnelPreface;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    connect::Way,
    data::{RELAY_CONNECT, dial},
    pool::Link,
};
use crate::{stream::Stream, trunk::Visitor};

/// A trunk that is lost, or not wanted by the relay, is not tried again sooner: visitors can do without.
const PAUSE: Duration = Duration::from_secs(3);

/// Whether visitors shall share a connection. By bare TCP, whose place is a network that loses little: on others a
/// lost packet would hold all of them up. A recorder of requests wants streams.
pub(super) fn is_wanted(link: &Link) -> bool {
    matches!(link.way, Way::Dialled { tls: None, .. }) && link.recorder.is_none()
}

/// Keeps a trunk. While there is none, visitors come by data connections.
pub(super) async fn keep(link: Arc<Link>, visitors: mpsc::Sender<Visitor>) {
    loop {
        let dialled = timeout(RELAY_CONNECT, dial(&link, TunnelPreface::Trunk)).await;
        match dialled.map_err(io::Error::from).flatten() {
            Ok(Stream::Tcp(stream)) => {
                let ended = link.trunk.renew().run(stream, Some(visitors.clone())).await;
                debug!(?ended, "trunk");
            }
            Ok(_) => return,
            Err(error) => debug!(%error, "no trunk"),
        }
        sleep(PAUSE).await;
    }
}
