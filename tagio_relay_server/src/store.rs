//! The ID bindings on disk (redb), on a thread of their own: `store`.
//!
//! A binding is synced to the disk before its client learns the ID, so that no ID is ever given twice. All
//! requests that wait together share one transaction, so thousands of newcomers cost few syncs.

use std::{path::Path, thread::JoinHandle};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use redb::{Database, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use tagio_relay_core::bindings::{AssignError, Bindings, id_for};
use tagio_wire::{PeerId, PublicKey};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

/// Its name in the data directory.
const FILE: &str = "relay-ids.redb";
/// Requests that may wait: more handshakes than this wait for a place, up to their own deadline.
const QUEUE: usize = 1024;
/// Bytes of pages that redb keeps in memory: its default of 1 GiB is meant for bigger things.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const IDS: TableDefinition<'_, &[u8; 32], u32> = TableDefinition::new("id_by_key");
const KEYS: TableDefinition<'_, u32, &[u8; 32]> = TableDefinition::new("key_by_id");

/// Why the store gave no answer.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// As many IDs are given as may be.
    #[error("all IDs are taken")]
    Full,
    /// The database failed; the log has the details.
    #[error("the ID store failed")]
    Failed,
}

struct Request {
    key: PublicKey,
    /// Whether a key without an ID gets one.
    assign: bool,
    ids_max: u64,
    answer: oneshot::Sender<Result<Option<PeerId>, StoreError>>,
}

/// The way to the store's thread. When it is dropped, the thread ends.
pub(crate) struct Store {
    requests: mpsc::Sender<Request>,
}

impl Store {
    /// Opens or makes the database in `dir` and starts its thread.
    pub(crate) fn open(dir: &Path) -> Result<(Self, JoinHandle<()>)> {
        let path = dir.join(FILE);
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path).with_context(|| {
            format!("cannot open {}; does another relay use this data directory?", path.display())
        })?;
        let (requests, waiting) = mpsc::channel(QUEUE);
        let thread = tagio_process::spawn_named("store", move || serve(&database, waiting))
            .context("cannot start the store's thread")?;
        Ok((Self { requests }, thread))
    }

    /// The ID of `key`, if it has one.
    pub(crate) async fn find(&self, key: PublicKey) -> Result<Option<PeerId>, StoreError> {
        self.ask(key, false, 0).await
    }

    /// The ID of `key`; a new one if it has none.
    pub(crate) async fn assign(&self, key: PublicKey, ids_max: u64) -> Result<PeerId, StoreError> {
        self.ask(key, true, ids_max).await?.ok_or(StoreError::Failed)
    }

    async fn ask(&self, key: PublicKey, assign: bool, ids_max: u64) -> Result<Option<PeerId>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { key, assign, ids_max, answer };
        self.requests.send(request).await.map_err(|_| StoreError::Failed)?;
        answered.await.map_err(|_| StoreError::Failed)?
    }
}

fn serve(database: &Database, mut waiting: mpsc::Receiver<Request>) {
    let mut rng: StdRng = rand::make_rng();
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let answers = answer_batch(database, &batch, &mut rng).unwrap_or_else(|failure| {
            error!("the ID store failed: {failure}");
            Vec::new()
        });
        debug!(requests = batch.len(), "ID store");
        let mut answers = answers.into_iter();
        for request in batch.drain(..) {
            // Nobody hears it when the client has left meanwhile.
            let _ = request.answer.send(answers.next().unwrap_or(Err(StoreError::Failed)));
        }
    }
}

type Answers = Vec<Result<Option<PeerId>, StoreError>>;

/// Answers all of `batch`, in one transaction; nothing is answered before it is on the disk.
fn answer_batch(database: &Database, batch: &[Request], rng: &mut StdRng) -> Result<Answers, redb::Error> {
    let transaction = database.begin_write()?;
    let mut changed = false;
    let mut answers = Vec::with_capacity(batch.len());
    {
        let mut tables = Tables { ids: transaction.open_table(IDS)?, keys: transaction.open_table(KEYS)? };
        for request in batch {
            let known = tables.id_of(&request.key)?;
            let answer = match (known, request.assign) {
                (Some(_), _) | (None, false) => Ok(known),
                (None, true) => {
                    changed = true;
                    assign(&mut tables, request, rng)?
                }
            };
            answers.push(answer);
        }
    }
    if changed {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(answers)
}

fn assign(
    tables: &mut Tables<'_>,
    request: &Request,
    rng: &mut StdRng,
) -> Result<Result<Option<PeerId>, StoreError>, redb::Error> {
    match id_for(tables, &request.key, request.ids_max, rng) {
        Ok(id) => Ok(Ok(Some(id))),
        Err(AssignError::Full) => Ok(Err(StoreError::Full)),
        Err(AssignError::Store(error)) => Err(error.into()),
    }
}

struct Tables<'t> {
    ids: Table<'t, &'static [u8; 32], u32>,
    keys: Table<'t, u32, &'static [u8; 32]>,
}

impl Bindings for Tables<'_> {
    type Error = redb::StorageError;

    fn id_of(&self, key: &PublicKey) -> Result<Option<PeerId>, Self::Error> {
        let number = self.ids.get(&key.0)?.map(|found| found.value());
        match number.map(PeerId::new) {
            None => Ok(None),
            Some(Ok(id)) => Ok(Some(id)),
            Some(Err(_)) => Err(redb::StorageError::Corrupted("an ID that is none".to_owned())),
        }
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
