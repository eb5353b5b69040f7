//! Peers that were met before: pinned keys of hosts, and viewers that were let in.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tagio_process::write_private;
use tagio_wire::PublicKey;

use super::Target;

const FILE_NAME: &str = "known_peers.json";

/// Held while the file changes: the window and each session are processes of their own.
const LOCK_FILE_NAME: &str = "known_peers.lock";

/// Most hosts and most viewers that are remembered. The one not seen for longest goes first.
const PEERS_MAX: usize = 500;

/// A host that was reached before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// What it calls itself.
    pub name: String,
    /// Its key, which it must show again.
    #[serde(with = "as_text")]
    pub key: PublicKey,
    /// When, in seconds since 1970.
    pub last_unix_s: u64,
    /// Whether the list of recent computers shows it. Forgetting a row must not forget a pin.
    pub listed: bool,
}

/// A viewer that was let in before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownViewer {
    /// What it calls itself.
    pub name: String,
    /// When, in seconds since 1970.
    pub last_unix_s: u64,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPeers {
    hosts: BTreeMap<String, KnownHost>,
    viewers: BTreeMap<String, KnownViewer>,
}

impl KnownPeers {
    /// Reads them. A bad entry is left out with a warning; a missing file is no warning.
    pub fn load(data_dir: &Path) -> (Self, Vec<String>) {
        let path = data_dir.join(FILE_NAME);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
            Err(error) => (Self::default(), vec![format!("cannot read {}: {error}", path.display())]),
        }
    }

    /// Whether the file can be relied on. One that is damaged is neither overwritten nor taken for an empty one:
    /// without its pins a false host would pass for the true one.
    pub fn check(data_dir: &Path) -> Result<()> {
        let path = data_dir.join(FILE_NAME);
        let damaged =
            || format!("{} cannot be read; restore it, or delete it to trust the hosts anew", path.display());
        match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str::<serde_json::Map<String, Value>>(&text).with_context(damaged)?;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(damaged),
        }
    }

    /// Changes what is on disk and returns the new state. Another process that does the same waits.
    pub fn update(data_dir: &Path, change: impl FnOnce(&mut Self)) -> Result<Self> {
        let lock = File::create(data_dir.join(LOCK_FILE_NAME)).context("cannot lock the known peers")?;
        lock.lock().context("cannot lock the known peers")?;
        Self::check(data_dir)?;
        let (mut peers, _) = Self::load(data_dir);
        change(&mut peers);
        peers.save(data_dir)?;
        Ok(peers)
    }

    /// A host was reached and proved this key.
    pub fn remember_host(&mut self, target: &Target, name: &str, key: PublicKey, now_unix_s: u64) {
        let host = KnownHost { name: name.to_owned(), key, last_unix_s: now_unix_s, listed: true };
        self.hosts.insert(target.to_string(), host);
        drop_oldest(&mut self.hosts, |host| host.last_unix_s);
    }

    /// Takes a host from the list of recent computers and keeps its pin.
    pub fn unlist_host(&mut self, target: &Target) {
        if let Some(host) = self.hosts.get_mut(&target.to_string()) {
            host.listed = false;
        }
    }

    /// Trusts whatever key the host shows next.
    pub fn forget_pin(&mut self, target: &Target) {
        self.hosts.remove(&target.to_string());
    }

    /// A viewer was let in.
    pub fn remember_viewer(&mut self, key: &PublicKey, name: &str, now_unix_s: u64) {
        let viewer = KnownViewer { name: name.to_owned(), last_unix_s: now_unix_s };
        self.viewers.insert(key.to_string(), viewer);
        drop_oldest(&mut self.viewers, |viewer| viewer.last_unix_s);
    }

    /// The key that this host must show, if it was met before.
    pub fn pin_of(&self, target: &Target) -> Option<PublicKey> {
        self.hosts.get(&target.to_string()).map(|host| host.key)
    }

    /// Whether this viewer was let in before.
    pub fn knows_viewer(&self, key: &PublicKey) -> bool {
        self.viewers.contains_key(&key.to_string())
    }

    /// Hosts for the list of recent computers, the newest first.
    pub fn recent_hosts(&self) -> Vec<(Target, KnownHost)> {
        let listed = self.hosts.iter().filter(|(_, host)| host.listed);
        let mut hosts: Vec<_> =
            listed.filter_map(|(target, host)| Some((target.parse().ok()?, host.clone()))).collect();
        hosts.sort_by_key(|(_, host)| std::cmp::Reverse(host.last_unix_s));
        hosts
    }

    fn save(&self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(FILE_NAME);
        let values = serde_json::json!({ "hosts": self.hosts, "viewers": self.viewers });
        let text = serde_json::to_vec_pretty(&values).context("cannot encode the known peers")?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn parse(text: &str) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let Ok(Value::Object(mut root)) = serde_json::from_str(text) else {
            return (Self::default(), vec![format!("{FILE_NAME} is not JSON; starting anew")]);
        };
        let hosts = entries(root.remove("hosts"), &mut warnings);
        let viewers = entries(root.remove("viewers"), &mut warnings);
        (Self { hosts, viewers }, warnings)
    }
}

fn entries<T: for<'a> Deserialize<'a>>(
    value: Option<Value>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, T> {
    let Some(Value::Object(entries)) = value else { return BTreeMap::new() };
    let mut good = BTreeMap::new();
    for (key, value) in entries {
        match serde_json::from_value(value) {
            Ok(entry) => drop(good.insert(key, entry)),
            Err(error) => warnings.push(format!("{FILE_NAME}: \"{key}\": {error}; ignored")),
        }
    }
    good
}

fn drop_oldest<T>(peers: &mut BTreeMap<String, T>, last_unix_s: impl Fn(&T) -> u64) {
    while peers.len() > PEERS_MAX {
        let oldest = peers.iter().min_by_key(|(_, peer)| last_unix_s(peer)).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return };
        peers.remove(&oldest);
    }
}

/// A key as its text, so that people can compare the file with what they see.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use tagio_wire::PublicKey;

    pub(super) fn serialize<S: Serializer>(key: &PublicKey, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PublicKey, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_are_remembered_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        KnownPeers::update(dir.path(), |peers| {
            peers.remember_host(&target("123456789"), "Office", PublicKey([1; 32]), 100);
            peers.remember_host(&target("pc.example:4443"), "Attic", PublicKey([2; 32]), 200);
            peers.remember_viewer(&PublicKey([3; 32]), "Ann", 300);
        })
        .unwrap();
        let (peers, warnings) = KnownPeers::load(dir.path());
        assert!(warnings.is_empty(), "{warnings:?}");
        let names: Vec<_> = peers.recent_hosts().into_iter().map(|(_, host)| host.name).collect();
        assert_eq!(names, ["Attic", "Office"]);
        assert_eq!(peers.pin_of(&target("123 456 789")), Some(PublicKey([1; 32])));
        assert!(peers.knows_viewer(&PublicKey([3; 32])));
        assert!(!peers.knows_viewer(&PublicKey([4; 32])));
    }

    #[test]
    fn unlisting_keeps_the_pin_and_forgetting_drops_it() {
        let mut peers = KnownPeers::default();
        let host = target("123456789");
        peers.remember_host(&host, "Office", PublicKey([1; 32]), 100);
        peers.unlist_host(&host);
        assert!(peers.recent_hosts().is_empty());
        assert!(peers.pin_of(&host).is_some());
        peers.forget_pin(&host);
        assert!(peers.pin_of(&host).is_none());
    }

    #[test]
    fn a_bad_entry_does_not_spoil_the_others() {
        let good = KnownHost { name: "A".into(), key: PublicKey([1; 32]), last_unix_s: 1, listed: true };
        let text = serde_json::json!({ "hosts": { "123456789": good, "987654321": { "name": 5 } } });
        let (peers, warnings) = KnownPeers::parse(&text.to_string());
        assert_eq!(peers.recent_hosts().len(), 1);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_damaged_file_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(KnownPeers::check(dir.path()).is_ok(), "none yet");
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, "{ half").unwrap();
        assert!(KnownPeers::check(dir.path()).is_err());
        assert!(KnownPeers::update(dir.path(), |_| ()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ half");
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut peers = KnownPeers::default();
        for i in 0..=PEERS_MAX as u32 {
            let host = target(&(100_000_000 + i).to_string());
            peers.remember_host(&host, "x", PublicKey([0; 32]), u64::from(i));
        }
        assert_eq!(peers.recent_hosts().len(), PEERS_MAX);
        assert!(peers.pin_of(&target("100000000")).is_none());
    }
}
