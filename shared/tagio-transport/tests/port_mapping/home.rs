//! A home network: a machine of ours behind a router, each in a namespace of its own.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use tagio_testkit::{Namespace, wait_until};
use tagio_transport::{MappedAddr, MappedBy, PortMapping};
use tokio::runtime::Runtime;

pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);

/// Longer than any round of questions, on a machine that has other things to do as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The machine; the test's thread is inside from now on.
pub(crate) struct Home {
    pub(crate) net: Namespace,
    pub(crate) router_net: Namespace,
    runtime: Runtime,
}

/// Mappings, and the sockets that they are for.
pub(crate) struct Mapped {
    pub(crate) mapping: PortMapping,
    pub(crate) sockets: Vec<UdpSocket>,
}

impl Home {
    /// `None`, loudly, where it cannot be.
    pub(crate) fn new() -> Option<Self> {
        let (router_net, net) = (Namespace::new("router")?, Namespace::new("home")?);
        net.join(HOST, &router_net, GATEWAY).expect("a cable to the router");
        net.enter().expect("a thread may enter the network");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Some(Self { net, router_net, runtime: runtime.expect("a runtime") })
    }

    /// Begins to ask for mappings for sockets that are bound here.
    pub(crate) fn map(&self, bound: &[&str]) -> Mapped {
        let bind = |addr: &&str| UdpSocket::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        let sockets: Vec<_> = bound.iter().map(bind).collect();
        let bound = sockets.iter().map(|socket| socket.local_addr().expect("it is bound")).collect();
        let _inside = self.runtime.enter();
        Mapped { mapping: PortMapping::spawn(bound), sockets }
    }

    pub(crate) fn close(&self, mapped: Mapped) {
        self.runtime.block_on(mapped.mapping.close());
    }
}

impl Mapped {
    pub(crate) fn port(&self) -> u16 {
        self.sockets[0].local_addr().expect("it is bound").port()
    }

    pub(crate) fn external(&self) -> Vec<MappedAddr> {
        self.mapping.external().borrow().clone()
    }

    #[track_caller]
    pub(crate) fn wait(&self, external: SocketAddr, by: MappedBy) {
        self.wait_until(&format!("{external} by {by:?}"), |mapped| *mapped == [MappedAddr { external, by }]);
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&[MappedAddr]) -> bool) {
        wait_until(what, PATIENCE, || holds(&self.external()));
    }
}
