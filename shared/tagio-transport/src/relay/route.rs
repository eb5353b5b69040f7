//! How a relay was reached, so that legs go the same way.

use std::{net::SocketAddr, sync::Arc};

use crate::carrier::{Carrier, Dialer};

/// Where a relay is, and how it was reached.
#[derive(Clone, Debug)]
pub struct RelayRoute {
    pub(crate) dialer: Arc<Dialer>,
    pub(super) addr: Option<SocketAddr>,
    pub(super) carrier: Carrier,
}

impl RelayRoute {
    /// Where UDP goes to; unknown where only a proxy knows the relay's name.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// What carries the control connection.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }
}
