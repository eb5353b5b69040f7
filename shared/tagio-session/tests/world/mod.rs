//! A host, a viewer and what they know, joined without a network.

use snow::{Builder, HandshakeState};
use tagio_session::{
    IdentityKey, Secret, StoredSecret,
    handshake::{
        Admission, Challenged, Credential, HandshakeError, HostHandshake, HostStep, Verified,
        ViewerHandshake, ViewerIntent, ViewerStep, WrongSecret,
    },
};
use tagio_wire::{
    PublicKey, decode,
    session::{AuthFinish, AuthRefusal, Permission, SecretKind, ViewerMessage},
};

/// Whether the viewer knows whom it calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Knows {
    HostKey,
    Nothing,
}

/// How a meeting ended.
#[derive(Debug)]
pub(crate) enum End {
    Admitted { admission: Admission, verified: Verified, kind: Option<SecretKind> },
    WrongSecret(WrongSecret),
    ViewerRefused(AuthRefusal),
}

pub(crate) struct World {
    pub(crate) host: IdentityKey,
    pub(crate) viewer: IdentityKey,
    pub(crate) exporter: [u8; 32],
    pub(crate) stored_code: StoredSecret,
    pub(crate) stored_password: StoredSecret,
    pub(crate) token: [u8; 32],
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            host: IdentityKey::generate(),
            viewer: IdentityKey::generate(),
            exporter: [42; 32],
            stored_code: StoredSecret::create(&Secret::from_typed("bcdf-ghjk")).unwrap(),
            stored_password: StoredSecret::create(&Secret::from_typed("correct horse battery")).unwrap(),
            token: [5; 32],
        }
    }

    pub(crate) fn secret(&self, typed: &str) -> Credential {
        Credential::Secret(Secret::from_typed(typed))
    }

    pub(crate) fn intent(&self, host_key: Option<PublicKey>, credential: Credential) -> ViewerIntent<'_> {
        ViewerIntent {
            identity: &self.viewer,
            host_key,
            exporter: self.exporter,
            name: "Ada",
            wants: Permission::Control,
            credential,
        }
    }

    pub(crate) fn start(
        &self,
        host_key: Option<PublicKey>,
        credential: Credential,
    ) -> (ViewerHandshake, Vec<u8>) {
        ViewerHandshake::start(self.intent(host_key, credential)).unwrap()
    }

    pub(crate) fn host_side(&self) -> HostHandshake {
        HostHandshake::new(&self.host, self.exporter)
    }

    pub(crate) fn meet(&self, knows: Knows, credential: Credential) -> End {
        self.meet_tampered(knows, credential, |_, _| ()).unwrap()
    }

    /// Runs a whole handshake; `tamper` sees every frame with its number before it arrives.
    pub(crate) fn meet_tampered(
        &self,
        knows: Knows,
        credential: Credential,
        mut tamper: impl FnMut(usize, &mut Vec<u8>),
    ) -> Result<End, HandshakeError> {
        let host_key = matches!(knows, Knows::HostKey).then(|| self.host.public());
        let (mut viewer, mut frame) = self.start(host_key, credential);
        let mut host = self.host_side();
        let mut number = 0;
        let mut pass = |frame: &mut Vec<u8>| {
            tamper(number, frame);
            number += 1;
        };
        loop {
            pass(&mut frame);
            let (mut reply, proof) = match host.handle_frame(&frame)? {
                HostStep::Continue { frame: mut reply, next } => {
                    host = next;
                    pass(&mut reply);
                    let ViewerStep::Continue { frame: request, next } = viewer.handle_frame(&reply)? else {
                        panic!("the viewer has not yet asked")
                    };
                    viewer = next;
                    frame = request;
                    continue;
                }
                HostStep::Secret(request) => {
                    let kind = request.kind();
                    let stored = match kind {
                        SecretKind::Code => &self.stored_code,
                        SecretKind::Password => &self.stored_password,
                    };
                    let (challenged, reply) = request.challenge(stored)?;
                    (reply, Ok((challenged, kind)))
                }
                HostStep::Resume(request) if *request.token() == self.token => {
                    let resumed = request.resumed()?;
                    (resumed.frame, Err(resumed.admission))
                }
                HostStep::Resume(request) => {
                    return Ok(End::ViewerRefused(refusal(
                        viewer,
                        request.refuse(AuthRefusal::ResumeExpired)?,
                    )));
                }
                HostStep::Refuse { why, .. } => return Ok(End::ViewerRefused(why)),
            };
            pass(&mut reply);
            return Ok(match (viewer.handle_frame(&reply)?, proof) {
                (ViewerStep::Finished(verified), Err(admission)) => {
                    End::Admitted { admission, verified, kind: None }
                }
                (ViewerStep::Finished(verified), Ok((challenged, kind))) => {
                    let mut frame = verified.frame.clone().expect("a proof is owed");
                    pass(&mut frame);
                    let Ok(ViewerMessage::Auth(finish)) = decode(&frame) else {
                        return Err(HandshakeError::Malformed);
                    };
                    match challenged.handle_finish(&finish) {
                        Ok(admission) => End::Admitted { admission, verified, kind: Some(kind) },
                        Err(wrong) => End::WrongSecret(wrong),
                    }
                }
                (ViewerStep::WrongSecret { frame }, Ok((challenged, _))) => {
                    End::WrongSecret(challenged.handle_finish(&finish_in(&frame)).unwrap_err())
                }
                (ViewerStep::Refused(why), _) => End::ViewerRefused(why),
                (step, _) => panic!("unexpected {step:?}"),
            });
        }
    }

    /// A handshake up to the challenge, and what the viewer made of it.
    pub(crate) fn challenge(&self, credential: Credential) -> (Challenged, Option<Verified>) {
        let (viewer, first) = self.start(Some(self.host.public()), credential);
        let HostStep::Secret(request) = self.host_side().handle_frame(&first).unwrap() else {
            panic!("the viewer has shown a secret")
        };
        let (challenged, frame) = request.challenge(&self.stored_code).unwrap();
        match viewer.handle_frame(&frame).unwrap() {
            ViewerStep::Finished(verified) => (challenged, Some(verified)),
            ViewerStep::WrongSecret { .. } => (challenged, None),
            step => panic!("unexpected {step:?}"),
        }
    }

    /// A handshake whose request the host refuses; what the viewer hears.
    pub(crate) fn meet_refused(&self, knows: Knows, why: AuthRefusal) -> AuthRefusal {
        let host_key = matches!(knows, Knows::HostKey).then(|| self.host.public());
        let (mut viewer, mut frame) = self.start(host_key, self.secret("bcdf-ghjk"));
        let mut host = self.host_side();
        loop {
            match host.handle_frame(&frame).unwrap() {
                HostStep::Continue { frame: reply, next } => {
                    host = next;
                    let ViewerStep::Continue { frame: request, next } = viewer.handle_frame(&reply).unwrap()
                    else {
                        panic!("the viewer has not yet asked")
                    };
                    (viewer, frame) = (next, request);
                }
                HostStep::Secret(request) => return refusal(viewer, request.refuse(why).unwrap()),
                step => panic!("unexpected {step:?}"),
            }
        }
    }

    /// The first frame of a viewer that knows the host's key, with any payload.
    pub(crate) fn raw_known_host_request(&self, payload: &[u8]) -> (Vec<u8>, HandshakeState) {
        let private = self.viewer.to_bytes();
        let prologue = [b"tagio session 1".as_slice(), &self.exporter].concat();
        let mut noise = Builder::new("Noise_IK_25519_ChaChaPoly_BLAKE2s".parse().unwrap())
            .local_private_key(private.as_slice())
            .unwrap()
            .remote_public_key(&self.host.public().0)
            .unwrap()
            .prologue(&prologue)
            .unwrap()
            .build_initiator()
            .unwrap();
        let mut message = vec![0; 1024];
        let len = noise.write_message(payload, &mut message).unwrap();
        ([&[1], &message[..len]].concat(), noise)
    }
}

fn refusal(viewer: ViewerHandshake, frame: Vec<u8>) -> AuthRefusal {
    match viewer.handle_frame(&frame).unwrap() {
        ViewerStep::Refused(why) => why,
        step => panic!("unexpected {step:?}"),
    }
}

/// The proof in a viewer's last frame.
pub(crate) fn finish_in(frame: &[u8]) -> AuthFinish {
    match decode(frame).unwrap() {
        ViewerMessage::Auth(finish) => finish,
        message => panic!("unexpected {message:?}"),
    }
}
