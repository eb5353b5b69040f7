//! Fields of requests and responses: what a tunnel's client asked for, and what only concerns one connection.

use hyper::{
    HeaderMap, Request, Uri, Version,
    header::{self, HeaderName, HeaderValue},
};
use tagio_wire::tunnel::Manners;

use super::Origin;

/// Fields that are about one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 4] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether the visitor wants to speak something else on this connection.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    headers.contains_key(header::UPGRADE)
        && options
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Makes a visitor's request one to the service.
pub(super) fn rewrite<B>(request: &mut Request<B>, manners: &Manners, took_password: bool, from: &Origin) {
    *request.version_mut() = Version::HTTP_11;
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    // Nothing but a path: the visitor takes the relay for a proxy, or asks for `*`.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(origin) = path.parse::<Uri>() {
        *request.uri_mut() = origin;
    }
    let headers = request.headers_mut();
    if !is_upgrade(headers) {
        remove_hop_by_hop(headers);
    }
    if took_password {
        // It was for the relay; the service has no use for it.
        headers.remove(header::AUTHORIZATION);
    }
    let host = authority.and_then(|text| HeaderValue::from_str(&text).ok());
    let host = host.or_else(|| headers.get(header::HOST).cloned());
    if manners.forwarded {
        if !from.is_believed {
            // What the visitor says of itself there is not to be believed.
            [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST]
                .iter()
                .for_each(|name| drop(headers.remove(name)));
        }
        let peer = HeaderValue::from_str(&from.peer.to_string()).expect("an address is plain text");
        headers.append(FORWARDED_FOR, peer);
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        if let Some(host) = &host {
            headers.entry(FORWARDED_HOST).or_insert(host.clone());
        }
    }
    let wanted = manners.host_header.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(host) = wanted.or(host) {
        headers.insert(header::HOST, host);
    }
}

/// Removes what is about one connection.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
