//! Host names: which text is one, and names that nobody can guess.

use std::fmt;

use rand::{Rng, RngExt};
use tagio_wire::tunnel::HOST_NAME_BYTES_MAX;

/// Longest label of a name in bytes (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Letters of a random label, without those that are read as others.
const RANDOM_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in a random label: 80 bits, as many as a fingerprint.
const RANDOM_LEN: usize = 16;

/// A host name: lower case, no dot at the end, letters, digits and hyphens in its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads a name; the dot of a full name may stand at its end.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_name = !text.is_empty() && text.len() <= HOST_NAME_BYTES_MAX && text.split('.').all(is_label);
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name in a `Host` field or a request's authority, whose port does not matter.
    pub fn parse_authority(text: &str) -> Option<Self> {
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => text,
        };
        Self::parse(name)
    }

    /// A label under `domain` that nobody can guess.
    pub fn random(domain: &Self, rng: &mut impl Rng) -> Option<Self> {
        let letter = |_| char::from(RANDOM_LETTERS[rng.random_range(0..RANDOM_LETTERS.len())]);
        let label: String = (0..RANDOM_LEN).map(letter).collect();
        Self::parse(&format!("{label}.{domain}"))
    }

    /// Whether it is one label, which needs a domain.
    pub fn is_label(&self) -> bool {
        !self.0.contains('.')
    }

    /// It as a label under `domain`.
    pub fn under(&self, domain: &Self) -> Option<Self> {
        Self::parse(&format!("{self}.{domain}"))
    }

    /// Whether it is exactly one label under `domain`.
    pub fn is_under(&self, domain: &Self) -> bool {
        self.0.split_once('.').is_some_and(|(_, rest)| rest == domain.0)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && label.bytes().all(is_letter)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
