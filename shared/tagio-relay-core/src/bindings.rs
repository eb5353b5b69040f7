//! Which ID belongs to which key, for good. The store itself is a leaf behind [`Bindings`].

use std::{collections::BTreeMap, convert::Infallible};

use rand::{CryptoRng, RngExt};
use tagio_wire::{PeerId, PublicKey};
use thiserror::Error;

/// Free numbers are found by trying. With at most one in twenty taken, this many tries fail once in 10⁴¹.
const TRIES_MAX: usize = 32;

/// A store of bindings, inside one transaction.
pub trait Bindings {
    /// How the store can fail.
    type Error;
    /// The ID of `key`, if it has one.
    fn id_of(&self, key: &PublicKey) -> Result<Option<PeerId>, Self::Error>;
    /// Whether `id` belongs to some key.
    fn is_taken(&self, id: PeerId) -> Result<bool, Self::Error>;
    /// Binds `id` to `key`; neither has a binding yet.
    fn bind(&mut self, key: &PublicKey, id: PeerId) -> Result<(), Self::Error>;
    /// Number of bindings.
    fn count(&self) -> Result<u64, Self::Error>;
}

/// Why a key got no ID.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AssignError<E> {
    /// As many IDs are given as may be.
    #[error("all IDs are taken")]
    Full,
    /// The store failed.
    #[error("the ID store failed: {0}")]
    Store(E),
}

impl<E> From<E> for AssignError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

/// The ID of `key`: the one it has, else a new one that nobody can predict and nobody had before.
pub fn id_for<B: Bindings>(
    store: &mut B,
    key: &PublicKey,
    ids_max: u64,
    rng: &mut impl CryptoRng,
) -> Result<PeerId, AssignError<B::Error>> {
    if let Some(id) = store.id_of(key)? {
        return Ok(id);
    }
    if store.count()? >= ids_max {
        return Err(AssignError::Full);
    }
    for _ in 0..TRIES_MAX {
        let number = rng.random_range(PeerId::MIN..=PeerId::MAX);
        let Ok(id) = PeerId::new(number) else { continue };
        if !store.is_taken(id)? {
            store.bind(key, id)?;
            return Ok(id);
        }
    }
    Err(AssignError::Full)
}

/// Bindings that live as long as the process.
#[derive(Debug, Default)]
pub struct MemoryBindings {
    ids: BTreeMap<PublicKey, PeerId>,
    keys: BTreeMap<PeerId, PublicKey>,
}

impl Bindings for MemoryBindings {
    type Error = Infallible;

    fn id_of(&self, key: &PublicKey) -> Result<Option<PeerId>, Infallible> {
        Ok(self.ids.get(key).copied())
    }

    fn is_taken(&self, id: PeerId) -> Result<bool, Infallible> {
        Ok(self.keys.contains_key(&id))
    }

    fn bind(&mut self, key: &PublicKey, id: PeerId) -> Result<(), Infallible> {
        self.ids.insert(*key, id);
        self.keys.insert(id, *key);
        Ok(())
    }

    fn count(&self) -> Result<u64, Infallible> {
        Ok(self.keys.len() as u64)
    }
}
