//! What a router gave, and in which language it has to be spoken to about it.

use std::{net::SocketAddr, time::Duration};

use super::{MappedBy, address::is_public};

/// Asked for: the two hours that RFC 6886 recommends. A router may give less.
pub(super) const LIFETIME_SECS: u32 = 2 * 60 * 60;
/// A mapping for less is not worth its upkeep; a router that offers it is broken, or means harm.
const LIFETIME_SECS_MIN: u32 = 2;
/// Whatever a router promises, it is asked again within a day.
const LIFETIME_SECS_MAX: u32 = 24 * 60 * 60;

/// A way to ask; each lease is sought by all that fit its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// PCP, or NAT-PMP where the router knows nothing newer: the same port, one conversation.
    PortControl,
    /// A mapping of a UPnP Internet gateway.
    Upnp,
    /// A hole in the IPv6 firewall of a UPnP Internet gateway.
    Pinhole,
}

/// How the router knows the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handle {
    Pcp,
    NatPmp,
    Upnp,
    Pinhole { unique_id: u16 },
}

/// A mapping, as a router gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) external: SocketAddr,
    /// 0: until it is given back.
    pub(super) lifetime_secs: u32,
    pub(super) handle: Handle,
    /// Seconds since the router's tables were empty, where it tells.
    pub(super) epoch: Option<u32>,
}

impl Handle {
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Pcp | Self::NatPmp => Protocol::PortControl,
            Self::Upnp => Protocol::Upnp,
            Self::Pinhole { .. } => Protocol::Pinhole,
        }
    }

    pub(super) fn by(self) -> MappedBy {
        match self {
            Self::Pcp => MappedBy::Pcp,
            Self::NatPmp => MappedBy::NatPmp,
            Self::Upnp => MappedBy::Upnp,
            Self::Pinhole { .. } => MappedBy::Ipv6Pinhole,
        }
    }
}

impl Protocol {
    /// Whether it can help a socket with this address.
    pub(super) fn serves(self, internal: SocketAddr) -> bool {
        (self == Self::Pinhole) == internal.is_ipv6()
    }
}

impl Grant {
    /// Whether peers can use it and it lasts: routers offer all sorts of things.
    pub(super) fn is_useful(&self) -> bool {
        let lasts = self.lifetime_secs == 0 || self.lifetime_secs >= LIFETIME_SECS_MIN;
        lasts && self.external.port() != 0 && is_public(self.external.ip())
    }

    /// When half of its life is over. A mapping without end is looked after as often as one of two hours:
    /// a router that starts anew forgets it all the same.
    pub(super) fn renew_after(&self) -> Duration {
        let secs = match self.lifetime_secs {
            0 => LIFETIME_SECS,
            secs => secs.min(LIFETIME_SECS_MAX),
        };
        Duration::from_secs(secs.into()) / 2
    }
}
