//! Proxies in front of the relay whose word on client addresses is believed.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of such proxies; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether `ip`, which is never an IPv4 address in IPv6 form, is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&ip))
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        Self(nets.into_iter().collect())
    }
}

/// Reads a network, or an address, which is a network of one.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| format!("{text} is no address and no network like 10.0.0.0/8"))
}
