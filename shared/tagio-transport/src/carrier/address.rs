//! A relay's name, and the addresses behind it.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
};

use tokio::net::lookup_host;

use super::CarrierError;

/// Most addresses of a name that are tried: a few of each family, so that a long list cannot make a race a flood.
const ADDRESSES_MAX: usize = 4;

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT`, an IPv6 address in brackets; with `default_port`, `HOST` alone will do.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let is_bare = text.ends_with(']') || !text.contains(':');
        let (host, port) = match (text.rsplit_once(':'), default_port) {
            (_, Some(port)) if is_bare => (text, port),
            (Some((host, port)), _) => (host, port.parse().ok()?),
            (None, _) => return None,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }

    /// The same host at another port.
    pub(crate) fn at(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }

    /// The addresses, a few of each family by turns, in the system's order (RFC 8305, section 4).
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, CarrierError> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<_> = found.map_err(|_| CarrierError::Name(self.to_string()))?.collect();
        if found.is_empty() {
            return Err(CarrierError::Name(self.to_string()));
        }
        Ok(by_turns(&found))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(ip) => write!(f, "[{ip}]:{}", self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn by_turns(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = found.first() else { return Vec::new() };
    let (one, other): (Vec<_>, Vec<_>) =
        found.iter().copied().partition(|addr| addr.is_ipv6() == first.is_ipv6());
    let mut sorted = Vec::new();
    for turn in 0..one.len().max(other.len()) {
        sorted.extend([&one, &other].into_iter().filter_map(|family| family.get(turn)));
    }
    sorted.truncate(ADDRESSES_MAX);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let read = |text| HostPort::parse(text, None).map(|at| at.to_string());
        assert_eq!(read("relay.example:443").as_deref(), Some("relay.example:443"));
        assert_eq!(read("[2001:db8::1]:443").as_deref(), Some("[2001:db8::1]:443"));
        assert_eq!(read("relay.example"), None);
        assert_eq!(read(":443"), None);
        assert_eq!(read("relay.example:port"), None);
        let proxy = |text| HostPort::parse(text, Some(3128)).map(|at| at.to_string());
        assert_eq!(proxy("proxy").as_deref(), Some("proxy:3128"));
        assert_eq!(proxy("[::1]").as_deref(), Some("[::1]:3128"));
        assert_eq!(proxy("proxy:8080").as_deref(), Some("proxy:8080"));
    }

    #[test]
    fn families_take_turns_and_the_list_has_an_end() {
        let v6 = |n: u16| SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(), 443);
        let v4 = |n: u8| SocketAddr::new([192, 0, 2, n].into(), 443);
        let found = [v6(1), v6(2), v6(3), v4(1), v4(2), v4(3)];
        assert_eq!(by_turns(&found), [v6(1), v4(1), v6(2), v4(2)]);
        assert_eq!(by_turns(&[v4(1)]), [v4(1)]);
    }
}
