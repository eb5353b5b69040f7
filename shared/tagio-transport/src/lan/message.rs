//! Questions and answers of the search on the local network, and the keys behind them. Pure but for the thread that
//! stretches an ID.
//!
//! Either is 40 bytes: `TAGL`, a kind, a zero, 16 bytes of chance, `u16be` port (0 in a question), 16 bytes of
//! HMAC-SHA256 over what stands before them. An answer is no longer than its question.

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tagio_wire::{PeerId, PublicKey};

/// Length of a message in bytes.
pub(super) const MESSAGE_LEN: usize = 40;
const MAGIC: &[u8] = b"TAGL";
const TAG_LEN: usize = 16;
/// Everything before the tag.
const SIGNED_LEN: usize = MESSAGE_LEN - TAG_LEN;

/// Stretching an ID costs 19 MiB and some 30 ms (the least of RFC 9106's advice in common use), so that who overhears
/// a question needs a processor's year to try all IDs.
const STRETCH_KIB: u32 = 19 * 1024;
const STRETCH_PASSES: u32 = 2;
const SALT: &[u8] = b"tagio lan id 1";

/// Makes the questions for one host recognisable to that host.
#[derive(Clone)]
pub struct LanKey([u8; 32]);

impl std::fmt::Debug for LanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LanKey(***)")
    }
}

impl LanKey {
    /// The best that there is for a host: its key, where that is known.
    pub async fn of(key: Option<PublicKey>, id: PeerId) -> Self {
        match key {
            Some(key) => Self::of_host(&key),
            None => {
                tokio::task::spawn_blocking(move || Self::of_id(id)).await.expect("Argon2 does not panic")
            }
        }
    }

    /// For who knows the host's key: nobody else can tell who is asked for.
    pub fn of_host(key: &PublicKey) -> Self {
        let mut mac = hmac(b"tagio lan key 1");
        mac.update(&key.0);
        Self(mac.finalize().into_bytes().into())
    }

    /// For who knows its ID only. Takes tens of milliseconds of a processor.
    pub fn of_id(id: PeerId) -> Self {
        let params = Params::new(STRETCH_KIB, STRETCH_PASSES, 1, Some(32)).expect("within Argon2's bounds");
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(id.to_string().as_bytes(), SALT, &mut key)
            .expect("32 bytes out of some and a salt of 14 are within Argon2's bounds");
        Self(key)
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = hmac(&self.0);
        mac.update(signed);
        mac
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Question = 1,
    Answer = 2,
}

/// A message as it stands on the wire; whose it is only a key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message([u8; MESSAGE_LEN]);

impl Message {
    pub(super) fn question(key: &LanKey, nonce: [u8; 16]) -> Self {
        Self::new(key, Kind::Question, nonce, 0)
    }

    /// The answer to this question: come to `port`.
    pub(super) fn answer(&self, key: &LanKey, port: u16) -> Self {
        Self::new(key, Kind::Answer, self.nonce(), port)
    }

    fn new(key: &LanKey, kind: Kind, nonce: [u8; 16], port: u16) -> Self {
        let mut bytes = [0; MESSAGE_LEN];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = kind as u8;
        bytes[6..22].copy_from_slice(&nonce);
        bytes[22..24].copy_from_slice(&port.to_be_bytes());
        let tag = key.mac(&bytes[..SIGNED_LEN]).finalize().into_bytes();
        bytes[SIGNED_LEN..].copy_from_slice(&tag[..TAG_LEN]);
        Self(bytes)
    }

    /// `None` where it is none of that kind.
    pub(super) fn parse(bytes: &[u8], kind: Kind) -> Option<Self> {
        let message = Self(bytes.try_into().ok()?);
        (bytes.starts_with(MAGIC) && bytes[4] == kind as u8).then_some(message)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&self.0[6..22]);
        nonce
    }

    pub(super) fn port(&self) -> u16 {
        u16::from_be_bytes([self.0[22], self.0[23]])
    }

    /// Whether it was made with `key`.
    pub(super) fn is_by(&self, key: &LanKey) -> bool {
        key.mac(&self.0[..SIGNED_LEN]).verify_truncated_left(&self.0[SIGNED_LEN..]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_key_recognises_a_question_and_its_answer() {
        let (host, other) = (LanKey::of_host(&PublicKey([1; 32])), LanKey::of_host(&PublicKey([2; 32])));
        let question = Message::question(&host, [7; 16]);
        let heard = Message::parse(question.bytes(), Kind::Question).unwrap();
        assert!(heard.is_by(&host) && !heard.is_by(&other));
        let answer = heard.answer(&host, 4000);
        let heard = Message::parse(answer.bytes(), Kind::Answer).unwrap();
        assert!(heard.is_by(&host) && !heard.is_by(&other));
        assert_eq!((heard.port(), heard.nonce()), (4000, [7; 16]));
        assert_eq!(Message::parse(question.bytes(), Kind::Answer), None, "a question is no answer");
        assert_ne!(Message::question(&host, [8; 16]).bytes()[24..], question.bytes()[24..]);
    }

    #[test]
    fn an_id_gives_the_same_key_everywhere_and_each_another() {
        let key = |text: &str| LanKey::of_id(text.parse().unwrap());
        let question = Message::question(&key("123456789"), [0; 16]);
        assert!(question.is_by(&key("123 456 789")) && !question.is_by(&key("123456788")));
    }

    #[test]
    fn any_other_bytes_are_no_message() {
        let question = Message::question(&LanKey([0; 32]), [0; 16]);
        assert_eq!(Message::parse(&[], Kind::Question), None);
        assert_eq!(Message::parse(&question.bytes()[..39], Kind::Question), None);
        let mut bent = question.0;
        bent[30] ^= 1;
        assert!(!Message::parse(&bent, Kind::Question).unwrap().is_by(&LanKey([0; 32])));
    }
}
