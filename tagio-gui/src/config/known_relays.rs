//! Keys of relays that were used before: the first key seen is the one that counts from then on.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use tagio_process::write_private;
use tagio_wire::PublicKey;

use super::HostPort;

const FILE_NAME: &str = "known_relays.json";

/// The key that the relay at `at` must show, if it was used before. A file that cannot be read pins nothing.
pub fn pinned_relay_key(data_dir: &Path, at: &HostPort) -> Option<PublicKey> {
    load(data_dir).get(&at.to_string())?.parse().ok()
}

/// Pins the key that the relay at `at` has just proved.
pub fn pin_relay_key(data_dir: &Path, at: &HostPort, key: PublicKey) -> Result<()> {
    let mut relays = load(data_dir);
    if relays.insert(at.to_string(), key.to_string()).as_deref() == Some(&key.to_string()) {
        return Ok(());
    }
    let text = serde_json::to_vec_pretty(&relays).context("cannot encode the known relays")?;
    let path = data_dir.join(FILE_NAME);
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
}

fn load(data_dir: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(data_dir.join(FILE_NAME)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_key_is_found_again_and_only_for_its_relay() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there): (HostPort, HostPort) = ("r:1".parse().unwrap(), "r:2".parse().unwrap());
        assert_eq!(pinned_relay_key(dir.path(), &here), None);
        pin_relay_key(dir.path(), &here, PublicKey([5; 32])).unwrap();
        assert_eq!(pinned_relay_key(dir.path(), &here), Some(PublicKey([5; 32])));
        assert_eq!(pinned_relay_key(dir.path(), &there), None);
    }
}
