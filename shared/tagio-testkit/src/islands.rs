//! A relay, a host and a viewer in networks of their own, joined by links whose rate can be chosen.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    Lab, Namespace, Program,
    lab::{Host, LIMIT, PASSWORD, Relay},
};

/// Where the relay is, for both.
const RELAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The host's end of its cable to the relay, and the relay's end of it.
const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const HOST_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const VIEWER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);
const VIEWER_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);

/// Displays, and three networks: host and viewer reach the relay's address and nothing else.
#[derive(Debug)]
pub struct Islands {
    /// The displays and the folder.
    pub lab: Lab,
    /// The relay's network.
    pub relay_net: Namespace,
    /// The host's.
    pub host_net: Namespace,
    /// The viewer's.
    pub viewer_net: Namespace,
}

impl Islands {
    /// Joins them. `None`, loudly, where that is not possible.
    ///
    /// # Panics
    /// When a network can be made and not be joined.
    pub fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let relay_net = Namespace::new("relay")?;
        let host_net = Namespace::new("host")?;
        let viewer_net = Namespace::new("viewer")?;
        relay_net.add_address(RELAY_ADDRESS).expect("the relay's address");
        host_net.join(HOST_ADDRESS, &relay_net, HOST_ROUTER).expect("the host's cable");
        viewer_net.join(VIEWER_ADDRESS, &relay_net, VIEWER_ROUTER).expect("the viewer's cable");
        Some(Self { lab, relay_net, host_net, viewer_net })
    }

    /// Starts the relay.
    pub fn relay(&self) -> Relay {
        let command = self.lab.relay_command(&format!("{RELAY_ADDRESS}:0"));
        Relay::start(&mut self.relay_net.inside(&command))
    }

    /// Starts the host with [`PASSWORD`].
    pub fn host(&self, relay: &Relay, args: &[&str]) -> Host {
        let mut command = self.lab.host_command(args);
        command.args(["--password", PASSWORD, "--relay", &relay.flag()]);
        Host::start(&mut self.host_net.inside(&command))
    }

    /// Starts a viewer and waits for its first frame.
    pub fn viewer(&self, relay: &Relay, host: &Host, args: &[&str]) -> Program {
        self.viewer_by(relay.address, host, args)
    }

    /// Starts a viewer that knows the relay under this address, and waits for its first frame.
    pub fn viewer_by(&self, relay: SocketAddr, host: &Host, args: &[&str]) -> Program {
        let mut command = self.lab.viewer_command(&host.id(), args);
        command.args(["--password", PASSWORD, "--relay", &relay.to_string()]);
        let viewer = Program::start("viewer", &mut self.viewer_net.inside(&command));
        viewer.word("first-frame", LIMIT);
        viewer
    }

    /// From now on the host's link carries so many kilobits a second in either direction; `None` is any number.
    ///
    /// # Panics
    /// When the kernel knows no such limit.
    #[track_caller]
    pub fn limit_host_link(&self, kilobits_per_second: Option<u32>) {
        for (net, neighbour) in [(&self.host_net, HOST_ROUTER), (&self.relay_net, HOST_ADDRESS)] {
            net.limit_rate(neighbour, kilobits_per_second).unwrap_or_else(|error| panic!("{error:#}"));
        }
    }
}
