//! How a path would go from this network, before there is a session: for `status --verbose`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tagio_transport::{Endpoint, MappedAddr, NatReport};
use tagio_wire::nat::{Mapping, Reach};
use tokio::time::sleep;

/// How long a router may take to give a port: two tries of PCP, or the search for a UPnP gateway.
const MAPPING_WITHIN: Duration = Duration::from_millis(1800);

/// What this side of a path has to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// What the NAT does.
    pub nat: NatReport,
    /// An IPv6 address that the internet leads to.
    pub v6: Option<SocketAddr>,
    /// Ports that routers lead here.
    pub mapped: Vec<MappedAddr>,
}

/// What is in the way of direct paths, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// Nothing that this side could do better.
    Nothing,
    /// No UDP gets out.
    UdpBlocked,
    /// Ports cannot be foreseen, and no router leads one here.
    Hidden,
    /// The relay sees too little to tell.
    Unknown,
}

impl Outlook {
    /// Asks `relay` and the routers; takes about two seconds. Where only a proxy knows the relay's address, no UDP
    /// gets there.
    pub async fn ask(endpoint: &Endpoint, relay: Option<SocketAddr>) -> Self {
        let probed = async {
            match relay {
                Some(relay) => endpoint.probe_nat(relay).await,
                None => NatReport { mapping: Mapping::Blocked, public: None, local_is_public: false },
            }
        };
        let (nat, ()) = tokio::join!(probed, sleep(MAPPING_WITHIN));
        let mapped = endpoint.mapped();
        let is_global =
            |addr: &SocketAddr| matches!(addr.ip(), IpAddr::V6(ip) if Reach::of(ip.into()) == Reach::World);
        let v6 = endpoint.host_candidates().into_iter().find(is_global);
        Self { nat, v6, mapped }
    }

    /// The one thing that a person could change.
    pub fn hindrance(&self) -> Hindrance {
        match self.nat.mapping {
            Mapping::Blocked => Hindrance::UdpBlocked,
            Mapping::EndpointIndependent => Hindrance::Nothing,
            _ if !self.mapped.is_empty() || self.v6.is_some() => Hindrance::Nothing,
            Mapping::Sequential { .. } | Mapping::Random => Hindrance::Hidden,
            Mapping::Unknown => Hindrance::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use tagio_transport::MappedBy;

    use super::*;

    #[test]
    fn a_router_that_leads_a_port_here_makes_up_for_a_nat_that_hides() {
        let outlook = |mapping, mapped| Outlook {
            nat: NatReport { mapping, public: None, local_is_public: false },
            v6: None,
            mapped,
        };
        let mapped = || vec![MappedAddr { external: "192.0.2.1:4".parse().unwrap(), by: MappedBy::Pcp }];
        assert_eq!(outlook(Mapping::Random, mapped()).hindrance(), Hindrance::Nothing);
        assert_eq!(outlook(Mapping::Random, Vec::new()).hindrance(), Hindrance::Hidden);
        assert_eq!(outlook(Mapping::Blocked, mapped()).hindrance(), Hindrance::UdpBlocked);
        assert_eq!(outlook(Mapping::EndpointIndependent, Vec::new()).hindrance(), Hindrance::Nothing);
    }
}
