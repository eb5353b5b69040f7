//! How often a secret may be tried: limits per viewer and in total, and when the one-time code changes.
//!
//! An attempt counts from the moment the host challenges, not from the wrong answer: who opens many
//! handshakes at once or leaves them unfinished gains nothing. A proof takes its attempt back.

use std::{collections::VecDeque, time::Duration, time::Instant};

use tagio_wire::{
    PublicKey,
    session::{AuthRefusal, SecretKind},
};

/// Challenges that one code may answer. With 38 bits a stranger's chance is one in 75 billion per code.
const CODE_ATTEMPTS_MAX: u32 = 5;

/// How long an attempt counts.
const ATTEMPT_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Attempts of one viewer in [`ATTEMPT_WINDOW`]: more than a person needs who mistypes.
const VIEWER_ATTEMPTS_MAX: usize = 10;

/// Attempts of all viewers in [`ATTEMPT_WINDOW`]: keys are free, so a limit per key alone is none. Bounds
/// the memory of the guard as well.
const TOTAL_ATTEMPTS_MAX: usize = 60;

/// The one-time code is used up: show a new one, and store it before the next challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the code on the screen is no longer good"]
pub struct RotateCode;

/// An attempt that waits for its proof. Dropping it leaves it counted.
#[derive(Debug)]
#[must_use = "tell the guard how the attempt ended"]
pub struct Attempt {
    serial: u64,
    kind: SecretKind,
    code_generation: u64,
}

/// The proof was good, but for a code that was used up meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code was used up meanwhile")]
pub struct CodeSpent;

#[derive(Debug)]
struct Counted {
    serial: u64,
    viewer: PublicKey,
    at: Instant,
}

/// Counts attempts. One for the whole host.
#[derive(Debug, Default)]
pub struct Guard {
    /// Oldest first; INVARIANT: at most [`TOTAL_ATTEMPTS_MAX`].
    counted: VecDeque<Counted>,
    next_serial: u64,
    /// Which code is on the screen.
    code_generation: u64,
    code_attempts: u32,
}

impl Guard {
    /// A guard that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whether `viewer` may be challenged. When the answer carries [`RotateCode`], challenge with the
    /// new code.
    pub fn begin(
        &mut self,
        viewer: PublicKey,
        kind: SecretKind,
        now: Instant,
    ) -> Result<(Attempt, Option<RotateCode>), AuthRefusal> {
        self.forget_old(now);
        self.check_limit(TOTAL_ATTEMPTS_MAX, |_| true, now)?;
        self.check_limit(VIEWER_ATTEMPTS_MAX, |counted| counted.viewer == viewer, now)?;

        let mut rotate = None;
        if kind == SecretKind::Code {
            rotate = self.rotate_if_spent();
            self.code_attempts += 1;
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        self.counted.push_back(Counted { serial, viewer, at: now });
        Ok((Attempt { serial, kind, code_generation: self.code_generation }, rotate))
    }

    /// The proof was good. A code is good for one session only, so it is used up now.
    pub fn succeed(&mut self, attempt: Attempt) -> Result<Option<RotateCode>, CodeSpent> {
        match attempt.kind {
            SecretKind::Password => {
                self.take_back(attempt.serial);
                Ok(None)
            }
            SecretKind::Code if attempt.code_generation != self.code_generation => Err(CodeSpent),
            SecretKind::Code => {
                self.take_back(attempt.serial);
                self.code_replaced();
                Ok(Some(RotateCode))
            }
        }
    }

    /// The proof was wrong, or the viewer went away without one.
    pub fn fail(&mut self, attempt: Attempt) -> Option<RotateCode> {
        let counts = attempt.kind == SecretKind::Code && attempt.code_generation == self.code_generation;
        if counts { self.rotate_if_spent() } else { None }
    }

    /// The host's user asked for a new code.
    pub fn code_replaced(&mut self) {
        self.code_generation += 1;
        self.code_attempts = 0;
    }

    fn rotate_if_spent(&mut self) -> Option<RotateCode> {
        if self.code_attempts < CODE_ATTEMPTS_MAX {
            return None;
        }
        self.code_replaced();
        Some(RotateCode)
    }

    fn take_back(&mut self, serial: u64) {
        self.counted.retain(|counted| counted.serial != serial);
    }

    fn forget_old(&mut self, now: Instant) {
        while self.counted.front().is_some_and(|oldest| now >= oldest.at + ATTEMPT_WINDOW) {
            self.counted.pop_front();
        }
    }

    fn check_limit(
        &self,
        limit: usize,
        concerns: impl Fn(&Counted) -> bool,
        now: Instant,
    ) -> Result<(), AuthRefusal> {
        let concerned = || self.counted.iter().filter(|counted| concerns(counted));
        let Some(oldest) = concerned().next() else { return Ok(()) };
        if concerned().count() < limit {
            return Ok(());
        }
        let wait = (oldest.at + ATTEMPT_WINDOW).saturating_duration_since(now);
        Err(AuthRefusal::TooMany(u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX)))
    }
}
