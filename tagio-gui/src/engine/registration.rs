//! Where and how to register, from the command line, the settings and what was pinned before.

use std::path::{Path, PathBuf};

use tagio_session::IdentityKey;
use tagio_transport::{ReachSettings, relay::RelayConfig};
use tagio_wire::PublicKey;

use crate::config::{RelayAddress, pin_relay_key, pinned_relay_key};

/// A relay to register with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where, and its key if that is known.
    pub relay: RelayAddress,
    auth: Option<String>,
    reach: ReachSettings,
    /// Where pins are kept.
    data_dir: PathBuf,
}

impl Registration {
    /// Registering with `relay`: with the pinned key where none was given.
    ///
    /// # Errors
    /// The pins cannot be read.
    pub fn new(
        mut relay: RelayAddress,
        auth: Option<String>,
        reach: ReachSettings,
        data_dir: PathBuf,
    ) -> anyhow::Result<Self> {
        if relay.key.is_none() {
            relay.key = pinned_relay_key(&data_dir, &relay.at)?;
        }
        Ok(Self { relay, auth, reach, data_dir })
    }

    /// As the transport wants it.
    pub fn config(&self, identity: &IdentityKey, presence: bool) -> RelayConfig {
        let Self { relay, auth, reach, .. } = self;
        RelayConfig {
            addr: relay.at.to_string(),
            key: relay.key,
            identity: *identity.to_bytes(),
            auth: auth.clone(),
            presence,
            reach: reach.clone(),
        }
    }

    /// The relay proved this key: it has to have it the next time too.
    pub fn pin(&self, key: PublicKey) {
        if let Err(error) = pin_relay_key(Path::new(&self.data_dir), &self.relay.at, key) {
            tracing::warn!(%error, "relay not remembered");
        }
    }
}
