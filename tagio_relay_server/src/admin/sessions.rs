//! Who is signed in as admin: random names in cookies. Pure: time and randomness are handed in.

use std::time::{Duration, Instant};

use rand::{CryptoRng, RngExt};
use subtle::ConstantTimeEq;

/// How long a session lasts: a working day.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once: a few admins with a few browsers each. One more ends the oldest.
const SESSIONS_MAX: usize = 16;

/// Names a session. Only the browser and this table know it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u8; 16]);

impl Name {
    /// As in a cookie: 32 hexadecimal digits.
    pub(super) fn text(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// From a cookie.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// All sessions, oldest first.
#[derive(Default)]
pub(super) struct Sessions(Vec<(Name, Instant)>);

impl Sessions {
    /// Somebody has shown the token.
    pub(super) fn open(&mut self, rng: &mut impl CryptoRng, now: Instant) -> Name {
        self.0.retain(|(_, end)| *end > now);
        if self.0.len() == SESSIONS_MAX {
            self.0.remove(0);
        }
        let name = Name(rng.random());
        self.0.push((name, now + SESSION));
        name
    }

    /// Whether this is a session that lasts.
    pub(super) fn is_open(&self, name: Name, now: Instant) -> bool {
        self.0.iter().any(|(other, end)| bool::from(other.0.ct_eq(&name.0)) && *end > now)
    }

    /// Ends a session.
    pub(super) fn close(&mut self, name: Name) {
        self.0.retain(|(other, _)| *other != name);
    }

    /// Ends all of them: the token has changed.
    pub(super) fn close_all(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn sessions_end_and_there_are_not_many_of_them() {
        let (mut sessions, mut rng, now) = (Sessions::default(), StdRng::seed_from_u64(1), Instant::now());
        let first = sessions.open(&mut rng, now);
        assert!(sessions.is_open(Name::parse(&first.text()).expect("its own text"), now));
        assert!(!sessions.is_open(first, now + SESSION));
        assert!(!sessions.is_open(Name([0; 16]), now));
        let others: Vec<_> = (0..SESSIONS_MAX).map(|_| sessions.open(&mut rng, now)).collect();
        assert!(!sessions.is_open(first, now), "the oldest makes room");
        assert!(others.iter().all(|name| sessions.is_open(*name, now)));
        sessions.close(others[3]);
        assert!(!sessions.is_open(others[3], now) && sessions.is_open(others[4], now));
        for text in ["", "00", "zz", &"0".repeat(33)] {
            assert!(Name::parse(text).is_none(), "{text}");
        }
    }
}
