//! Where somebody wants to go.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use thiserror::Error;

/// Longest name in the DNS, as text (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or address.
    pub host: Host,
    /// Never 0.
    pub port: u16,
}

/// A name, or an address in its usual form.
///
/// `2130706433`, `0x7f.1` and `0177.0.0.1` are names here; what a resolver makes of them is checked like any address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// ASCII letters, digits, `-`, `_` and dots.
    Name(Box<str>),
}

/// It is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// The host is neither a name nor an address.
    #[error("that is neither a host name nor an address")]
    Host,
    /// The port is missing or 0.
    #[error("that is no port")]
    Port,
}

impl Target {
    /// From its parts, the host as text; an IPv6 address may stand in brackets.
    ///
    /// # Errors
    /// The host or the port is none.
    pub fn new(host: &str, port: u16) -> Result<Self, BadTarget> {
        if port == 0 {
            return Err(BadTarget::Port);
        }
        Ok(Self { host: host.parse()?, port })
    }

    /// From `host:port`, or `host` and the port that stands for nothing else being said.
    ///
    /// # Errors
    /// The host or the port is none.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, BadTarget> {
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of an IPv6 address without a port is within its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| BadTarget::Port)?),
            _ => (authority, default_port.ok_or(BadTarget::Port)?),
        };
        // `::1:80` could be read in two ways.
        if host.contains(':') && !host.starts_with('[') {
            return Err(BadTarget::Host);
        }
        Self::new(host, port)
    }
}

impl From<SocketAddr> for Target {
    fn from(addr: SocketAddr) -> Self {
        Self { host: Host::Ip(addr.ip()), port: addr.port() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl FromStr for Host {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(bare) = bare {
            return bare.parse().map(|v6| Self::Ip(IpAddr::V6(v6))).map_err(|_| BadTarget::Host);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = name.len() <= NAME_BYTES_MAX
            && name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte));
        if is_name { Ok(Self::Name(text.into())) } else { Err(BadTarget::Host) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
