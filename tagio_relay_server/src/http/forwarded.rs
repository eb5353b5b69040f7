//! Whose request it is that a proxy passes on. Pure.

use std::net::{IpAddr, SocketAddr};

use hyper::{HeaderMap, header::HeaderName};

use crate::config::TrustedProxies;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The address behind `peer`, which is asked only if it is believed: of those that the believed proxies one after the
/// other have added to `X-Forwarded-For`, the first that is nobody of theirs; else `X-Real-IP`. The port is 0 where it
/// is not told.
///
/// What stands before that address came from the client, who may write anything. An entry that is no address ends the
/// search: then the last proxy that was found is the client.
pub(crate) fn client(headers: &HeaderMap, peer: SocketAddr, trusted: &TrustedProxies) -> SocketAddr {
    if !trusted.contains(peer.ip()) {
        return peer;
    }
    if !headers.contains_key(&FORWARDED_FOR) {
        return headers.get(&REAL_IP).and_then(|text| parse(text.as_bytes())).unwrap_or(peer);
    }
    let lists = headers.get_all(&FORWARDED_FOR).iter();
    // As bytes: what a client wrote need not be text, and does not spoil what stands behind it.
    let entries: Vec<&[u8]> = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).collect();
    let mut client = peer;
    for addr in entries.into_iter().rev().map_while(parse) {
        client = addr;
        if !trusted.contains(addr.ip()) {
            break;
        }
    }
    client
}

/// An address with or without a port.
fn parse(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let bare = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let addr = text.parse::<SocketAddr>().or_else(|_| bare()).ok()?;
    Some(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1:5000";

    fn client_of(peer: &str, headers: &[(HeaderName, &'static str)]) -> String {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let trusted = ["10.0.0.0/8".parse().expect("a network")].into_iter().collect();
        client(&headers, peer.parse().expect("an address"), &trusted).to_string()
    }

    #[test]
    fn the_address_before_the_last_believed_proxy_counts() {
        let list = |value| client_of(PROXY, &[(FORWARDED_FOR, value)]);
        assert_eq!(list("203.0.113.7"), "203.0.113.7:0");
        assert_eq!(list("6.6.6.6, 203.0.113.7, 10.0.0.2"), "203.0.113.7:0");
        assert_eq!(list("203.0.113.7:4000"), "203.0.113.7:4000");
        assert_eq!(list("[2001:db8::1]:4000"), "[2001:db8::1]:4000");
        assert_eq!(list("2001:db8::1"), "[2001:db8::1]:0");
        assert_eq!(list("::ffff:203.0.113.7"), "203.0.113.7:0");
        assert_eq!(list("10.0.0.3, 10.0.0.2"), "10.0.0.3:0", "a client within the proxies' network");
        assert_eq!(list("6.6.6.6, unknown, 10.0.0.2"), "10.0.0.2:0");
        assert_eq!(list("6.6.6.6, nobody"), PROXY);
    }

    #[test]
    fn lists_in_several_headers_are_one_and_the_real_ip_is_for_lack_of_them() {
        let two = [(FORWARDED_FOR, "6.6.6.6"), (FORWARDED_FOR, "203.0.113.7")];
        assert_eq!(client_of(PROXY, &two), "203.0.113.7:0");
        assert_eq!(client_of(PROXY, &[(REAL_IP, "203.0.113.7")]), "203.0.113.7:0");
        assert_eq!(
            client_of(PROXY, &[(REAL_IP, "6.6.6.6"), (FORWARDED_FOR, "203.0.113.7")]),
            "203.0.113.7:0"
        );
        assert_eq!(client_of(PROXY, &[]), PROXY);
    }

    #[test]
    fn what_is_no_text_hides_nothing_behind_it() {
        let list = HeaderValue::from_bytes(b"\xff\xfe, 203.0.113.7").expect("a value");
        let headers = HeaderMap::from_iter([(FORWARDED_FOR, list)]);
        let trusted = ["10.0.0.1/32".parse().expect("a network")].into_iter().collect();
        let found = client(&headers, PROXY.parse().expect("an address"), &trusted);
        assert_eq!(found.to_string(), "203.0.113.7:0");
    }

    #[test]
    fn nobody_else_is_believed() {
        let spoofed = [(FORWARDED_FOR, "10.0.0.9"), (REAL_IP, "10.0.0.9")];
        assert_eq!(client_of("203.0.113.7:4000", &spoofed), "203.0.113.7:4000");
    }
}
