//! Who may visit a tunnel: networks, and HTTP basic authentication (RFC 7617).

use std::net::IpAddr;

use data_encoding::BASE64;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tagio_wire::tunnel::{ALLOWED_NETS_MAX, Manners, TunnelSecret};
use thiserror::Error;

/// An entry of a tunnel's list is neither a network nor an address, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no list of networks like 192.0.2.0/24")]
pub struct BadNetwork;

/// What a visitor of one tunnel has to be or to know.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Empty: everybody may.
    allow: Vec<IpNet>,
    basic_auth: Option<TunnelSecret>,
}

impl Access {
    /// What the tunnel's client asked for.
    pub fn new(manners: &Manners) -> Result<Self, BadNetwork> {
        if manners.allow.len() > ALLOWED_NETS_MAX {
            return Err(BadNetwork);
        }
        let allow = manners.allow.iter().map(|text| network(text)).collect::<Option<_>>();
        Ok(Self { allow: allow.ok_or(BadNetwork)?, basic_auth: manners.basic_auth })
    }

    /// Whether a visitor from `ip` may come in.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allow.is_empty() || self.allow.iter().any(|net| net.contains(&ip))
    }

    /// Whether requests need a name and a password.
    pub fn wants_password(&self) -> bool {
        self.basic_auth.is_some()
    }

    /// Whether this `Authorization` field is good enough. Takes the same time whatever was guessed.
    pub fn accepts(&self, authorization: Option<&[u8]>) -> bool {
        let Some(expected) = &self.basic_auth else { return true };
        let shown = authorization.and_then(credentials).unwrap_or_default();
        let shown: [u8; 32] = Sha256::digest(&shown).into();
        expected.0.ct_eq(&shown).into()
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// `user:password` of a `Basic` field.
fn credentials(field: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = field.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    BASE64.decode(rest.trim_ascii()).ok()
}
