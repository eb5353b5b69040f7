//! Port mappings at the router: a way in from outside, asked for by PCP, NAT-PMP and UPnP.
//!
//! `task` owns everything and runs on the runtime of whoever called [`PortMapping::spawn`]. `leases`, `epoch`,
//! `pcp` and `nat_pmp` are pure; `port_control` and `upnp` speak with routers; `network` and `gateway` look
//! at this machine. Whatever a router says is only ever one more address for a peer to try.

mod address;
mod ask;
mod epoch;
mod error;
mod gateway;
mod grant;
mod leases;
mod nat_pmp;
mod network;
mod pcp;
mod port_control;
mod task;
mod upnp;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// How long routers get for what is given back; they let go of it by themselves, only later.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// An address at which packets from the Internet reach a socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MappedAddr {
    /// Where peers send to.
    pub external: SocketAddr,
    /// Who made it so.
    pub by: MappedBy,
}

/// The protocol of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MappedBy {
    /// UPnP Internet Gateway Device.
    Upnp,
    /// NAT-PMP, RFC 6886.
    NatPmp,
    /// PCP, RFC 6887.
    Pcp,
    /// A hole in a router's IPv6 firewall, by UPnP; the address is this machine's own.
    Ipv6Pinhole,
}

/// Keeps sockets reachable from outside for as long as it lives.
///
/// Dropped without [`Self::close`], the mappings stay until the router lets them lapse.
#[derive(Debug)]
pub struct PortMapping {
    task: JoinSet<()>,
    external: watch::Receiver<Vec<MappedAddr>>,
    /// Closed by [`Self::close`]: the task gives everything back then.
    look_again: mpsc::Sender<()>,
}

impl PortMapping {
    /// Begins to ask for mappings for UDP sockets that are bound to `bound`; an unspecified address stands
    /// for all of this machine's. Needs a tokio runtime. Asks nobody for sockets on loopback.
    pub fn spawn(bound: Vec<SocketAddr>) -> Self {
        let (publish, external) = watch::channel(Vec::new());
        // One is enough: who looks again does not need to hear twice why.
        let (look_again, wishes) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(task::run(bound, publish, wishes));
        Self { task, external, look_again }
    }

    /// The addresses that are mapped now, and every change of them.
    pub fn external(&self) -> watch::Receiver<Vec<MappedAddr>> {
        self.external.clone()
    }

    /// Something changed, as after sleep or in another network: asks anew, at once. Changes of this
    /// machine's addresses are noticed without it, within seconds.
    pub fn look_again(&self) {
        self.look_again.try_send(()).ok();
    }

    /// Gives every mapping back, which takes at most a second.
    pub async fn close(self) {
        let Self { mut task, look_again, .. } = self;
        drop(look_again);
        tokio::time::timeout(CLOSING_TIME, task.join_next()).await.ok();
    }
}
