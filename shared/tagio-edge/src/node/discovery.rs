//! Finds a POP: bootstrap URLs, then access points, then the POP that one of them names.

use std::{
    convert::Infallible,
    fs,
    future::pending,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::fetch::{Client, FetchError};

/// The list of bootstrap URLs, below the application directory.
const BOOTSTRAP_FILE: &str = "bootstrap.json";
/// How often that list is replaced by what the network says now.
const REFRESH: Duration = Duration::from_secs(12 * 60 * 60);
/// URLs of either kind that are tried.
const URLS_MAX: usize = 32;

/// Why there is no POP.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The list is missing or is none.
    #[error(
        "cannot use {file}: {problem}; put your network's list there, like {{\"bootstraps\": [\"https://…\"]}}, or name \
         a POP with --direct-url"
    )]
    List {
        /// Where it should be.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No bootstrap URL told an access point.
    #[error("no bootstrap URL names an access point")]
    NoAccessPoint,
    /// No access point named a POP.
    #[error("no access point names a POP; the last one: {0}")]
    NoPop(String),
}

/// What bootstrap URLs answer; also what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct List {
    bootstraps: Vec<String>,
    accesspoints: Vec<String>,
}

/// What an access point answers.
#[derive(Deserialize)]
pub(super) struct Pop {
    /// Of the WebSocket.
    pub(super) server_url: String,
    /// Proves to the POP that the access point sent the node. A secret.
    pub(super) access_token: String,
}

/// Where POPs are looked for.
pub(super) enum Discovery {
    /// At this access point.
    Direct(String),
    /// By the list in this folder.
    Bootstrap(PathBuf),
}

impl Discovery {
    pub(super) fn new(direct_url: Option<String>, app_dir: PathBuf) -> Self {
        match direct_url {
            Some(url) => Self::Direct(url),
            None => Self::Bootstrap(app_dir),
        }
    }

    /// Keeps the list of bootstrap URLs fresh, for ever.
    pub(super) async fn keep_fresh(&self, client: &Client) -> Infallible {
        let Self::Bootstrap(dir) = self else { return pending().await };
        loop {
            refresh(client, dir).await;
            sleep(REFRESH).await;
        }
    }

    /// The POP of the moment for this node.
    pub(super) async fn find(&self, client: &Client, uuid: &str) -> Result<Pop, DiscoveryError> {
        let access_points = match self {
            Self::Direct(url) => vec![url.clone()],
            Self::Bootstrap(dir) => access_points(client, dir).await?,
        };
        let mut problem = String::new();
        for access_point in access_points.iter().take(URLS_MAX) {
            match ask(client, access_point, uuid).await {
                Ok(pop) => return Ok(pop),
                Err(error) => problem = format!("{access_point}: {error}"),
            }
            debug!("{problem}");
        }
        Err(if problem.is_empty() { DiscoveryError::NoAccessPoint } else { DiscoveryError::NoPop(problem) })
    }
}

async fn ask(client: &Client, access_point: &str, uuid: &str) -> Result<Pop, FetchError> {
    let separator = if access_point.contains('?') { '&' } else { '?' };
    let body = client.get(&format!("{access_point}{separator}nodeid={uuid}")).await?;
    serde_json::from_slice(&body).map_err(|_| FetchError::Body)
}

/// The access points that the first bootstrap URL knows which knows any; else those of the last time.
async fn access_points(client: &Client, dir: &Path) -> Result<Vec<String>, DiscoveryError> {
    let file = dir.join(BOOTSTRAP_FILE);
    let kept = load(&file).map_err(|problem| DiscoveryError::List { file, problem })?;
    for url in kept.bootstraps.iter().take(URLS_MAX) {
        let list = ask_for_list(client, url).await;
        if !list.accesspoints.is_empty() {
            return Ok(list.accesspoints);
        }
    }
    Ok(kept.accesspoints)
}

/// Puts what the first bootstrap URL answers that names others into the place of the list.
async fn refresh(client: &Client, dir: &Path) {
    let file = dir.join(BOOTSTRAP_FILE);
    // Whoever looks for a POP complains.
    let Ok(kept) = load(&file) else { return };
    for url in kept.bootstraps.iter().take(URLS_MAX) {
        let list = ask_for_list(client, url).await;
        if list.bootstraps.is_empty() {
            continue;
        }
        if list != kept {
            save(&file, &list).unwrap_or_else(|error| warn!("cannot keep {}: {error}", file.display()));
        }
        return;
    }
}

/// What a bootstrap URL answers; nothing where that is no list.
async fn ask_for_list(client: &Client, url: &str) -> List {
    let body = client.get(url).await;
    let list = body.and_then(|body| serde_json::from_slice(&body).map_err(|_| FetchError::Body));
    list.unwrap_or_else(|error| {
        debug!("bootstrap {url}: {error}");
        List::default()
    })
}

fn load(file: &Path) -> Result<List, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let list: List = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if list.bootstraps.is_empty() && list.accesspoints.is_empty() {
        return Err("it names no URL".to_owned());
    }
    Ok(list)
}

/// Whole or not at all.
fn save(file: &Path, list: &List) -> io::Result<()> {
    let new = file.with_extension("json.new");
    fs::write(&new, serde_json::to_vec_pretty(list)?)?;
    fs::rename(&new, file)
}
