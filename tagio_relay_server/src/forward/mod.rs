//! The QUIC forward tunnel on the relay's UDP port; the work is `tagio-forward`'s.
//!
//! QUIC packets that come to a socket of the relay are put into the tunnel's inlet by `udp`, and leave by the same
//! sockets. Legs carry QUIC as well, but behind a header: a bare packet is nobody else's.

mod doorway;
mod keeper;
mod pages;

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, Result};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use tagio_forward::server::{Inlet, Limits as ForwardLimits, Server, ServerConfig, Totals};
use tagio_proxy::{Dialer, TargetPolicy};
use tagio_relay_core::{Limits, SocketIndex};

use crate::{config::Secret, shared::Shared};
use doorway::Sockets;
use keeper::Keeper;

/// Makes the tunnel's secret from the relay's key.
const RESET_LABEL: &[u8] = b"tagio relay forward 1";

/// What a relay with a forward tunnel needs to know.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// Who may use it.
    pub access: ForwardAccess,
    /// Targets besides public ones.
    pub allowed: Vec<IpNet>,
}

/// Who may use the forward tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardAccess {
    /// Everybody.
    Open,
    /// Who knows this.
    Token(Secret),
}

/// The tunnel of a running relay.
pub(crate) struct Forward {
    server: Server<Keeper>,
    inlet: Inlet,
}

impl Forward {
    /// Must be called within a runtime.
    pub(crate) fn open(config: &ForwardConfig, relay: &Arc<Shared>) -> Result<Self> {
        let limits = relay.limits();
        let dialer =
            Dialer::new(TargetPolicy::new(config.allowed.clone()), milliseconds(limits.forward_dial_ms));
        let config = ServerConfig {
            doorkeeper: Keeper::new(Arc::downgrade(relay), &config.access),
            dialer,
            limits: bounds(&limits),
            certificates: relay.tls.certificates(),
            reset_secret: Sha256::new()
                .chain_update(RESET_LABEL)
                .chain_update(relay.key.private())
                .finalize()
                .into(),
        };
        let doorway = Sockets(Arc::clone(&relay.sockets));
        let (server, inlet) = Server::open(config, doorway).context("the forward tunnel cannot be opened")?;
        Ok(Self { server, inlet })
    }

    /// Serves until [`Forward::close`], or until it is dropped.
    pub(crate) async fn run(relay: Weak<Shared>) {
        let Some(relay) = relay.upgrade() else { return };
        if let Some(forward) = relay.forward() {
            forward.server.run().await;
        }
    }

    /// Takes packets of `stride` bytes, the last one of what is left; how many were dropped.
    pub(crate) fn take(&self, socket: SocketIndex, from: SocketAddr, packets: &[u8], stride: usize) -> u64 {
        if self.inlet.put(socket.0, from, packets, stride) {
            0
        } else {
            packets.len().div_ceil(stride) as u64
        }
    }

    pub(crate) fn drain(&self) {
        self.server.drain();
    }

    pub(crate) fn is_in_use(&self) -> bool {
        !self.server.is_idle()
    }

    pub(crate) async fn close(&self) {
        self.server.close().await;
    }

    pub(crate) fn totals(&self) -> Totals {
        self.server.totals()
    }
}

fn bounds(limits: &Limits) -> ForwardLimits {
    ForwardLimits {
        clients_max: limits.forward_clients_max as usize,
        streams_per_client_max: limits.forward_streams_per_client_max,
        streams_max: limits.forward_streams_max as usize,
        flows_per_client_max: limits.forward_flows_per_client_max as usize,
        flows_max: limits.forward_flows_max as usize,
        flow_idle: Duration::from_secs(limits.forward_flow_idle_secs.into()),
        opening: limits.opening(),
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
