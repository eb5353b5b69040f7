//! The host's side of the handshake.
//!
//! ```text
//! HostHandshake ─► Continue ─► HostHandshake ─► Secret(SecretRequest) ─► challenge ─► Challenged ─► Admission
//!                                           ├─► Resume(ResumeRequest) ─► resumed ─────────────────► Admission
//!                                           └─► Refuse                └► refuse
//! ```

use tagio_wire::{
    PublicKey, decode, encode,
    limits::PROTOCOL_VERSION,
    session::{AuthFinish, AuthRefusal, AuthReply, AuthRequest, Permission, ProofRequest, SecretKind},
};

use super::{
    HandshakeError, WrongSecret,
    noise::{Noise, Pattern},
};
use crate::{
    identity::{Exporter, IdentityKey},
    name::sanitised,
    opaque::{Binding, ServerLogin, StoredSecret},
    phrase::SafetyPhrase,
};

/// Who knocks: its key is proven, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Its identity.
    pub key: PublicKey,
    /// What it calls itself; fit for one line of a prompt.
    pub name: String,
    /// What it wants to do.
    pub wants: Permission,
}

/// What a host does next.
#[derive(Debug)]
pub enum HostStep {
    /// Send this frame and wait for the viewer's next.
    Continue {
        /// To be sent.
        frame: Vec<u8>,
        /// Takes the viewer's next frame.
        next: HostHandshake,
    },
    /// The viewer says that it knows a secret.
    Secret(SecretRequest),
    /// The viewer says that it was let in before.
    Resume(ResumeRequest),
    /// Send this frame and close.
    Refuse {
        /// To be sent.
        frame: Vec<u8>,
        /// What it says.
        why: AuthRefusal,
    },
}

/// The host between two frames.
pub struct HostHandshake {
    identity: IdentityKey,
    exporter: Exporter,
    stage: Stage,
}

/// Which frame of the viewer comes next.
enum Stage {
    First,
    /// Noise message 3 of XX.
    Request(Noise),
}

impl HostHandshake {
    /// Waits for a viewer's first frame on the connection with this TLS exporter.
    pub fn new(identity: &IdentityKey, exporter: Exporter) -> Self {
        Self { identity: identity.clone(), exporter, stage: Stage::First }
    }

    /// Takes the viewer's next frame.
    pub fn handle_frame(self, frame: &[u8]) -> Result<HostStep, HandshakeError> {
        match self.stage {
            Stage::First => {
                let (&pattern, message) = frame.split_first().ok_or(HandshakeError::Malformed)?;
                let pattern = Pattern::parse(pattern)?;
                let mut noise = Noise::host(pattern, &self.identity, &self.exporter);
                let payload = noise.read(message)?;
                match pattern {
                    Pattern::KnownHost => self.handle_request(&payload, Channel::Sealed(noise)),
                    Pattern::FirstContact => {
                        let frame = noise.write(&[])?;
                        let next = Self { stage: Stage::Request(noise), ..self };
                        Ok(HostStep::Continue { frame, next })
                    }
                }
            }
            Stage::Request(mut noise) => {
                let payload = noise.read(frame)?;
                let this = Self { stage: Stage::First, ..self };
                this.handle_request(&payload, Channel::Plain(noise))
            }
        }
    }

    fn handle_request(self, payload: &[u8], channel: Channel) -> Result<HostStep, HandshakeError> {
        let key = channel.noise().remote_key()?;
        let answer =
            Answer { channel, visitor: Visitor { key, name: String::new(), wants: Permission::View } };
        if spoken_version(payload) != Some(PROTOCOL_VERSION) {
            let why = AuthRefusal::WrongVersion(PROTOCOL_VERSION);
            return Ok(HostStep::Refuse { frame: answer.refuse(why)?, why });
        }
        let request: AuthRequest = decode(payload).map_err(|_| HandshakeError::Malformed)?;
        let visitor = Visitor { key, name: sanitised(&request.name), wants: request.wants };
        let answer = Answer { visitor, ..answer };
        Ok(match request.proof {
            ProofRequest::Secret { kind, ke1 } => {
                let binding = Binding { exporter: self.exporter, viewer: key, host: self.identity.public() };
                HostStep::Secret(SecretRequest { answer, kind, ke1, binding })
            }
            ProofRequest::Resume(token) => HostStep::Resume(ResumeRequest { answer, token }),
        })
    }
}

impl std::fmt::Debug for HostHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostHandshake(..)")
    }
}

/// The version at the head of an [`AuthRequest`], readable whatever a later version puts behind it.
fn spoken_version(payload: &[u8]) -> Option<u16> {
    // A number of 16 bits takes one byte, or three.
    [1, 3].into_iter().find_map(|len| decode(payload.get(..len)?).ok())
}

/// How the reply reaches the viewer.
enum Channel {
    /// As the payload of Noise message 2 (IK).
    Sealed(Noise),
    /// As it is (XX is done).
    Plain(Noise),
}

impl Channel {
    const fn noise(&self) -> &Noise {
        match self {
            Self::Sealed(noise) | Self::Plain(noise) => noise,
        }
    }

    /// The frame that carries `reply`, and the phrase of the transcript that ends with it.
    fn seal(self, reply: &AuthReply) -> Result<(Vec<u8>, SafetyPhrase), HandshakeError> {
        let reply = encode(reply);
        match self {
            Self::Sealed(mut noise) => {
                let frame = noise.write(&reply)?;
                Ok((frame, noise.phrase()))
            }
            Self::Plain(noise) => Ok((reply, noise.phrase())),
        }
    }
}

/// A visitor that waits for the host's reply.
struct Answer {
    channel: Channel,
    visitor: Visitor,
}

impl Answer {
    fn refuse(self, why: AuthRefusal) -> Result<Vec<u8>, HandshakeError> {
        let (frame, _) = self.channel.seal(&AuthReply::Refused(why))?;
        Ok(frame)
    }
}

/// A viewer that says that it knows a secret. The next step is up to the host's guard.
pub struct SecretRequest {
    answer: Answer,
    kind: SecretKind,
    ke1: Vec<u8>,
    binding: Binding,
}

impl SecretRequest {
    /// Who asks.
    pub const fn visitor(&self) -> &Visitor {
        &self.answer.visitor
    }

    /// Which secret it means.
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    /// Challenges the viewer to prove that it knows `stored`. The second value is the frame to send.
    pub fn challenge(self, stored: &StoredSecret) -> Result<(Challenged, Vec<u8>), HandshakeError> {
        let (login, ke2) =
            ServerLogin::start(stored, &self.ke1, self.binding).map_err(|_| HandshakeError::Malformed)?;
        let (frame, phrase) = self.answer.channel.seal(&AuthReply::Challenge(ke2))?;
        let admission = Admission { visitor: self.answer.visitor, phrase };
        Ok((Challenged { login, admission }, frame))
    }

    /// Says no; the frame to send before closing.
    pub fn refuse(self, why: AuthRefusal) -> Result<Vec<u8>, HandshakeError> {
        self.answer.refuse(why)
    }
}

impl std::fmt::Debug for SecretRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretRequest({:?}, {:?})", self.visitor(), self.kind)
    }
}

/// A viewer that says that it was let in before.
pub struct ResumeRequest {
    answer: Answer,
    token: [u8; 32],
}

impl ResumeRequest {
    /// Who asks.
    pub const fn visitor(&self) -> &Visitor {
        &self.answer.visitor
    }

    /// The token that it shows.
    pub const fn token(&self) -> &[u8; 32] {
        &self.token
    }

    /// The token is good.
    pub fn resumed(self) -> Result<Resumed, HandshakeError> {
        let (frame, phrase) = self.answer.channel.seal(&AuthReply::Resumed)?;
        Ok(Resumed { frame, admission: Admission { visitor: self.answer.visitor, phrase } })
    }

    /// Says no; the frame to send before closing.
    pub fn refuse(self, why: AuthRefusal) -> Result<Vec<u8>, HandshakeError> {
        self.answer.refuse(why)
    }
}

impl std::fmt::Debug for ResumeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResumeRequest({:?}, ***)", self.visitor())
    }
}

/// A session goes on.
#[derive(Debug)]
pub struct Resumed {
    /// To be sent.
    pub frame: Vec<u8>,
    /// Who is in again.
    pub admission: Admission,
}

/// A viewer that owes its proof.
pub struct Challenged {
    login: ServerLogin,
    admission: Admission,
}

impl Challenged {
    /// Takes the viewer's proof.
    pub fn handle_finish(self, finish: &AuthFinish) -> Result<Admission, WrongSecret> {
        match finish {
            AuthFinish::Proof(ke3) => self.login.finish(ke3)?,
            AuthFinish::WrongSecret => return Err(WrongSecret),
        }
        Ok(self.admission)
    }
}

impl std::fmt::Debug for Challenged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Challenged({:?})", self.admission.visitor)
    }
}

/// A viewer that has proven what it claims. Nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// Who it is.
    pub visitor: Visitor,
    /// Shown on both screens.
    pub phrase: SafetyPhrase,
}
