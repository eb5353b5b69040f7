//! The secrets that let a viewer in: the one-time code and the unattended password.

use std::fmt;

use rand::{CryptoRng, RngExt};
use tagio_wire::session::SecretKind;
use thiserror::Error;
use zeroize::Zeroizing;

/// Consonants and digits: no vowels, so that no code spells a word, and neither l, 0 nor 1, which people
/// mix up when they read a code aloud.
const CODE_ALPHABET: &[u8] = b"bcdfghjkmnpqrstvwxyz23456789";

/// Symbols of a code. Eight of 28 are 38 bits: beyond reach for the five guesses that the host allows.
const CODE_LEN: usize = 8;

/// Where the dash stands in a written code.
const CODE_GROUP_LEN: usize = CODE_LEN / 2;

/// Longest password in bytes: far more than a person types, far less than OPAQUE's own limit of 64 KiB.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The code that the host shows, good for one session.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(Zeroizing<String>);

impl OneTimeCode {
    /// A new code.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let symbols = (0..CODE_LEN).map(|_| CODE_ALPHABET[rng.random_range(..CODE_ALPHABET.len())]);
        Self(Zeroizing::new(symbols.map(char::from).collect()))
    }

    /// The code that a person meant: spaces, dashes and capitals do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut symbols = Zeroizing::new(String::with_capacity(CODE_LEN));
        for c in text.chars().filter(|c| !is_separator(*c)) {
            let symbol = c.to_ascii_lowercase();
            let known = u8::try_from(symbol).is_ok_and(|byte| CODE_ALPHABET.contains(&byte));
            if !known || symbols.len() == CODE_LEN {
                return None;
            }
            symbols.push(symbol);
        }
        (symbols.len() == CODE_LEN).then_some(Self(symbols))
    }

    /// The form for people: `bcdf-ghjk`.
    pub fn spelled(&self) -> Zeroizing<String> {
        let (head, tail) = self.0.split_at(CODE_GROUP_LEN);
        Zeroizing::new(format!("{head}-{tail}"))
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(***)")
    }
}

/// What people and clipboards put between the groups of a code.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}')
}

/// A secret in the form in which both ends feed it to OPAQUE.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    text: Zeroizing<String>,
}

impl Secret {
    /// What a person typed to be let in: a code if it has the form of one, else a password.
    pub fn from_typed(text: &str) -> Self {
        OneTimeCode::parse(text).map_or_else(|| Self::password(text), Self::from)
    }

    /// This password, as it is.
    fn password(text: &str) -> Self {
        Self { kind: SecretKind::Password, text: Zeroizing::new(text.to_owned()) }
    }

    /// Which secret of the host this is.
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl From<OneTimeCode> for Secret {
    fn from(code: OneTimeCode) -> Self {
        Self { kind: SecretKind::Code, text: code.0 }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, ***)", self.kind)
    }
}

/// Which secret a person meant by `text`.
pub fn classify(text: &str) -> SecretKind {
    Secret::from_typed(text).kind()
}

/// Why a text cannot be the unattended password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Nothing, or only spaces.
    #[error("the password is empty: type at least one letter, better a few words")]
    Empty,
    /// A viewer that types it would be taken to mean the one-time code.
    #[error("the password looks like a one-time code: make it longer or add a vowel")]
    LooksLikeCode,
    /// Over [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes: choose a shorter one")]
    TooLong,
}

/// The unattended password `text`, if it can be one.
pub fn check_password(text: &str) -> Result<Secret, PasswordError> {
    if text.trim().is_empty() {
        return Err(PasswordError::Empty);
    }
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    match classify(text) {
        SecretKind::Code => Err(PasswordError::LooksLikeCode),
        SecretKind::Password => Ok(Secret::password(text)),
    }
}
