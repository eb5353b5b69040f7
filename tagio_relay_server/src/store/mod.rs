//! The ID bindings on disk, on a thread of their own: `store`.
//!
//! A binding is synced to the disk before its client learns the ID, so that no ID is ever given twice. All
//! newcomers that wait together share one transaction, so thousands of them cost few syncs.

mod id_file;

use std::{path::Path, thread::JoinHandle, time::Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use tagio_wire::{PeerId, PublicKey};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use id_file::IdFile;

/// Its name in the data directory.
const FILE: &str = "relay-ids.redb";
/// Requests that may wait: more handshakes than this wait for a place, up to their own deadline.
const QUEUE: usize = 1024;

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

type Answer = Result<Option<PeerId>, StoreError>;

struct Request {
    key: PublicKey,
    /// Whether a key without an ID gets one.
    assign: bool,
    ids_max: u64,
    answer: oneshot::Sender<Answer>,
}

/// The way to the store's thread. When it is dropped, the thread ends.
pub(crate) struct Store {
    requests: mpsc::Sender<Request>,
}

impl Store {
    /// Opens or makes the database in `dir` and starts its thread.
    pub(crate) fn open(dir: &Path) -> Result<(Self, JoinHandle<()>)> {
        let file = IdFile::open(dir.join(FILE))?;
        let (requests, waiting) = mpsc::channel(QUEUE);
        let thread = tagio_process::spawn_named("store", move || serve(file, waiting))
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

fn serve(mut file: IdFile, mut waiting: mpsc::Receiver<Request>) {
    let mut rng: StdRng = rand::make_rng();
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
        debug!(requests = batch.len(), "ID store");
        let (newcomers, others): (Vec<_>, Vec<_>) = batch.drain(..).partition(|request| request.assign);
        let found = file.find(&others, Instant::now());
        answer(others, found);
        if !newcomers.is_empty() {
            let assigned = file.assign(&newcomers, &mut rng, Instant::now());
            answer(newcomers, assigned);
        }
    }
}

fn answer(requests: Vec<Request>, answers: Option<Vec<Answer>>) {
    let mut answers = answers.into_iter().flatten();
    for request in requests {
        // Nobody hears it when the client has left meanwhile.
        let _ = request.answer.send(answers.next().unwrap_or(Err(StoreError::Failed)));
    }
}
