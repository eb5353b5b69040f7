//! Proof of a token that does not send it: HMAC-SHA256 (RFC 2104) over what the relay has just made up.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tagio_wire::tunnel::{TUNNEL_PROOF_LABEL, TunnelSecret};

/// What a client shows that knows `token`.
pub fn prove(token: &[u8], challenge: &[u8; 32], run: &TunnelSecret) -> TunnelSecret {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("HMAC takes keys of any length");
    mac.update(TUNNEL_PROOF_LABEL);
    mac.update(challenge);
    mac.update(&run.0);
    TunnelSecret(mac.finalize().into_bytes().into())
}

/// Whether two secrets are the same, in the same time whatever they are.
pub fn is_same(a: &TunnelSecret, b: &TunnelSecret) -> bool {
    a.0.ct_eq(&b.0).into()
}
