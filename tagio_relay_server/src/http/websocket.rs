//! WebSockets: the upgrade, and who speaks after it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use tagio_relay_core::Denial;
use tagio_wire::carrier::WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::{
    handshake::server::create_response_with_body,
    protocol::{Role, WebSocketConfig},
};

use super::{
    reply::{self, Reply, TEXT},
    visit::Visit,
};
use crate::{
    access,
    carrier::{Carrier, Rewound, Socket, WebSocket, WebSocketCarrier},
    connection::{self, Visitor},
    edge::{self, NewNode},
    messages,
    shared::Shared,
};

/// What a connection turns into. A new kind of WebSocket is a variant, an arm in [`serve`], and one in the router that
/// calls [`accept`].
pub(crate) enum Upgrade {
    /// It carries a control connection or a leg.
    Carrier(Visitor),
    /// TAGIO messages.
    Messages(Visitor),
    /// A node of the POP.
    EdgeNode(Visitor, Box<NewNode>),
}

/// Answers a client that asks for a carrier.
pub(super) fn upgrade_to_carrier(visit: &Visit, request: &Request<Incoming>) -> Reply {
    accept(visit, request, Some(WEBSOCKET_PROTOCOL), Upgrade::Carrier)
}

/// Answers a client that wants to exchange TAGIO messages.
pub(super) fn upgrade_to_messages(visit: &Visit, request: &Request<Incoming>) -> Reply {
    let secret = access::bearer(request.headers());
    match access::check_secret(&visit.shared, secret, visit.client(request.headers()).ip().into()) {
        Ok(()) => accept(visit, request, None, Upgrade::Messages),
        Err(denial) => {
            visit.shared.denials.count(denial);
            reply::unauthorized(reply::WANTS_SECRET)
        }
    }
}

/// Serves a WebSocket from its first message to its end.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    upgrade: Upgrade,
    socket: Rewound<Socket>,
    unread: Bytes,
) -> Result<(), Denial> {
    match upgrade {
        Upgrade::Carrier(visitor) => {
            let socket = open(socket, unread, WebSocketCarrier::config()).await;
            let carrier =
                Carrier::WebSocket(Box::new(WebSocketCarrier::new(socket, Arc::clone(&shared.denials))));
            connection::serve_carried(shared, carrier, visitor).await
        }
        Upgrade::EdgeNode(visitor, node) => edge::serve(socket, unread, visitor, *node).await,
        Upgrade::Messages(visitor) => messages::websocket::serve(shared, socket, unread, visitor).await,
    }
}

/// Agrees to a WebSocket, if the request asks for one and offers `protocol`, where one is needed.
pub(super) fn accept(
    visit: &Visit,
    request: &Request<Incoming>,
    protocol: Option<&'static str>,
    upgrade: impl FnOnce(Visitor) -> Upgrade,
) -> Reply {
    let Ok(mut reply) = create_response_with_body(request, || Either::Left(Full::default())) else {
        return not_asked_for();
    };
    if let Some(protocol) = protocol {
        if !offers(request, protocol) {
            return reply::bad_request("the subprotocol is missing");
        }
        reply.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    match visit.upgraded(request.headers()) {
        Ok(visitor) => visit.set_upgrade(upgrade(visitor)),
        Err(denial) => return reply::denied(&visit.shared, denial),
    }
    reply
}

/// The messages of a connection that was upgraded; `unread` came behind the request.
async fn open(socket: Rewound<Socket>, unread: Bytes, config: WebSocketConfig) -> WebSocket {
    WebSocket::from_partially_read(socket, unread.into(), Role::Server, Some(config)).await
}

fn offers(request: &Request<Incoming>, protocol: &str) -> bool {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offers = offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    offers.any(|offer| offer.trim() == protocol)
}

fn not_asked_for() -> Reply {
    let text = "this is a WebSocket (RFC 6455)\n".to_owned();
    let mut reply = reply::page(StatusCode::UPGRADE_REQUIRED, TEXT, text);
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    reply
}
