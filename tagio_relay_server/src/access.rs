//! Whether a client may come in, once the handshake has said who it is.

use std::time::Instant;

use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tagio_relay_core::{Denial, SourceNet};
use tagio_wire::{
    control::{Hello, Refusal},
    limits::PROTOCOL_VERSION,
};

use crate::{config::Secret, lock::lock, shared::Shared};

/// The relay's secret, hashed: comparing hashes takes the same time whatever was guessed, length included.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AuthHash([u8; 32]);

impl AuthHash {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.bytes()).into())
    }

    pub(crate) fn matches(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// Checks version and secret.
pub(crate) fn check(shared: &Shared, hello: &Hello, net: SourceNet) -> Result<(), (Refusal, Denial)> {
    if hello.version != PROTOCOL_VERSION {
        return Err((Refusal::WrongVersion(PROTOCOL_VERSION), Denial::WrongVersion));
    }
    if lock(&shared.hub).is_draining() {
        return Err((Refusal::Draining, Denial::Draining));
    }
    check_secret(shared, hello.auth.as_deref(), net).map_err(|denial| match denial {
        Denial::WrongSecret => (Refusal::WrongSecret, denial),
        _ => (Refusal::TooMany, denial),
    })
}

/// Checks the relay's secret, where it has one: [`Denial::WrongSecret`], or [`Denial::WrongSecretRate`] from where too
/// many wrong ones came.
pub(crate) fn check_secret(shared: &Shared, shown: Option<&str>, net: SourceNet) -> Result<(), Denial> {
    let Some(auth) = shared.auth() else { return Ok(()) };
    let mut admission = lock(&shared.admission);
    let now = Instant::now();
    admission.may_try_secret(net, now)?;
    if shown.is_some_and(|shown| auth.matches(shown.as_bytes())) {
        return Ok(());
    }
    admission.wrong_secret(net, now);
    Err(Denial::WrongSecret)
}

/// The secret in an HTTP request: `Authorization: Bearer SECRET` (RFC 6750).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
