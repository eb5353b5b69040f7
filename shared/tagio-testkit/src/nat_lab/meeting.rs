//! The programs in a laboratory of NATs: a relay, a host at site b, viewers at site a.

use std::{net::SocketAddr, time::Duration};

use super::{NatLab, RELAY_ADDRESSES};
use crate::{
    Lab, Program,
    lab::{Host, PASSWORD, Relay},
};

/// Where companies let TCP leave to.
const RELAY_PORT: u16 = 443;

/// A relay and a host that wait for viewers.
#[derive(Debug)]
pub struct Meeting<'a> {
    lab: &'a Lab,
    nets: &'a NatLab,
    /// The relay.
    pub relay: Relay,
    /// The host.
    pub host: Host,
}

/// How one viewer fared; times since its start.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Until the first picture was on the screen.
    pub first_frame: Option<Duration>,
    /// Until packets went directly.
    pub direct: Option<Duration>,
}

impl<'a> Meeting<'a> {
    /// Starts both and waits until the host has its ID.
    pub fn start(lab: &'a Lab, nets: &'a NatLab) -> Self {
        let [ip, _] = RELAY_ADDRESSES;
        let command = lab.public_relay_command(&format!("0.0.0.0:{RELAY_PORT}"), &ip.to_string());
        let mut relay = Relay::start(&mut nets.relay().inside(&command));
        relay.address = SocketAddr::from((ip, RELAY_PORT));
        let mut command = lab.host_command(&["--relay", &relay.flag()]);
        command.args(["--password", PASSWORD]);
        let host = Host::start(&mut nets.host().inside(&command));
        host.id();
        Self { lab, nets, relay, host }
    }

    /// Starts a viewer of the host.
    pub fn viewer(&self, args: &[&str]) -> Program {
        self.viewer_with(args, &[])
    }

    /// The same, with these variables in its environment.
    pub fn viewer_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Program {
        let mut command = self.lab.viewer_command(&self.host.id(), args);
        command.args(["--password", PASSWORD, "--relay", &self.relay.flag()]);
        command.envs(variables.iter().copied());
        Program::start("viewer", &mut self.nets.viewer().inside(&command))
    }

    /// Starts a viewer and watches until it has a picture and a direct path, but no longer than this.
    pub fn trial(&self, limit: Duration) -> Trial {
        let viewer = self.viewer(&[]);
        let direct = viewer.time_of(is_direct, limit);
        let rest = limit.saturating_sub(viewer.age());
        let first_frame = viewer.time_of(|line| line.starts_with("first-frame "), rest);
        Trial { first_frame, direct }
    }
}

/// Whether a viewer's line says that packets go directly from now on.
pub fn is_direct(line: &str) -> bool {
    line == "path direct" || line.starts_with("connected direct ")
}
