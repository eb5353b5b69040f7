//! Who is who: the 9-digit ID that people dial and the key that it stands for.

use std::{fmt, str::FromStr};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The number that people read to each other. Nine digits, the first not 0.
///
/// A dialling alias only: the relay binds it to a [`PublicKey`] for good, and peers check the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PeerId(u32);

/// Text that is not a [`PeerId`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("an ID has nine digits, like 123 456 789")]
pub struct IdError;

impl PeerId {
    /// Smallest ID.
    pub const MIN: u32 = 100_000_000;
    /// Largest ID.
    pub const MAX: u32 = 999_999_999;

    /// The ID with this number.
    pub const fn new(number: u32) -> Result<Self, IdError> {
        if number >= Self::MIN && number <= Self::MAX { Ok(Self(number)) } else { Err(IdError) }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The form for people: `123 456 789`.
    pub fn spaced(self) -> String {
        let n = self.0;
        format!("{:03} {:03} {:03}", n / 1_000_000, n / 1000 % 1000, n % 1000)
    }
}

impl TryFrom<u32> for PeerId {
    type Error = IdError;
    fn try_from(number: u32) -> Result<Self, IdError> {
        Self::new(number)
    }
}

impl From<PeerId> for u32 {
    fn from(id: PeerId) -> Self {
        id.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for PeerId {
    type Err = IdError;

    /// Accepts the digits with any spaces, dots or dashes between them.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut number = 0u32;
        let mut digits = 0;
        for c in text.chars() {
            match c {
                '0'..='9' => {
                    digits += 1;
                    if digits > 9 {
                        return Err(IdError);
                    }
                    number = number * 10 + u32::from(c as u8 - b'0');
                }
                ' ' | '\u{a0}' | '\u{202f}' | '.' | '-' | '\t' | '\n' | '\r' => {}
                _ => return Err(IdError),
            }
        }
        Self::new(number)
    }
}

/// An X25519 public key. The key of a device *is* its identity; so is a relay's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicKey(pub [u8; 32]);

/// Text that is not a [`PublicKey`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a key has 52 letters and digits (base32)")]
pub struct KeyError;

impl PublicKey {
    /// What people compare: the first 80 bits in four groups of four.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut head = [0; 10];
        head.copy_from_slice(&self.0[..10]);
        Fingerprint(head)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}…)", HEXLOWER.encode(&self.0[..4]))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE32_NOPAD.decode(text.trim().to_ascii_uppercase().as_bytes()).map_err(|_| KeyError)?;
        Ok(Self(bytes.try_into().map_err(|_| KeyError)?))
    }
}

/// The short form of a [`PublicKey`], for screens: `abcd-efgh-ijkl-mnop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 10]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        write!(f, "{}-{}-{}-{}", &text[..4], &text[4..8], &text[8..12], &text[12..])
    }
}
