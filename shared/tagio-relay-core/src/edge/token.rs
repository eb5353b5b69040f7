//! Tokens that let a node in: signed, for one node, for some minutes. Nothing is stored for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::NodeId;

/// Keeps what is signed here apart from anything else that is signed with the same secret.
const PURPOSE: &[u8] = b"tagio edge node\0";
/// The time of its end, seconds since 1970, big endian.
const EXPIRY_BYTES: usize = 8;

/// Makes and checks tokens.
pub struct TokenMint {
    secret: Vec<u8>,
}

impl TokenMint {
    /// Whoever has the secret can make tokens.
    pub fn new(secret: &[u8]) -> Self {
        Self { secret: secret.to_vec() }
    }

    /// A token for `node`, good for `lifetime`.
    pub fn issue(&self, node: &NodeId, now: SystemTime, lifetime: Duration) -> String {
        let expiry = seconds(now + lifetime).to_be_bytes();
        let tag = self.mac(node, expiry).finalize().into_bytes();
        BASE64URL_NOPAD.encode(&[&expiry[..], &tag].concat())
    }

    /// Whether `token` was made here for `node` and is still good. How long that takes tells nothing about the tag.
    pub fn is_good(&self, token: &str, node: &NodeId, now: SystemTime) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(token.as_bytes()) else { return false };
        let Some((expiry, tag)) = bytes.split_first_chunk::<EXPIRY_BYTES>() else { return false };
        let is_ours = self.mac(node, *expiry).verify_slice(tag).is_ok();
        is_ours && seconds(now) < u64::from_be_bytes(*expiry)
    }

    fn mac(&self, node: &NodeId, expiry: [u8; EXPIRY_BYTES]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        mac.update(&expiry);
        mac.update(node.as_str().as_bytes());
        mac
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn node(text: &str) -> NodeId {
        NodeId::parse(text).expect("a name")
    }

    #[test]
    fn a_token_is_good_for_its_node_and_its_time_only() {
        let (mint, now) = (TokenMint::new(b"secret"), UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let token = mint.issue(&node("a"), now, MINUTE);
        assert!(mint.is_good(&token, &node("a"), now));
        assert!(mint.is_good(&token, &node("a"), now + MINUTE - Duration::from_secs(1)));
        assert!(!mint.is_good(&token, &node("a"), now + MINUTE), "expired");
        assert!(!mint.is_good(&token, &node("b"), now), "another's");
        assert!(!TokenMint::new(b"other").is_good(&token, &node("a"), now), "another relay's");
    }

    #[test]
    fn a_changed_token_is_none() {
        let (mint, now) = (TokenMint::new(b"secret"), UNIX_EPOCH);
        let token = mint.issue(&node("a"), now, MINUTE);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(!mint.is_good(&forged, &node("a"), now), "{forged}");
        }
        for nonsense in ["", "A", "AAAAAAAAAAA", "not base64!", &token[..token.len() - 4]] {
            assert!(!mint.is_good(nonsense, &node("a"), now), "{nonsense}");
        }
    }
}
