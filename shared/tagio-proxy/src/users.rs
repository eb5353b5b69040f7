//! Who may use a door that asks for a password.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A name and a password, as somebody shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password.
    pub password: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Names with their passwords. Without any, everybody may come in.
#[derive(Clone, Default)]
pub struct Users(Vec<Entry>);

/// Hashes: comparing them takes the same time whatever was guessed, length included.
#[derive(Clone)]
struct Entry {
    user: [u8; 32],
    password: [u8; 32],
}

impl Users {
    /// Whether nobody is asked for a password.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody who shows this may come in; in the same time whoever it is.
    pub fn admits(&self, shown: Option<&Credentials>) -> bool {
        let Some(shown) = shown else { return self.is_empty() };
        let (user, password) = (hash(shown.user.as_bytes()), hash(&shown.password));
        let found = self.0.iter().fold(Choice::from(0), |found, entry| {
            found | (entry.user.ct_eq(&user) & entry.password.ct_eq(&password))
        });
        self.is_empty() || found.into()
    }
}

impl FromIterator<Credentials> for Users {
    fn from_iter<I: IntoIterator<Item = Credentials>>(users: I) -> Self {
        let entry =
            |one: Credentials| Entry { user: hash(one.user.as_bytes()), password: hash(&one.password) };
        Self(users.into_iter().map(entry).collect())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}
