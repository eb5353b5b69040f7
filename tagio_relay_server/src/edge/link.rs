//! A node's WebSocket, from its upgrade to its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tagio_edge::{
    link::{self, Host, Link, LinkConfig, LinkEnd},
    wire::{Message, NodeVersion},
};
use tagio_relay_core::{
    Denial,
    edge::{LinkId, NodeId},
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Connected, Edges};
use crate::{
    carrier::{Rewound, Socket, WebSocket},
    connection::Visitor,
    lock::lock,
};

/// A node whose token is good.
pub(crate) struct NewNode {
    pub(crate) edges: Arc<Edges>,
    pub(crate) id: NodeId,
    pub(crate) version: NodeVersion,
    /// How many bytes of a session it holds, if it said so.
    pub(crate) window: Option<u32>,
}

/// Serves a node to its end; `unread` came behind the request.
pub(crate) async fn serve(
    socket: Rewound<Socket>,
    unread: Bytes,
    visitor: Visitor,
    node: NewNode,
) -> Result<(), Denial> {
    let NewNode { edges, id, version, window } = node;
    let limits = edges.relay.limits();
    let config = LinkConfig {
        ping: Duration::from_secs(limits.edge_ping_secs.max(1).into()),
        sessions_max: limits.edge_sessions_per_node_max as usize,
        room: edges.room(),
        window: limits.edge_window_bytes,
        peer_window: window,
    };
    let (link, outgoing) = Link::new(config, CancellationToken::new());
    let seat = Seat::take(&edges, id, Connected { link: link.clone(), version }, &visitor)?;
    visitor.pass.establish();
    info!(link = seat.link.0, "edge node came");
    debug!(link = seat.link.0, peer = %visitor.peer, has_flow_control = window.is_some(), "where it is");
    let config = link::websocket_config();
    let socket = WebSocket::from_partially_read(socket, unread.into(), Role::Server, Some(config)).await;
    let end = link::run(&link, outgoing, socket, &mut Counting(&edges)).await;
    info!(link = seat.link.0, "edge node left: {end}");
    match end {
        LinkEnd::Malformed => Err(Denial::EdgeMessage),
        LinkEnd::Silent => Err(Denial::EdgeSilent),
        LinkEnd::Closed | LinkEnd::Replaced | LinkEnd::Stopped | LinkEnd::WebSocket(_) => Ok(()),
    }
}

/// Counts what goes wrong. A node opens no sessions, so what is for none comes too late for one.
struct Counting<'e>(&'e Edges);

impl Host for Counting<'_> {
    fn stranger(&mut self, _message: Message) {}

    fn overflow(&mut self) {
        self.0.deny(Denial::EdgeOverflow);
    }
}

/// A node's place, given up when this is dropped.
struct Seat<'e> {
    edges: &'e Edges,
    id: NodeId,
    link: LinkId,
}

impl<'e> Seat<'e> {
    /// Takes it; whoever had it goes.
    fn take(edges: &'e Edges, id: NodeId, node: Connected, visitor: &Visitor) -> Result<Self, Denial> {
        let mut desk = lock(&edges.desk);
        let link = LinkId(desk.next_link);
        let old = desk.book.join(id.clone(), link, visitor.peer.ip().into())?;
        desk.next_link += 1;
        if let Some(old) = old.and_then(|old| desk.links.remove(&old)) {
            old.link.replace();
        }
        desk.links.insert(link, node);
        drop(desk);
        Ok(Self { edges, id, link })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut desk = lock(&self.edges.desk);
        desk.book.leave(&self.id, self.link);
        desk.links.remove(&self.link);
    }
}
