//! Where to connect to: an ID, an address, or a relay.

use std::{fmt, str::FromStr};

use tagio_wire::{PeerId, PublicKey};
use thiserror::Error;

/// A host as people name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Through the relay.
    Id(PeerId),
    /// Straight to an address.
    Address(HostPort),
}

/// A name or IP address, and a port. An IPv6 address is kept without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Name or IP address.
    pub host: String,
    /// Port; never 0.
    pub port: u16,
}

/// A relay: where it is and, when that is pinned, its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// Where.
    pub at: HostPort,
    /// The key that it must have. Without it the first key seen is trusted.
    pub key: Option<PublicKey>,
}

/// Text that names no host. The message is a sentence for the person who typed it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TargetError {
    #[error("Type the other computer's ID.")]
    Empty,
    #[error("An ID has nine digits. You have typed {0}.")]
    Digits(usize),
    #[error("An ID does not start with 0.")]
    LeadingZero,
    #[error("Type an ID of nine digits, or an address with a port, like example.org:4443.")]
    Unknown,
    #[error("An address needs a name or number before the colon.")]
    NoHost,
    #[error("The port after the colon must be a number from 1 to 65535.")]
    Port,
    #[error("The key after # must have 52 letters and digits.")]
    Key,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if text.contains(':') {
            return text.parse().map(Self::Address);
        }
        let digits = text.chars().filter(char::is_ascii_digit).count();
        let only_digits = text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "-.".contains(c));
        Err(match (only_digits, digits) {
            (true, 9) => TargetError::LeadingZero,
            (true, _) => TargetError::Digits(digits),
            (false, _) => TargetError::Unknown,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Address(at) => at.fmt(f),
        }
    }
}

impl Target {
    /// The form for people: an ID in groups of three.
    pub fn spaced(&self) -> String {
        match self {
            Self::Id(id) => id.spaced(),
            Self::Address(at) => at.to_string(),
        }
    }
}

impl FromStr for HostPort {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = text.trim().rsplit_once(':').ok_or(TargetError::Unknown)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(TargetError::NoHost);
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(TargetError::Port),
            Ok(port) => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for RelayAddress {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (at, key) = match text.trim().split_once('#') {
            Some((at, key)) => (at, Some(key.parse().map_err(|_| TargetError::Key)?)),
            None => (text, None),
        };
        Ok(Self { at: at.parse()?, key })
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)?;
        self.key.map_or(Ok(()), |key| write!(f, "#{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> TargetError {
        text.parse::<Target>().unwrap_err()
    }

    #[test]
    fn an_id_may_have_spaces() {
        let id = Target::Id(PeerId::new(123_456_789).unwrap());
        for text in ["123456789", "123 456 789", " 123-456-789 "] {
            assert_eq!(text.parse(), Ok(id.clone()));
        }
        assert_eq!(id.spaced(), "123 456 789");
    }

    #[test]
    fn an_address_needs_a_port() {
        let parsed: Target = "example.org:4443".parse().unwrap();
        assert_eq!(parsed.to_string(), "example.org:4443");
        assert_eq!("[::1]:4443".parse::<Target>().unwrap().to_string(), "[::1]:4443");
        assert_eq!(error("example.org"), TargetError::Unknown);
        assert_eq!(error("example.org:99999"), TargetError::Port);
        assert_eq!(error(":443"), TargetError::NoHost);
    }

    #[test]
    fn what_is_wrong_with_an_id_is_said() {
        assert_eq!(error(""), TargetError::Empty);
        assert_eq!(error("12345"), TargetError::Digits(5));
        assert_eq!(error("012 345 678"), TargetError::LeadingZero);
        assert_eq!(error("12345").to_string(), "An ID has nine digits. You have typed 5.");
    }

    #[test]
    fn a_relay_may_carry_its_key() {
        let key = PublicKey([7; 32]);
        let text = format!("relay.example:443#{key}");
        let relay: RelayAddress = text.parse().unwrap();
        assert_eq!(relay.key, Some(key));
        assert_eq!(relay.to_string(), text);
        assert_eq!("relay.example:443#abc".parse::<RelayAddress>(), Err(TargetError::Key));
        assert!(super::super::DEFAULT_RELAY.parse::<RelayAddress>().is_ok());
    }
}
