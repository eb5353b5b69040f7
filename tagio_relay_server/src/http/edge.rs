//! Where edge nodes come: `GET /node/pop` for a token, `/ws/node` with it.

use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue},
};
use serde_json::json;
use tagio_edge::{
    link::LinkConfig,
    wire::{FLOW_HEADER, NodeVersion},
};
use tagio_relay_core::{Denial, edge::NodeId};

use super::{
    pages,
    reply::{self, JSON, Reply},
    visit::Visit,
    websocket::{self, Upgrade},
};
use crate::{access, edge::NewNode};

/// Path of the WebSocket.
pub(super) const NODE_PATH: &str = "/ws/node";
/// Where a node asks for it.
pub(super) const POP_PATH: &str = "/node/pop";

/// What a believed proxy says of how a client came to it.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where to connect, and a token for it.
pub(super) fn pop(visit: &Visit, request: &Request<Incoming>) -> Reply {
    let Some(edges) = visit.shared.edges() else { return reply::not_found() };
    let Some(node) = query(request, "nodeid").as_deref().and_then(NodeId::parse) else {
        return reply::bad_request("?nodeid= and the node's UUID are wanted");
    };
    let token = match edges.token(&node, visit.client(request.headers()).ip().into()) {
        Ok(token) => token,
        Err(denial) => return reply::denied(&visit.shared, denial),
    };
    let host = pages::dialled(request, visit.local.port()).unwrap_or_else(|| visit.local.to_string());
    let scheme = if is_secure(visit, request) { "wss" } else { "ws" };
    let answer = json!({ "server_url": format!("{scheme}://{host}{NODE_PATH}"), "access_token": token });
    reply::of(StatusCode::OK, JSON, answer.to_string())
}

/// Answers a node that wants its WebSocket.
pub(super) fn upgrade(visit: &Visit, request: &Request<Incoming>) -> Reply {
    let Some(edges) = visit.shared.edges() else { return reply::not_found() };
    let Some(id) = query(request, "id").as_deref().and_then(NodeId::parse) else {
        return reply::bad_request("?id= and the node's UUID are wanted");
    };
    match edges.check(access::bearer(request.headers()), &id) {
        Ok(()) => {}
        Err(denial @ Denial::EdgeToken) => {
            visit.shared.denials.count(denial);
            return reply::unauthorized(
                "the token is missing, expired or another's: ask /node/pop for one\n",
            );
        }
        Err(denial) => return reply::denied(&visit.shared, denial),
    }
    let version = NodeVersion::parse(&query(request, "version").unwrap_or_default());
    let window = request.headers().get(FLOW_HEADER).and_then(|text| text.to_str().ok());
    let window = window.and_then(LinkConfig::parse_window);
    let held = edges.window();
    let mut answer = websocket::accept(visit, request, None, |visitor| {
        Upgrade::EdgeNode(visitor, Box::new(NewNode { edges, id, version, window }))
    });
    if window.is_some() && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(FLOW_HEADER, HeaderValue::from(held));
    }
    answer
}

fn query(request: &Request<Incoming>, key: &str) -> Option<String> {
    let query = request.uri().query()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.into_owned())
}

/// Whether the client came by TLS, to here or to a believed proxy.
fn is_secure(visit: &Visit, request: &Request<Incoming>) -> bool {
    let proto = request.headers().get(FORWARDED_PROTO);
    visit.is_tls || (visit.visitor.pass.is_proxy() && proto.is_some_and(|proto| proto == "https"))
}
