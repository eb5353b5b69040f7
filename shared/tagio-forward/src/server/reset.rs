//! Stateless resets (RFC 9000, 10.3) by a key that outlives the process, so that clients learn of a restart at once.

use std::time::Duration;

use hmac::{Hmac, Mac};
use noq::{
    ConnectionId, ConnectionIdGenerator,
    crypto::{CryptoError, HmacKey},
};
use rand::RngExt;
use sha2::Sha256;

const LABEL: &[u8] = b"tagio forward stateless reset 1";
const SIGNATURE_LEN: usize = 32;
const ID_LEN: usize = 8;

/// HMAC-SHA256 (RFC 2104) with a key made from the server's secret.
pub(super) struct ResetKey(Hmac<Sha256>);

impl ResetKey {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mut mac = keyed(secret);
        mac.update(LABEL);
        Self(keyed(&mac.finalize().into_bytes()))
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        let mut mac = self.0.clone();
        mac.update(data);
        signature.copy_from_slice(&mac.finalize().into_bytes());
    }

    fn signature_len(&self) -> usize {
        SIGNATURE_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut mac = self.0.clone();
        mac.update(data);
        mac.verify_slice(signature).map_err(|_| CryptoError)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// noq's own generator signs IDs with a key of the process, and drops those of a predecessor in silence.
pub(super) struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::rng().random::<[u8; ID_LEN]>())
    }

    fn cid_len(&self) -> usize {
        ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
