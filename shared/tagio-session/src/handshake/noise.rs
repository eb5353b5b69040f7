//! The Noise half of the handshake: patterns, prologue, messages in and out.

use snow::{Builder, HandshakeState};
use tagio_wire::{PublicKey, session::CONTROL_FRAME_BYTES_MAX};

use super::HandshakeError;
use crate::{
    identity::{Exporter, IdentityKey, KEY_LEN},
    phrase::SafetyPhrase,
};

/// Separates this handshake from any other that uses the same keys.
const PROLOGUE_LABEL: &[u8] = b"tagio session 1";

/// Which Noise pattern a handshake follows; the first byte of the viewer's first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The viewer knows the host's key.
    KnownHost,
    /// It does not.
    FirstContact,
}

impl Pattern {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::KnownHost => 1,
            Self::FirstContact => 2,
        }
    }

    pub(super) fn parse(byte: u8) -> Result<Self, HandshakeError> {
        [Self::KnownHost, Self::FirstContact]
            .into_iter()
            .find(|pattern| pattern.byte() == byte)
            .ok_or(HandshakeError::UnknownPattern(byte))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::KnownHost => "Noise_IK_25519_ChaChaPoly_BLAKE2s",
            Self::FirstContact => "Noise_XX_25519_ChaChaPoly_BLAKE2s",
        }
    }
}

/// A Noise handshake under way.
pub(super) struct Noise(Box<HandshakeState>);

impl Noise {
    /// The viewer's side.
    pub(super) fn viewer(identity: &IdentityKey, host_key: Option<PublicKey>, exporter: &Exporter) -> Self {
        let prologue = prologue(exporter);
        let state = match &host_key {
            Some(key) => builder(Pattern::KnownHost, identity, &prologue)
                .and_then(|builder| builder.remote_public_key(&key.0)),
            None => builder(Pattern::FirstContact, identity, &prologue),
        };
        Self(Box::new(state.and_then(Builder::build_initiator).expect(BUILDS)))
    }

    /// The host's side.
    pub(super) fn host(pattern: Pattern, identity: &IdentityKey, exporter: &Exporter) -> Self {
        let prologue = prologue(exporter);
        let state = builder(pattern, identity, &prologue).and_then(Builder::build_responder);
        Self(Box::new(state.expect(BUILDS)))
    }

    /// The next message, with `payload` inside.
    pub(super) fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let mut message = vec![0; CONTROL_FRAME_BYTES_MAX];
        // Fails for a payload that does not fit, and for a key of the other side that is no point.
        let len = self.0.write_message(payload, &mut message).map_err(|_| HandshakeError::Malformed)?;
        message.truncate(len);
        Ok(message)
    }

    /// The payload of the other side's next message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        if message.len() > CONTROL_FRAME_BYTES_MAX {
            return Err(HandshakeError::Malformed);
        }
        let mut payload = vec![0; message.len()];
        let len = self.0.read_message(message, &mut payload).map_err(|error| match error {
            snow::Error::Decrypt | snow::Error::Dh => HandshakeError::NotAuthentic,
            _ => HandshakeError::Malformed,
        })?;
        payload.truncate(len);
        Ok(payload)
    }

    /// The other side's key, once a message with it was read.
    pub(super) fn remote_key(&self) -> Result<PublicKey, HandshakeError> {
        let bytes = self.0.get_remote_static().and_then(|key| <[u8; KEY_LEN]>::try_from(key).ok());
        bytes.map(PublicKey).ok_or(HandshakeError::Malformed)
    }

    /// The phrase, the same on both sides after the last message.
    pub(super) fn phrase(&self) -> SafetyPhrase {
        SafetyPhrase::from_transcript(self.0.get_handshake_hash())
    }
}

/// Why a handshake can always be built.
const BUILDS: &str = "the patterns are known to snow and every key has its length";

fn prologue(exporter: &Exporter) -> Vec<u8> {
    [PROLOGUE_LABEL, exporter].concat()
}

fn builder<'a>(
    pattern: Pattern,
    identity: &'a IdentityKey,
    prologue: &'a [u8],
) -> Result<Builder<'a>, snow::Error> {
    let params = pattern.name().parse()?;
    Builder::new(params).local_private_key(identity.private())?.prologue(prologue)
}
