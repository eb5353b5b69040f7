//! Proof of a token that does not send it: HMAC-SHA256 (RFC 2104) over a greeting that only its two ends know.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tagio_wire::tunnel::{TUNNEL_PROOF_LABEL, TUNNEL_RELAY_PROOF_LABEL, TunnelSecret};

use crate::greeting::GreetingHash;

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prover {
    /// Who opens a tunnel.
    Client,
    /// Who gives it a place.
    Relay,
}

/// What somebody shows who knows `token`.
pub fn prove(by: Prover, token: &[u8], greeting: &GreetingHash, run: &TunnelSecret) -> TunnelSecret {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("HMAC takes keys of any length");
    mac.update(match by {
        Prover::Client => TUNNEL_PROOF_LABEL,
        Prover::Relay => TUNNEL_RELAY_PROOF_LABEL,
    });
    mac.update(&greeting.0);
    mac.update(&run.0);
    TunnelSecret(mac.finalize().into_bytes().into())
}

/// Whether two secrets are the same, in the same time whatever they are.
pub fn is_same(a: &TunnelSecret, b: &TunnelSecret) -> bool {
    a.0.ct_eq(&b.0).into()
}
