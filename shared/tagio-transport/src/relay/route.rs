//! How a relay was reached, so that legs go the same way.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::carrier::{Carrier, CarrierKind, Dialer};

/// Where a relay is, and how it was reached.
#[derive(Clone, Debug)]
pub struct RelayRoute {
    pub(crate) dialer: Arc<Dialer>,
    pub(super) addr: Option<SocketAddr>,
    pub(super) carrier: Carrier,
    /// What the relay's first answer took, by that carrier.
    pub(super) rtt: Duration,
}

impl RelayRoute {
    /// Where UDP goes to; unknown where only a proxy knows the relay's name.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Whether plain TCP got through: a network that stops even that hardly lets UDP out.
    pub(crate) fn is_plain(&self) -> bool {
        self.carrier == Carrier::Stream { kind: CarrierKind::Tcp, proxied: false }
    }

    /// A round trip to the relay, or more: by this carrier, with the relay's own time.
    pub(crate) fn rtt(&self) -> Duration {
        self.rtt
    }

    /// What carries the control connection.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }
}
