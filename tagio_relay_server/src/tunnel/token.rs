//! A token that lets clients open tunnels, and what it is good for.

use sha2::{Digest, Sha256};
use tagio_relay_core::tunnel::{Quota, TokenId};

use crate::config::Secret;

/// See the module.
#[derive(Clone, Debug)]
pub struct TunnelToken {
    /// What a client has to know.
    pub secret: Secret,
    /// What it may have.
    pub quota: Quota,
}

impl TunnelToken {
    /// Stands for it in the book. Of a hash, so that it tells nothing.
    pub(super) fn id(&self) -> TokenId {
        let hash: [u8; 32] = Sha256::digest(self.secret.bytes()).into();
        TokenId(hash.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk)))
    }
}

impl From<Secret> for TunnelToken {
    fn from(secret: Secret) -> Self {
        Self { secret, quota: Quota::default() }
    }
}
