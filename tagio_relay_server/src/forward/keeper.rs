//! Who may use the tunnel, by the relay's own rules for newcomers.

use std::{
    net::IpAddr,
    sync::{Arc, Weak},
    time::Instant,
};

use tagio_forward::server::Doorkeeper;
use tagio_relay_core::{Denial, SourceNet};

use super::ForwardAccess;
use crate::{
    access::AuthHash,
    lock::lock,
    shared::{Pass, Shared},
};

pub(super) struct Keeper {
    /// Weak, as it holds this.
    relay: Weak<Shared>,
    token: Option<AuthHash>,
}

impl Keeper {
    pub(super) fn new(relay: Weak<Shared>, access: &ForwardAccess) -> Self {
        let token = match access {
            ForwardAccess::Open => None,
            ForwardAccess::Token(token) => Some(AuthHash::new(token)),
        };
        Self { relay, token }
    }

    fn knock(relay: &Arc<Shared>, ip: IpAddr) -> Result<Pass, Denial> {
        let net = SourceNet::from(ip);
        lock(&relay.admission).spend_handshake(net, Instant::now())?;
        Pass::open(relay, net)
    }
}

impl Doorkeeper for Keeper {
    type Pass = Pass;

    fn knock(&self, ip: IpAddr) -> Option<Pass> {
        let relay = self.relay.upgrade()?;
        Self::knock(&relay, ip).inspect_err(|denial| relay.denials.count(*denial)).ok()
    }

    fn wants_token(&self) -> bool {
        self.token.is_some()
    }

    fn admits(&self, ip: IpAddr, shown: &[u8]) -> bool {
        let Some(token) = &self.token else { return true };
        let Some(relay) = self.relay.upgrade() else { return false };
        let net = SourceNet::from(ip);
        let mut admission = lock(&relay.admission);
        let now = Instant::now();
        let checked = admission.may_try_secret(net, now).and_then(|()| {
            if token.matches(shown) {
                return Ok(());
            }
            admission.wrong_secret(net, now);
            Err(Denial::WrongSecret)
        });
        checked.inspect_err(|denial| relay.denials.count(*denial)).is_ok()
    }

    fn establish(&self, pass: &Pass) {
        pass.establish();
    }
}
