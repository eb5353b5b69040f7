//! OPAQUE (RFC 9807): proves that the viewer knows a secret, and tells nobody anything else about it.
//!
//! The host keeps a [`StoredSecret`] that is no password equivalent: who reads it has to guess through
//! Argon2. Whoever sits in the middle gets one guess per attempt, online, and nothing to guess from later.

use opaque_ke::{
    CipherSuite, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialFinalization, CredentialRequest, CredentialResponse, Identifiers, Ristretto255,
    ServerLoginParameters, ServerRegistration, ServerSetup, TripleDh,
    argon2::{Algorithm, Argon2, Params, Version},
    errors::ProtocolError,
};
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use tagio_wire::{PublicKey, decode, encode, session::SecretKind};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{identity::Exporter, opaque_rng::SystemRng, secret::Secret};

/// Memory of one Argon2 run in KiB. With [`ARGON2_PASSES`] it takes some 10 ms on a current core and stays
/// under 40 ms on one a quarter as fast: it runs while a person waits for the picture. It only has to slow
/// down whoever stole the host's file; the network never gets an offline guess.
const ARGON2_MEMORY_KIB: u32 = 8 * 1024;

/// Passes over the memory. Two with 8 MiB cost a thief more than one with 8 MiB, and memory that a small
/// machine has in any case.
const ARGON2_PASSES: u32 = 2;

/// OPAQUE's name for the one registration of a setup: every secret has a setup of its own.
const CREDENTIAL_ID: &[u8] = b"tagio";

/// Who is who. Part of the registration, which cannot know the viewers to come: so roles here, and the keys
/// themselves in [`Binding::context`].
const IDENTIFIERS: Identifiers<'static> =
    Identifiers { client: Some(b"tagio viewer"), server: Some(b"tagio host") };

/// Separates these proofs from any other use of OPAQUE.
const CONTEXT_LABEL: &[u8] = b"tagio opaque 1";

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, Sha512>;
    type Ksf = Argon2<'static>;
}

fn key_stretching() -> Argon2<'static> {
    let params =
        Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None).expect("the constants are within bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Why a step of OPAQUE failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum OpaqueError {
    /// The bytes are no message of OPAQUE.
    #[error("malformed proof")]
    Malformed,
    /// The two sides do not know the same secret, or do not sit in the same session.
    #[error("wrong secret")]
    WrongSecret,
}

impl From<ProtocolError> for OpaqueError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::InvalidLoginError => Self::WrongSecret,
            ProtocolError::LibraryError(_)
            | ProtocolError::SerializationError
            | ProtocolError::SizeError { .. }
            | ProtocolError::ReflectedValueError
            | ProtocolError::Custom(_) => Self::Malformed,
        }
    }
}

/// What a proof is tied to: this connection and these two keys.
#[derive(Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) exporter: Exporter,
    pub(crate) viewer: PublicKey,
    pub(crate) host: PublicKey,
}

impl Binding {
    fn context(&self) -> Vec<u8> {
        [CONTEXT_LABEL, &self.exporter, &self.viewer.0, &self.host.0].concat()
    }
}

/// What a host keeps of a secret.
#[derive(Clone)]
pub struct StoredSecret {
    kind: SecretKind,
    setup: ServerSetup<Suite>,
    registration: ServerRegistration<Suite>,
}

/// A [`StoredSecret`] on disk.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredForm {
    #[zeroize(skip)]
    kind: SecretKind,
    setup: Vec<u8>,
    registration: Vec<u8>,
}

/// Bytes that are no [`StoredSecret`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the stored password cannot be read: set it again")]
pub struct StoredSecretError;

/// A secret that OPAQUE does not take: over 64 KiB.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the secret is too long")]
pub struct SecretTooLong;

impl StoredSecret {
    /// Registers `secret`: both sides of OPAQUE's registration in one place. Takes as long as Argon2 does.
    pub fn create(secret: &Secret) -> Result<Self, SecretTooLong> {
        Self::register(secret).map_err(|_| SecretTooLong)
    }

    fn register(secret: &Secret) -> Result<Self, ProtocolError> {
        let setup = ServerSetup::<Suite>::new(&mut SystemRng);
        let client = ClientRegistration::<Suite>::start(&mut SystemRng, secret.bytes())?;
        let server = ServerRegistration::<Suite>::start(&setup, client.message, CREDENTIAL_ID)?;
        let stretching = key_stretching();
        let parameters = ClientRegistrationFinishParameters::new(IDENTIFIERS, Some(&stretching));
        let finished = client.state.finish(&mut SystemRng, secret.bytes(), server.message, parameters)?;
        Ok(Self { kind: secret.kind(), setup, registration: ServerRegistration::finish(finished.message) })
    }

    /// Which secret it is.
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    /// Its bytes, to be kept where only this user can read them.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode(&StoredForm {
            kind: self.kind,
            setup: self.setup.serialize().to_vec(),
            registration: self.registration.serialize().to_vec(),
        }))
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredSecretError> {
        let form: StoredForm = decode(bytes).map_err(|_| StoredSecretError)?;
        Ok(Self {
            kind: form.kind,
            setup: ServerSetup::deserialize(&form.setup).map_err(|_| StoredSecretError)?,
            registration: ServerRegistration::deserialize(&form.registration)
                .map_err(|_| StoredSecretError)?,
        })
    }
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredSecret({:?}, ***)", self.kind)
    }
}

/// The host between its challenge (KE2) and the viewer's proof (KE3).
pub(crate) struct ServerLogin {
    state: opaque_ke::ServerLogin<Suite>,
    binding: Binding,
}

impl ServerLogin {
    /// Answers `ke1`; the second value is KE2.
    pub(crate) fn start(
        stored: &StoredSecret,
        ke1: &[u8],
        binding: Binding,
    ) -> Result<(Self, Vec<u8>), OpaqueError> {
        let context = binding.context();
        let started = opaque_ke::ServerLogin::start(
            &mut SystemRng,
            &stored.setup,
            Some(stored.registration.clone()),
            CredentialRequest::deserialize(ke1)?,
            CREDENTIAL_ID,
            ServerLoginParameters { context: Some(&context), identifiers: IDENTIFIERS },
        )?;
        let ke2 = started.message.serialize().to_vec();
        Ok((Self { state: started.state, binding }, ke2))
    }

    /// Whether `ke3` proves that the viewer knows the secret.
    pub(crate) fn finish(self, ke3: &[u8]) -> Result<(), OpaqueError> {
        let context = self.binding.context();
        let parameters = ServerLoginParameters { context: Some(&context), identifiers: IDENTIFIERS };
        self.state.finish(CredentialFinalization::deserialize(ke3)?, parameters)?;
        Ok(())
    }
}

/// The viewer between its request (KE1) and the host's challenge (KE2).
pub(crate) struct ClientLogin {
    state: Box<opaque_ke::ClientLogin<Suite>>,
    secret: Secret,
}

impl ClientLogin {
    /// Starts to prove `secret`; the second value is KE1.
    pub(crate) fn start(secret: Secret) -> Result<(Self, Vec<u8>), OpaqueError> {
        let started = opaque_ke::ClientLogin::start(&mut SystemRng, secret.bytes())?;
        let ke1 = started.message.serialize().to_vec();
        Ok((Self { state: Box::new(started.state), secret }, ke1))
    }

    /// The proof (KE3), if the host knows the same secret. Takes as long as Argon2 does.
    pub(crate) fn finish(self, ke2: &[u8], binding: &Binding) -> Result<Vec<u8>, OpaqueError> {
        let context = binding.context();
        let stretching = key_stretching();
        let parameters = ClientLoginFinishParameters::new(Some(&context), IDENTIFIERS, Some(&stretching));
        let finished = self.state.finish(
            &mut SystemRng,
            self.secret.bytes(),
            CredentialResponse::deserialize(ke2)?,
            parameters,
        )?;
        Ok(finished.message.serialize().to_vec())
    }
}
