//! What routers are asked, and what a healthy one says.

use std::net::{IpAddr, SocketAddr};

use super::{
    grant::{Grant, Protocol},
    pcp::Nonce,
};

/// A question to a router, for the owner of this machine to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Is there a gateway that speaks this?
    Search(Protocol),
    Map(MapAsk),
    /// Does it still know what it gave?
    Check(Protocol),
    GiveBack {
        internal: SocketAddr,
        nonce: Nonce,
        grant: Grant,
    },
}

/// A wish for a new mapping, or for more of one that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapAsk {
    pub(super) lease: usize,
    pub(super) protocol: Protocol,
    pub(super) internal: SocketAddr,
    pub(super) nonce: Nonce,
    /// What is held or was held last: the best would be the same again.
    pub(super) last: Option<Grant>,
}

/// What a router says to a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) epoch: Option<u32>,
    pub(super) external_ip: Option<IpAddr>,
}
