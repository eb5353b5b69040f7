//! Who may come in: the code, the password, the limits and the resume tickets, in one place.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use tagio_session::{
    OneTimeCode, Secret, StoredSecret,
    guard::{Attempt, CodeSpent, Guard, RotateCode},
    resume::ResumeTickets,
};
use tagio_wire::{
    PublicKey,
    session::{AuthRefusal, SecretKind},
};

const LOCK: &str = "no task panics while it holds the gate";
/// How long a viewer waits while a new code is being prepared.
const CODE_PREPARES_SECS: u16 = 1;

/// Shared by the tasks of all visitors. Locked for a look-up only.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    /// `None` while a new code is being prepared.
    code: Option<Arc<StoredSecret>>,
    password: Option<Arc<StoredSecret>>,
    guard: Guard,
    pub(super) tickets: ResumeTickets,
}

impl Gate {
    pub(super) fn new(password: Option<StoredSecret>) -> Self {
        Self(Arc::new(Mutex::new(State {
            code: None,
            password: password.map(Arc::new),
            guard: Guard::new(),
            tickets: ResumeTickets::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect(LOCK)
    }
}

impl State {
    /// The old code is void from now on; [`Self::set_code`] follows.
    pub(super) fn void_code(&mut self) {
        self.code = None;
        self.guard.code_replaced();
    }

    pub(super) fn set_code(&mut self, stored: StoredSecret) {
        self.code = Some(Arc::new(stored));
    }

    /// Another password: who came in with the old one and lost the connection does not come back without it.
    pub(super) fn set_password(&mut self, password: Option<StoredSecret>) {
        let bytes = |stored: &StoredSecret| stored.to_bytes();
        if self.password.as_deref().map(bytes) != password.as_ref().map(bytes) {
            self.tickets.revoke_all();
        }
        self.password = password.map(Arc::new);
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Counts an attempt and hands out what it is checked against. With [`RotateCode`] the viewer has to
    /// come back when there is a new code.
    pub(super) fn begin(
        &mut self,
        viewer: PublicKey,
        kind: SecretKind,
        now: Instant,
    ) -> Result<(Attempt, Arc<StoredSecret>), (AuthRefusal, Option<RotateCode>)> {
        let stored = match kind {
            SecretKind::Password => self.password.clone().ok_or((AuthRefusal::NoSuchSecret, None))?,
            SecretKind::Code => self.code.clone().ok_or((AuthRefusal::TooMany(CODE_PREPARES_SECS), None))?,
        };
        match self.guard.begin(viewer, kind, now) {
            Ok((attempt, None)) => Ok((attempt, stored)),
            Ok((_, rotate)) => Err((AuthRefusal::TooMany(CODE_PREPARES_SECS), rotate)),
            Err(refusal) => Err((refusal, None)),
        }
    }

    pub(super) fn succeed(&mut self, attempt: Attempt) -> Result<Option<RotateCode>, CodeSpent> {
        self.guard.succeed(attempt)
    }

    pub(super) fn fail(&mut self, attempt: Attempt) -> Option<RotateCode> {
        self.guard.fail(attempt)
    }
}

/// A new code and what is kept of it. Takes as long as its key stretching: not for the engine's thread.
pub(super) fn make_code() -> (OneTimeCode, StoredSecret) {
    let code = OneTimeCode::generate(&mut rand::rng());
    let stored = StoredSecret::create(&Secret::from(code.clone())).expect("a code is short");
    (code, stored)
}
