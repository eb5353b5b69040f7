//! The viewer's side of the handshake.

use tagio_wire::{
    PublicKey, decode, encode,
    limits::PROTOCOL_VERSION,
    session::{AuthFinish, AuthRefusal, AuthReply, AuthRequest, Permission, ProofRequest, ViewerMessage},
};

use super::{
    HandshakeError,
    noise::{Noise, Pattern},
};
use crate::{
    identity::{Exporter, IdentityKey},
    name::sanitised,
    opaque::{Binding, ClientLogin, OpaqueError},
    phrase::SafetyPhrase,
    secret::Secret,
};

/// How a viewer means to be let in.
#[derive(Clone, Debug)]
pub enum Credential {
    /// It knows a code or a password.
    Secret(Secret),
    /// It was let in before: the token of the session's terms. Only with a host whose key is known.
    Resume([u8; 32]),
}

/// What a viewer wants from a host.
#[derive(Debug)]
pub struct ViewerIntent<'a> {
    /// Who it is.
    pub identity: &'a IdentityKey,
    /// The host's key if it is pinned, or told by the relay.
    pub host_key: Option<PublicKey>,
    /// The connection's TLS exporter.
    pub exporter: Exporter,
    /// What it calls itself.
    pub name: &'a str,
    /// What it wants to do.
    pub wants: Permission,
    /// How it means to be let in.
    pub credential: Credential,
}

/// The handshake is done on the viewer's side.
#[derive(Debug)]
pub struct Verified {
    /// What still has to be sent; the host's verdict then comes as a `HostMessage`. `None` after a resume.
    pub frame: Option<Vec<u8>>,
    /// Whom it reached: to be pinned.
    pub host_key: PublicKey,
    /// Shown on both screens.
    pub phrase: SafetyPhrase,
}

/// What a viewer does next.
#[derive(Debug)]
pub enum ViewerStep {
    /// Send this frame and wait for the host's next.
    Continue {
        /// To be sent.
        frame: Vec<u8>,
        /// Takes the host's next frame.
        next: ViewerHandshake,
    },
    /// Send what is left and wait for the host's verdict.
    Finished(Verified),
    /// The host says no.
    Refused(AuthRefusal),
    /// The host knows another secret, or is not the one that showed it. Send the frame and give up.
    WrongSecret {
        /// Tells the host.
        frame: Vec<u8>,
    },
}

/// The viewer between two frames.
pub struct ViewerHandshake {
    identity: PublicKey,
    exporter: Exporter,
    claim: Claim,
    stage: Stage,
}

/// What the viewer has up its sleeve until the host's reply.
enum Claim {
    Secret(ClientLogin),
    Resume,
}

/// Which frame of the host comes next.
enum Stage {
    /// Noise message 2 of XX; the request follows it.
    HostKey { noise: Noise, request: Vec<u8> },
    /// Noise message 2 of IK, with the reply in it.
    SealedReply(Noise),
    /// The reply, plain, after XX.
    PlainReply { host_key: PublicKey, phrase: SafetyPhrase },
}

impl ViewerHandshake {
    /// Starts; the second value is the first frame.
    pub fn start(intent: ViewerIntent<'_>) -> Result<(Self, Vec<u8>), HandshakeError> {
        let (claim, proof) = match intent.credential {
            Credential::Secret(secret) => {
                let kind = secret.kind();
                let (login, ke1) = ClientLogin::start(secret).map_err(|_| HandshakeError::SecretTooLong)?;
                (Claim::Secret(login), ProofRequest::Secret { kind, ke1 })
            }
            Credential::Resume(_) if intent.host_key.is_none() => {
                return Err(HandshakeError::ResumeNeedsHostKey);
            }
            Credential::Resume(token) => (Claim::Resume, ProofRequest::Resume(token)),
        };
        let request = encode(&AuthRequest {
            version: PROTOCOL_VERSION,
            name: sanitised(intent.name),
            wants: intent.wants,
            proof,
        });
        let mut noise = Noise::viewer(intent.identity, intent.host_key, &intent.exporter);
        let (pattern, message, stage) = if intent.host_key.is_some() {
            let message = noise.write(&request)?;
            (Pattern::KnownHost, message, Stage::SealedReply(noise))
        } else {
            let message = noise.write(&[])?;
            (Pattern::FirstContact, message, Stage::HostKey { noise, request })
        };
        let frame = [&[pattern.byte()], message.as_slice()].concat();
        Ok((Self { identity: intent.identity.public(), exporter: intent.exporter, claim, stage }, frame))
    }

    /// Takes the host's next frame.
    pub fn handle_frame(self, frame: &[u8]) -> Result<ViewerStep, HandshakeError> {
        match self.stage {
            Stage::HostKey { mut noise, request } => {
                noise.read(frame)?;
                let frame = noise.write(&request)?;
                let stage = Stage::PlainReply { host_key: noise.remote_key()?, phrase: noise.phrase() };
                Ok(ViewerStep::Continue { frame, next: Self { stage, ..self } })
            }
            Stage::SealedReply(mut noise) => {
                let reply = noise.read(frame)?;
                let verified =
                    Verified { frame: None, host_key: noise.remote_key()?, phrase: noise.phrase() };
                handle_reply(&reply, self.claim, self.identity, self.exporter, verified)
            }
            Stage::PlainReply { host_key, phrase } => {
                let verified = Verified { frame: None, host_key, phrase };
                handle_reply(frame, self.claim, self.identity, self.exporter, verified)
            }
        }
    }
}

impl std::fmt::Debug for ViewerHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ViewerHandshake(..)")
    }
}

/// Answers the host's reply. A host that skips the challenge does not know the secret: it is not let
/// through, because a stranger in the middle of a first contact would do just that.
fn handle_reply(
    reply: &[u8],
    claim: Claim,
    viewer: PublicKey,
    exporter: Exporter,
    verified: Verified,
) -> Result<ViewerStep, HandshakeError> {
    let reply = decode(reply).map_err(|_| HandshakeError::Malformed)?;
    match (reply, claim) {
        (AuthReply::Refused(why), _) => Ok(ViewerStep::Refused(why)),
        (AuthReply::Resumed, Claim::Resume) => Ok(ViewerStep::Finished(verified)),
        (AuthReply::Challenge(ke2), Claim::Secret(login)) => {
            let binding = Binding { exporter, viewer, host: verified.host_key };
            match login.finish(&ke2, &binding) {
                Ok(ke3) => {
                    let frame = Some(finish_frame(AuthFinish::Proof(ke3)));
                    Ok(ViewerStep::Finished(Verified { frame, ..verified }))
                }
                Err(OpaqueError::WrongSecret) => {
                    Ok(ViewerStep::WrongSecret { frame: finish_frame(AuthFinish::WrongSecret) })
                }
                Err(OpaqueError::Malformed) => Err(HandshakeError::Malformed),
            }
        }
        (AuthReply::Resumed, Claim::Secret(_)) | (AuthReply::Challenge(_), Claim::Resume) => {
            Err(HandshakeError::UnfitReply)
        }
    }
}

fn finish_frame(finish: AuthFinish) -> Vec<u8> {
    encode(&ViewerMessage::Auth(finish))
}
