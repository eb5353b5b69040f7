//! The file of the ID bindings (redb): opened, read, written, and opened anew after a failure.
//!
//! After a failed write redb answers nothing until it is opened again. A disk that is full must not keep out those
//! who have an ID, so the file is opened again at once, and only new IDs have to wait.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use rand::rngs::StdRng;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, Table,
    TableDefinition, TableError,
};
use tagio_relay_core::bindings::{AssignError, Bindings, id_for};
use tagio_wire::{PeerId, PublicKey};
use tracing::{error, info};

use super::{Answer, Request, StoreError};

/// Bytes of pages that redb keeps in memory: its default of 1 GiB is meant for bigger things.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// No new IDs for so long after a failure: a full disk stays full for a while, and opening the file again reads all
/// of it.
const PAUSE: Duration = Duration::from_secs(5);

const IDS: TableDefinition<'_, &[u8; 32], u32> = TableDefinition::new("id_by_key");
const KEYS: TableDefinition<'_, u32, &[u8; 32]> = TableDefinition::new("key_by_id");

/// See the module.
pub(super) struct IdFile {
    path: PathBuf,
    /// None after it could not be opened again.
    database: Option<Database>,
    /// When the last failure was, until all is well again.
    failed: Option<Instant>,
}

impl IdFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let database = open(&path)?;
        Ok(Self { path, database: Some(database), failed: None })
    }

    /// The IDs of `requests`' keys, as far as they have one; `None` when the file cannot be read.
    pub(super) fn find(&mut self, requests: &[Request], now: Instant) -> Option<Vec<Answer>> {
        self.attempt(now, |database| find(database, requests))
    }

    /// The same, with new IDs for those who have none. All of them are on the disk then; `None` when none is.
    pub(super) fn assign(
        &mut self,
        requests: &[Request],
        rng: &mut StdRng,
        now: Instant,
    ) -> Option<Vec<Answer>> {
        if self.is_pausing(now) {
            return None;
        }
        let answers = self.attempt(now, |database| assign(database, requests, rng))?;
        if self.failed.take().is_some() {
            info!("the ID store gives new IDs again");
        }
        Some(answers)
    }

    fn is_pausing(&self, now: Instant) -> bool {
        self.failed.is_some_and(|at| now.saturating_duration_since(at) < PAUSE)
    }

    fn attempt<T>(
        &mut self,
        now: Instant,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Option<T> {
        if self.database.is_none() && !self.is_pausing(now) {
            self.reopen(now);
        }
        match work(self.database.as_ref()?) {
            Ok(done) => Some(done),
            Err(failure) => {
                let shown = self.path.display();
                error!("no new IDs for {} s: {shown}: {failure}", PAUSE.as_secs());
                self.database = None;
                // Twice within the pause: it is not the last write that is wrong.
                if !self.is_pausing(now) {
                    self.reopen(now);
                }
                self.failed = Some(now);
                None
            }
        }
    }

    fn reopen(&mut self, now: Instant) {
        match open(&self.path) {
            Ok(database) => self.database = Some(database),
            Err(failure) => {
                error!("no IDs at all for {} s: {failure:#}", PAUSE.as_secs());
                self.failed = Some(now);
            }
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Database> {
    let is_there = path.try_exists().unwrap_or(true);
    Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| {
        if !is_there && !matches!(error, DatabaseError::DatabaseAlreadyOpen) {
            // Half a file without IDs would look damaged next time.
            let _ = fs::remove_file(path);
        }
        explain(path, error)
    })
}

/// What is wrong with the file, and what to do.
fn explain(path: &Path, error: DatabaseError) -> anyhow::Error {
    let shown = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            anyhow!("another relay uses {shown}: give each a --data-dir of its own")
        }
        DatabaseError::Storage(StorageError::Io(error)) if !is_damage(&error) => {
            anyhow::Error::new(error).context(format!("cannot open {shown}"))
        }
        error => anyhow::Error::new(error).context(format!(
            "{shown} is damaged: put a copy of it back, or move it away, and every client gets a new ID"
        )),
    }
}

/// Whether the file was read and is not what it should be.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn find(database: &Database, requests: &[Request]) -> Result<Vec<Answer>, redb::Error> {
    let ids = match database.begin_read()?.open_table(IDS) {
        Ok(ids) => ids,
        // Nobody has come yet.
        Err(TableError::TableDoesNotExist(_)) => return Ok(requests.iter().map(|_| Ok(None)).collect()),
        Err(error) => return Err(error.into()),
    };
    let answers = requests.iter().map(|request| Ok(Ok(id_in(&ids, &request.key)?)));
    answers.collect()
}

fn assign(database: &Database, requests: &[Request], rng: &mut StdRng) -> Result<Vec<Answer>, redb::Error> {
    let transaction = database.begin_write()?;
    let answers = {
        let mut tables = Tables { ids: transaction.open_table(IDS)?, keys: transaction.open_table(KEYS)? };
        let assigned =
            requests.iter().map(|request| match id_for(&mut tables, &request.key, request.ids_max, rng) {
                Ok(id) => Ok(Ok(Some(id))),
                Err(AssignError::Full) => Ok(Err(StoreError::Full)),
                Err(AssignError::Store(error)) => Err(redb::Error::from(error)),
            });
        assigned.collect::<Result<_, _>>()?
    };
    transaction.commit()?;
    Ok(answers)
}

fn id_in(
    ids: &impl ReadableTable<&'static [u8; 32], u32>,
    key: &PublicKey,
) -> Result<Option<PeerId>, StorageError> {
    match ids.get(&key.0)?.map(|found| PeerId::new(found.value())) {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(id)),
        Some(Err(_)) => Err(StorageError::Corrupted("an ID that is none".to_owned())),
    }
}

struct Tables<'t> {
    ids: Table<'t, &'static [u8; 32], u32>,
    keys: Table<'t, u32, &'static [u8; 32]>,
}

impl Bindings for Tables<'_> {
    type Error = StorageError;

    fn id_of(&self, key: &PublicKey) -> Result<Option<PeerId>, Self::Error> {
        id_in(&self.ids, key)
    }

    fn is_taken(&self, id: PeerId) -> Result<bool, Self::Error> {
        Ok(self.keys.get(id.number())?.is_some())
    }

    fn bind(&mut self, key: &PublicKey, id: PeerId) -> Result<(), Self::Error> {
        self.ids.insert(&key.0, id.number())?;
        self.keys.insert(id.number(), &key.0)?;
        Ok(())
    }

    fn count(&self) -> Result<u64, Self::Error> {
        self.ids.len()
    }
}
