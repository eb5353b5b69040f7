//! What the length-prefixed protocol looks like: `u32be` numbers, texts behind their length.

use std::net::SocketAddr;

use thiserror::Error;

/// Longest name that may be registered or looked up, in bytes; the shortest has one.
pub const NAME_BYTES_MAX: usize = 1000;
/// Longest secret that is worth reading, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Numbers that begin what either side says.
mod kind {
    pub(super) const REGISTERED: u32 = 0;
    pub(super) const WANTED: u32 = 1;
    pub(super) const WRONG_SECRET: u32 = 2;
    pub(super) const LOOK_UP: u32 = 3;
    pub(super) const FOUND: u32 = 4;
    pub(super) const TAKEN: u32 = 5;
}

/// What a registered client says begins with this; the name follows.
pub const LOOK_UP: u32 = kind::LOOK_UP;

/// Not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name is UTF-8 of 1 to {NAME_BYTES_MAX} bytes")]
pub struct BadName;

/// A name that somebody registered or asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Longest name as its length stands on the wire.
    pub const LEN_MAX: u32 = NAME_BYTES_MAX as u32;

    /// Whether a name can have so many bytes: known before they are read.
    pub fn fits(len: u32) -> bool {
        (1..=Self::LEN_MAX).contains(&len)
    }

    /// Reads it.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadName> {
        let is_short = u32::try_from(bytes.len()).is_ok_and(Self::fits);
        let text = String::from_utf8(bytes).ok().filter(|_| is_short).ok_or(BadName)?;
        Ok(Self(text.into_boxed_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the relay says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'n> {
    /// You are registered; this is the address that you come from.
    Registered(SocketAddr),
    /// Somebody looks for you, from this address.
    Wanted {
        /// The name of whoever asks.
        by: &'n Name,
        /// Its address.
        addr: SocketAddr,
    },
    /// The secret is wrong, or missing.
    WrongSecret,
    /// What became of a question.
    Found {
        /// The name that was looked up.
        name: &'n Name,
        /// Where it is, if it is registered.
        addr: Option<SocketAddr>,
    },
    /// Somebody else has the name.
    Taken,
}

impl Answer<'_> {
    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Registered(addr) => {
                put_number(&mut out, kind::REGISTERED);
                put_addr(&mut out, *addr);
            }
            Self::Wanted { by, addr } => {
                put_number(&mut out, kind::WANTED);
                put_text(&mut out, by.as_str());
                put_addr(&mut out, *addr);
            }
            Self::WrongSecret => put_number(&mut out, kind::WRONG_SECRET),
            Self::Found { name, addr } => {
                put_number(&mut out, kind::FOUND);
                put_text(&mut out, name.as_str());
                addr.iter().for_each(|addr| put_addr(&mut out, *addr));
                out.push(addr.is_some().into());
            }
            Self::Taken => put_number(&mut out, kind::TAKEN),
        }
        out
    }
}

fn put_number(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, u32::try_from(text.len()).expect("names and addresses are short"));
    out.extend_from_slice(text.as_bytes());
}

fn put_addr(out: &mut Vec<u8>, addr: SocketAddr) {
    put_text(out, &addr.ip().to_string());
    out.extend_from_slice(&addr.port().to_be_bytes());
}
